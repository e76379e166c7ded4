"""What goes from task to task: the framework's `Chan` for one reader, with nothing kept ready while it is empty."""

from __future__ import annotations

import asyncio
from typing import Generic, Self, TypeVar

from livekit.agents.utils.aio import ChanClosed

T = TypeVar("T")


class Channel(Generic[T]):
    """Items in order, however many. Iterate over it until it is closed and empty; a cancelled reader loses nothing.

    One reader costs one wake-up for all that came meanwhile. A `Chan` and its three deques take 3 kB for as long as
    a stream lives; this has a list, as hardly ever more than one item waits.
    """

    def __init__(self) -> None:
        self.closed = False
        self._items: list[T] = []
        self._reader: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._items)

    def send_nowait(self, item: T) -> None:
        """Add an item. Raises ChanClosed after `close`."""
        if self.closed:
            raise ChanClosed
        self._items.append(item)
        if (reader := self._reader) is not None and not reader.done():
            reader.set_result(None)

    def close(self) -> None:
        """There will be no more; what there is can still be taken."""
        self.closed = True
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def __aiter__(self) -> Self:
        """All items until the end."""
        return self

    async def __anext__(self) -> T:
        """The next item, waiting for it. Raises RuntimeError while another task waits here."""
        while not self._items:
            if self.closed:
                raise StopAsyncIteration
            if self._reader is not None:
                raise RuntimeError("another task iterates over this stream: only one may")
            self._reader = asyncio.get_running_loop().create_future()
            try:
                await self._reader
            finally:
                self._reader = None
        return self._items.pop(0)
