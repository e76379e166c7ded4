"""Streams on asyncio, over its protocol interface: no reader task, no copy through asyncio's own streams."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast
from weakref import WeakKeyDictionary

from smallest_proto.errors import ConnectionLost
from smallest_transports._asyncio_dial import dial
from smallest_transports._backend import CLOSE_TIMEOUT, READ_SIZE, Event
from smallest_transports._connect_errors import cannot_connect, too_late
from smallest_transports._proxy import Proxy
from smallest_transports._readable import has_come
from smallest_transports._turn_end import TurnEnd
from smallest_transports._waiters import Waiters


class _Scratch(threading.local):
    """What a loop reads into: it copies the bytes out before it reads from another socket."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_SIZE))


_scratch = _Scratch()


class AsyncioStream(asyncio.BufferedProtocol):
    """A `Stream`. Also serves accepted connections: give it to `loop.create_server` as the protocol."""

    __slots__ = (
        "_broken",
        "_ended",
        "_loop",
        "_lost",
        "_reading_paused",
        "_transport",
        "_unread",
        "_unread_size",
        "_waiters",
        "_writing_paused",
    )

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unread: list[bytes] = []
        self._unread_size = 0
        self._ended = False
        self._broken = False
        self._reading_paused = False
        self._writing_paused = False
        self._lost = False
        self._waiters = Waiters(self._loop)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call: the connection is up."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclass

    def get_buffer(self, sizehint: int) -> memoryview:
        """Asyncio's call: where the next bytes go."""
        return _scratch.view

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio's call: bytes arrived."""
        self._unread.append(bytes(_scratch.view[:nbytes]))
        self._unread_size += nbytes
        if self._unread_size > READ_SIZE and not self._reading_paused and self._transport is not None:
            self._transport.pause_reading()
            self._reading_paused = True
        self._waiters.wake()

    def eof_received(self) -> None:
        """Asyncio's call: the peer wrote its last byte. Nothing of these protocols follows it: hang up."""
        self._ended = True
        self._waiters.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call: the connection is gone, well or badly."""
        if exc is not None:  # a write failed, perhaps: what the peer said before it left may not be read yet
            self._unread += _left_in(self._transport)
            self._broken = not self._ended
        self._ended = self._lost = True
        self._waiters.wake()
        self._waiters.close()

    def pause_writing(self) -> None:
        """Asyncio's call: too much is under way."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """Asyncio's call: enough has left."""
        self._writing_paused = False
        self._waiters.wake()

    @property
    def clogged(self) -> bool:
        """See `Stream.clogged`."""
        return self._writing_paused

    @property
    def readable(self) -> bool:
        """See `Stream.readable`."""
        if self._unread or self._ended or self._transport is None:
            return True
        return has_come(self._transport.get_extra_info("socket").fileno())

    @property
    def broken(self) -> bool:
        """See `Stream.broken`."""
        return self._broken

    async def read(self, deadline: float | None) -> bytes | None:
        """See `Stream.read`."""
        if not self._unread and not self._ended:
            await self._waiters.wait(deadline)
        if not self._unread:
            return b"" if self._ended else None
        data = self._unread[0] if len(self._unread) == 1 else b"".join(self._unread)
        self._unread.clear()
        self._unread_size = 0
        if self._reading_paused and self._transport is not None:
            self._reading_paused = False
            self._transport.resume_reading()
        return data

    def wake(self) -> None:
        """See `Stream.wake`."""
        self._waiters.wake()

    def send(self, data: bytes) -> None:
        """See `Stream.send`."""
        if self._transport is None or self._lost or self._transport.is_closing():
            raise ConnectionLost("the connection is gone", status=1006)
        if data:
            self._transport.write(data)

    async def write(self, data: bytes, deadline: float | None) -> None:
        """See `Stream.write`. A cancelled call only stops waiting."""
        self.send(data)
        while self._writing_paused and not self._lost:
            if not await self._waiters.wait(deadline):
                break
        if self._lost:
            raise ConnectionLost("the connection is gone", status=1006)

    async def aclose(self) -> None:
        """See `Stream.aclose`."""
        if self._transport is None:
            return
        if not self._transport.is_closing():
            self._transport.close()
        try:
            await self._gone()
        finally:
            self.abort()
        await self._gone()

    async def _gone(self) -> None:
        deadline = self._loop.time() + CLOSE_TIMEOUT
        while not self._lost and await self._waiters.wait(deadline):
            pass

    def abort(self) -> None:
        """Cut the connection now, whatever is unwritten."""
        if self._transport is not None and not self._lost:  # a second end makes asyncio stumble
            self._transport.abort()


def _left_in(transport: asyncio.BaseTransport | None) -> list[bytes]:
    """What waits in the socket of a transport that reads no more, and whose socket is closed next."""
    data: list[bytes] = []
    sock = None if transport is None else transport.get_extra_info("socket")
    with suppress(OSError):
        while sock is not None and (piece := os.read(sock.fileno(), READ_SIZE)):
            data.append(piece)
    return data


_turn_ends: WeakKeyDictionary[asyncio.AbstractEventLoop, TurnEnd] = WeakKeyDictionary()


def _call_soon(call: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(call)


class AsyncioTask:
    """A `Running` call."""

    def __init__(self, call: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            await call()

        self._task = asyncio.get_running_loop().create_task(run())

    @property
    def done(self) -> bool:
        """See `Running.done`."""
        return self._task.done()

    def cancel(self) -> None:
        """See `Running.cancel`."""
        self._task.cancel()

    async def ended(self) -> None:
        """See `Running.ended`."""
        cancelled: asyncio.CancelledError | None = None
        while not self._task.done():
            try:
                await asyncio.wait([self._task])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled


class AsyncioBackend:
    """The `Backend` of asyncio, whatever loop runs it."""

    def now(self) -> float:
        """See `Backend.now`."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """See `Backend.sleep`."""
        await asyncio.sleep(seconds)

    def turn_end(self) -> TurnEnd:
        """See `Backend.turn_end`."""
        return _turn_ends.setdefault(asyncio.get_running_loop(), TurnEnd(_call_soon))

    def event(self) -> asyncio.Event:
        """See `Backend.event`."""
        return asyncio.Event()

    async def wait(self, event: Event, deadline: float) -> None:
        """See `Backend.wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                await event.wait()

    async def race(self, *calls: Callable[[], Awaitable[None]]) -> None:
        """See `Backend.race`."""
        running: list[asyncio.Task[None]] = []
        ended = False

        async def run(call: Callable[[], Awaitable[None]]) -> None:
            nonlocal ended
            try:
                await call()
            finally:
                ended = True
            for task in running:
                task.cancel()

        async with asyncio.TaskGroup() as tasks:
            for call in calls:
                if not ended:  # as an eager task may have, before there is another
                    running.append(tasks.create_task(run(call)))

    def begin(self, call: Callable[[], Awaitable[None]]) -> AsyncioTask:
        """See `Backend.begin`."""
        return AsyncioTask(call)

    async def connect(
        self, host: str, port: int, *, timeout: float | None, socks: Proxy | None = None
    ) -> AsyncioStream:
        """See `Backend.connect`."""
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                if socks is None:
                    sock = await dial(host, port)
                else:
                    from smallest_transports._asyncio_proxy import dial_socks  # needs a package of its own

                    sock = await dial_socks(socks, host, port)
                _, stream = await asyncio.get_running_loop().create_connection(AsyncioStream, sock=sock)
        except (OSError, UnicodeError) as error:
            late = clock.expired()
            failure = too_late(host, port, timeout) if late else cannot_connect(host, port, error)
        else:
            return stream
        raise failure  # out here its context is not the error above, whose frames hold a proxy's credentials
