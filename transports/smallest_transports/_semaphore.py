"""So many at a time, first come first served, on any event loop."""

from __future__ import annotations

from smallest_proto.errors import LocalProtocolError
from smallest_transports._backend import Backend, Event


class Semaphore:
    """At most `limit` hold it at once; whoever comes later waits in line."""

    def __init__(self, backend: Backend, limit: int) -> None:
        self._backend = backend
        self._free = limit
        self._limit = limit
        self._line: list[Event] = []
        self._all_free: Event | None = None
        self._closed = False

    @property
    def taken(self) -> int:
        """How many hold it."""
        return self._limit - self._free

    async def acquire(self) -> None:
        """Wait for a place; `release` it. Raises LocalProtocolError once closed, also for those in line."""
        self._check_open()
        if self._free and not self._line:
            self._free -= 1
            return
        mine = self._backend.event()
        self._line.append(mine)
        try:
            await mine.wait()
            self._check_open()
        except BaseException:
            if mine in self._line:
                self._line.remove(mine)
            else:  # it was granted in the same moment: pass it on
                self.release()
            raise

    def release(self) -> None:
        """The first in line has the place now."""
        if self._line and not self._closed:
            self._line.pop(0).set()
            return
        self._free += 1
        if self._free == self._limit and self._all_free is not None:
            self._all_free.set()

    async def close(self, deadline: float) -> None:
        """Grant no more, and wait up to the deadline until every place is free."""
        self._closed = True
        for waiting in self._line:
            waiting.set()  # it finds the pool closed, and leaves the line
        if self.taken:
            if self._all_free is None:
                self._all_free = self._backend.event()
            await self._backend.wait(self._all_free, deadline)

    def _check_open(self) -> None:
        if self._closed:
            raise LocalProtocolError("the pool is closed: nothing new can be spoken")
