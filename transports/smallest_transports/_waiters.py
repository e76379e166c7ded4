"""Tasks that wait for one thing, each with a deadline, on one timer of asyncio's."""

from __future__ import annotations

import asyncio


class Waiters:
    """What `wait` waits for is `wake`.

    A timer costs more than most waits last, and deadlines mostly move away: so one that is armed stays armed, for
    whoever waits when it rings, and is armed again if it rang too early.
    """

    __slots__ = ("_loop", "_rings_at", "_timer", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._waiting: list[tuple[asyncio.Future[bool], float | None]] = []

    def wait(self, deadline: float | None) -> asyncio.Future[bool]:
        """To be awaited at once: True when woken, False when the deadline has come first."""
        if deadline is not None:
            self._arm(deadline)
        future: asyncio.Future[bool] = self._loop.create_future()
        if self._waiting:  # some may have been cancelled
            self._waiting = [waiting for waiting in self._waiting if not waiting[0].done()]
        self._waiting.append((future, deadline))
        return future

    def wake(self) -> None:
        """End every wait under way."""
        for future, _ in self._waiting:
            if not future.done():
                future.set_result(True)
        self._waiting.clear()

    def close(self) -> None:
        """Disarm the timer. Nobody waits here any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            if self._rings_at <= at:
                return
            self._timer.cancel()
        self._rings_at = at
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        later: list[float] = []
        for future, deadline in self._waiting:
            if deadline is None or future.done():
                continue
            if deadline > self._rings_at:
                later.append(deadline)
            else:
                future.set_result(False)
        if later:
            self._arm(min(later))
