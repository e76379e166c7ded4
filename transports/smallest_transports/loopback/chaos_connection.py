"""One connection through the chaos proxy: two directions that can be held, slowed and cut, and what does it."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import ClassVar, Protocol, TypeVar

from smallest_transports.loopback.chaos_schedule import ENDINGS, Kind, Mishap, Way

T = TypeVar("T")

LINGER = 1.0
"""Seconds for which a dropped end may still write into the void: closing at once would answer that with RST."""

CONNECT_SECONDS = 10.0
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing the socket resets it."""


class Note(Protocol):
    """Writes the proxy's log."""

    def __call__(self, connection: int, what: str, up: int = 0, down: int = 0) -> None:
        """Bytes are those forwarded so far."""


class _Counter:
    """Counts bytes up to a limit at which it holds the directions that it counts."""

    def __init__(self) -> None:
        self.count = 0
        self.directions: list[_Direction] = []
        self._most = math.inf
        self._reached = asyncio.Event()

    @property
    def room(self) -> float:
        """Bytes to the limit."""
        return self._most - self.count

    def add(self, count: int) -> None:
        """So many were forwarded."""
        self.count += count
        if not self.room:
            self.hold()

    def hold(self) -> None:
        """Have the directions held."""
        for direction in self.directions:
            direction.hold()

    def tell(self) -> None:
        """What was counted is written."""
        if not self.room:
            self._reached.set()

    def limit(self, count: int) -> None:
        """Hold the directions at so many bytes, unless there are more already."""
        if self.count < count:
            self._most = count
            self._reached.clear()

    async def reach(self, count: int) -> None:
        """Returns once there are so many, or more, with the directions held. Begun again when cancelled."""
        if self._most != count:
            self.limit(count)
        if self._most == count:
            await self._reached.wait()
        self._most = math.inf
        self.hold()


class _Direction:
    """Forwards from a reader to a writer."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        chunk: int,
        counters: Sequence[_Counter],
    ) -> None:
        self._reader, self._writer, self._chunk = reader, writer, chunk
        self._counters = counters
        for counter in counters:
            counter.directions.append(self)
        self._size, self._pause = chunk, 0.0
        self._keep: int | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._cut_done = asyncio.Event()
        writer.transport.set_write_buffer_limits(0)  # what is forwarded has left this process

    async def run(self) -> None:
        """Forward to the end. Raises OSError when either end is gone."""
        while run := await self._reader.read(self._chunk):
            rest = memoryview(run)
            while rest:
                rest = rest[await self._forward(rest) :]
        await self._until_open()
        self._writer.write_eof()

    async def _forward(self, run: memoryview) -> int:
        if self._pause:
            await asyncio.sleep(self._pause)
        await self._until_open()  # nothing is awaited from here to the write: what is true now holds for it
        if self._keep is not None:
            self.hold()
            kept = run[: min(self._keep, len(run) - 1)]
            self._writer.write(kept)
            for counter in self._counters:
                counter.count += len(kept)
            await self._writer.drain()
            self._cut_done.set()
            return 0
        count = int(min(len(run), self._size, *(counter.room for counter in self._counters)))
        self._writer.write(run[:count])
        for counter in self._counters:
            counter.add(count)
        await self._writer.drain()
        for counter in self._counters:
            counter.tell()
        return count

    async def _until_open(self) -> None:
        while not self._open.is_set():  # held again before it was noticed
            await self._open.wait()

    def cut(self, size: int) -> None:
        """Forward only the first bytes of what comes next, never all; `cut_done` tells when."""
        self._keep = size

    async def cut_done(self) -> None:
        """Wait for the cut."""
        await self._cut_done.wait()

    def hold(self) -> None:
        """Forward nothing until `go_on`."""
        self._open.clear()

    def slow(self, size: int, pause: float) -> None:
        """Forward so many bytes at a time, each after a pause, until `go_on`."""
        self._size, self._pause = size, pause

    def go_on(self) -> None:
        """Forward as ever, short of a limit."""
        self._size, self._pause = self._chunk, 0.0
        if all(counter.room for counter in self._counters):
            self._open.set()


class ChaosConnection:
    """Carries one client's connection and has its mishaps happen, in order."""

    CHUNK: ClassVar[int] = 65536
    """Bytes that are read and written at a time."""

    def __init__(
        self,
        number: int,
        client: socket.socket,
        target: tuple[str, int],
        mishaps: Sequence[Mishap],
        note: Note,
    ) -> None:
        self.number = number
        self._target = target
        self._mishaps = mishaps
        self._client = client
        self._ends: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._next: Mishap | None = None
        self._idle: list[asyncio.StreamWriter] = []
        self._tell = note
        self._ways: dict[Way, _Direction] = {}
        self._counters = {name: _Counter() for name in ("up", "down", "total")}

    async def run(self, before_end: Callable[[], None]) -> None:
        """Carry the connection to its end; `before_end` is called before the client can learn of that."""
        self._note("accepted")
        try:
            reset = await self._live()
            before_end()
            if reset:
                self._reset()
            else:
                await self._hang_up()
        finally:
            self.abort()
            for writer in self._writers():
                with suppress(OSError):
                    await writer.wait_closed()

    def abort(self) -> None:
        """Close the sockets now."""
        for writer in self._writers():
            writer.transport.abort()
        if not self._ends:
            self._client.close()

    async def _live(self) -> bool:
        """Until the connection is to end; whether with RST."""
        try:
            # streams of our own making: a listener of asyncio's may lose a connection when it is closed
            self._ends.append(await asyncio.open_connection(sock=self._client, limit=self.CHUNK))
        except OSError:  # some systems notice here that it was reset meanwhile
            self._note("gone before it began")
            return True
        if any(mishap.kind is Kind.CLOSE_AT_ONCE for mishap in self._mishaps):
            self._note(Kind.CLOSE_AT_ONCE.name)
            return False
        try:
            self._ends.append(await self._dial())
        except OSError as error:
            self._note(f"the server cannot be reached: {error}")
            return False
        (from_client, to_client), (from_server, to_server) = self._ends
        up, down, total = (self._counters[name] for name in ("up", "down", "total"))
        self._ways = {
            Way.UP: _Direction(from_client, to_server, self.CHUNK, (up, total)),
            Way.DOWN: _Direction(from_server, to_client, self.CHUNK, (down, total)),
        }
        # the mishaps begin first: one may be due before the first byte
        return await _first(self._suffer(), self._carry())

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(*self._target, limit=self.CHUNK)

    async def _carry(self) -> bool:
        broken = False
        try:
            async with asyncio.TaskGroup() as both:
                for way, sender in ((Way.UP, "the client"), (Way.DOWN, "the server")):
                    both.create_task(self._forward(way, sender))
        except* OSError:
            broken = True
        return broken

    async def _forward(self, way: Way, sender: str) -> None:
        try:
            await self._ways[way].run()
        except OSError as error:
            self._note(f"broken, {way.value}: {type(error).__name__}")
            raise
        self._note(f"{sender} has hung up")

    async def _suffer(self) -> bool:
        for mishap, following in zip_longest(self._mishaps, self._mishaps[1:]):
            await self._moment(mishap)
            self._note(str(mishap))
            self._next = following
            if following is not None:  # before anything is forwarded
                for counter, count in self._limits(following):
                    counter.limit(count)
            await _EFFECTS[mishap.kind](self, mishap)
            if mishap.kind in ENDINGS:
                return mishap.kind is Kind.RESET
            self._go_on()
        await _for_ever()
        return False

    async def _moment(self, mishap: Mishap) -> None:
        await self._bytes(mishap)
        if mishap.after:
            self._go_on()
            await asyncio.sleep(mishap.after)

    async def _bytes(self, mishap: Mishap) -> None:
        for counter, count in self._limits(mishap):
            await counter.reach(count)

    def _limits(self, mishap: Mishap) -> list[tuple[_Counter, int]]:
        counts = ((counter, getattr(mishap, name)) for name, counter in self._counters.items())
        return [(counter, count) for counter, count in counts if count is not None]

    async def _lasting(self, mishap: Mishap) -> None:
        """Until it is over, or the bytes of the next one have passed."""
        pause = _for_ever() if mishap.lasts is None else asyncio.sleep(mishap.lasts)
        if self._next is not None and self._next.counts:
            await _first(self._bytes(self._next), pause)
        else:
            await pause

    def _go_on(self) -> None:
        for direction in self._ways.values():
            direction.go_on()

    def _of(self, mishap: Mishap) -> list[_Direction]:
        """The directions that a mishap concerns; the other one, which may be held for the moment, goes on."""
        self._go_on()
        return [direction for way, direction in self._ways.items() if mishap.way in (way, Way.BOTH)]

    async def _end_here(self, mishap: Mishap) -> None:
        for direction in self._ways.values():
            direction.hold()

    async def _stall(self, mishap: Mishap) -> None:
        for direction in self._of(mishap):
            direction.hold()
        await self._lasting(mishap)

    async def _trickle(self, mishap: Mishap) -> None:
        for direction in self._of(mishap):
            direction.slow(mishap.size, mishap.pause)
        await self._lasting(mishap)

    async def _delay(self, mishap: Mishap) -> None:
        for direction in self._of(mishap):
            direction.slow(self.CHUNK, mishap.pause)
        await self._lasting(mishap)

    async def _truncate(self, mishap: Mishap) -> None:
        directions = self._of(mishap)
        for direction in directions:
            direction.cut(mishap.size)
        await _first(*[direction.cut_done() for direction in directions])

    async def _duplicate(self, mishap: Mishap) -> None:
        self._go_on()
        try:
            self._idle.append((await self._dial())[1])
        except OSError as error:
            self._note(f"no second connection: {error}")

    def _reset(self) -> None:
        for _, writer in self._ends:
            with suppress(OSError):  # closed meanwhile
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    async def _hang_up(self) -> None:
        for _, writer in self._ends:
            with suppress(OSError, RuntimeError):  # closed, or closing
                writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                for reader, _ in self._ends:
                    await _swallow(reader)

    def _note(self, what: str) -> None:
        self._tell(self.number, what, self._counters["up"].count, self._counters["down"].count)

    def _writers(self) -> list[asyncio.StreamWriter]:
        return [writer for _, writer in self._ends] + self._idle


_EFFECTS: Mapping[Kind, Callable[[ChaosConnection, Mishap], Awaitable[None]]] = {
    Kind.DROP: ChaosConnection._end_here,
    Kind.RESET: ChaosConnection._end_here,
    Kind.TRUNCATE: ChaosConnection._truncate,
    Kind.STALL: ChaosConnection._stall,
    Kind.TRICKLE: ChaosConnection._trickle,
    Kind.DELAY: ChaosConnection._delay,
    Kind.DUPLICATE: ChaosConnection._duplicate,
}
"""CLOSE_AT_ONCE and REFUSE come before a connection has directions."""


async def _swallow(reader: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await reader.read(ChaosConnection.CHUNK):
            pass


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def _first(*coroutines: Coroutine[None, None, T]) -> T:
    """The result of the first to end; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
