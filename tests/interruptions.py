"""Cancelling any call at any wait, those in the tasks that a backend's `race` and `begin` make included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any

import anyio

from smallest_transports._backend import Backend, Running


class Interruption:
    """Cancels the n-th wait of all the calls made through it, and no other."""

    def __init__(self, n: int | None = None) -> None:
        self._left = n
        self._scope: anyio.CancelScope | None = None

    @property
    def reached(self) -> bool:
        """Whether there were so many waits."""
        return self._left is not None and self._left <= 0

    async def call(self, make: Callable[[], Awaitable[object]]) -> bool:
        """Make the call. False when it was cancelled."""
        with anyio.CancelScope() as self._scope:
            await _Counted(make(), self._wait)
        return not self._scope.cancelled_caught

    async def insist(self, make: Callable[[], Awaitable[object]]) -> None:
        """Make the call, and make it again when it was cancelled."""
        while not await self.call(make):
            pass

    def within(self, backend: Backend) -> Backend:
        """The same backend, where waits inside of a race count, too, and those of what is begun."""
        return _Watched(backend, self)

    async def counted(self, make: Callable[[], Awaitable[object]]) -> None:
        """Part of a call, in a task of its own."""
        await _Counted(make(), self._wait)

    def _wait(self) -> None:
        if self._left is not None and self._scope is not None:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


class _Watched:
    def __init__(self, backend: Backend, cut: Interruption) -> None:
        self._backend = backend
        self._cut = cut

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def race(self, *calls: Callable[[], Awaitable[None]]) -> None:
        await self._backend.race(*[partial(self._cut.counted, call) for call in calls])

    def begin(self, call: Callable[[], Awaitable[None]]) -> Running:
        return self._backend.begin(partial(self._cut.counted, call))


class _Counted:
    """An awaitable that runs another, and tells of each wait before it begins."""

    def __init__(self, running: Awaitable[object], wait: Callable[[], None]) -> None:
        self._inner = running.__await__()
        self._wait = wait

    def __await__(self) -> Generator[Any, Any, None]:
        resume = self._inner.send
        value: Any = None
        while True:
            try:
                waits_for = resume(value)
            except StopIteration:
                return
            self._wait()
            try:
                resume, value = self._inner.send, (yield waits_for)
            except BaseException as error:
                resume, value = self._inner.throw, error
