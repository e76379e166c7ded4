"""anyio's choice: the backend of the loop that runs. anyio's cancel scopes reach into either one.

Its own socket streams cannot serve: on asyncio a cancelled `send` does not say whether the bytes were taken.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import anyio

from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._backend import Backend, Event, Running, Stream
from smallest_transports._proxy import Proxy
from smallest_transports._turn_end import TurnEnd


class AnyioBackend:
    """The `Backend` of whichever loop anyio runs on."""

    def now(self) -> float:
        """See `Backend.now`."""
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        """See `Backend.sleep`."""
        await anyio.sleep(seconds)

    def turn_end(self) -> TurnEnd:
        """See `Backend.turn_end`."""
        return _running().turn_end()

    def event(self) -> Event:
        """See `Backend.event`."""
        return anyio.Event()

    async def wait(self, event: Event, deadline: float) -> None:
        """See `Backend.wait`."""
        with anyio.CancelScope(deadline=deadline):
            await event.wait()

    async def race(self, *calls: Callable[[], Awaitable[None]]) -> None:
        """See `Backend.race`."""

        async def run(call: Callable[[], Awaitable[None]]) -> None:
            await call()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(run, call)

    def begin(self, call: Callable[[], Awaitable[None]]) -> Running:
        """See `Backend.begin`."""
        return _running().begin(call)

    async def connect(
        self, host: str, port: int, *, timeout: float | None, socks: Proxy | None = None
    ) -> Stream:
        """See `Backend.connect`."""
        return await _running().connect(host, port, timeout=timeout, socks=socks)


def _running() -> Backend:
    trio = sys.modules.get("trio")
    if trio is None or not trio.lowlevel.in_trio_task():
        return AsyncioBackend()
    from smallest_transports._trio_backend import TrioBackend

    return TrioBackend()
