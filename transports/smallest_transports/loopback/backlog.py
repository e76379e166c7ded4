"""What a client has sent and nobody has worked on yet: bounded, so that a fast client waits in its socket."""

from __future__ import annotations

import asyncio

from smallest_proto.events import Event


class Backlog:
    """A queue between one task that reads and one that works. `most` bounds the sum of the sizes put into it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._events: list[Event] = []
        self._size = 0
        self._changed = asyncio.Condition()

    async def put(self, event: Event, size: int) -> None:
        """Add an event; waits while there is too much already."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < self._most)
            self._events.append(event)
            self._size += size
            self._changed.notify_all()

    async def take(self) -> list[Event]:
        """All that waits, in order; waits for at least one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._events)
            events, self._events = self._events, []
            self._size = 0
            self._changed.notify_all()
            return events
