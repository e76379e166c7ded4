"""Streams on asyncio, over its protocol interface: no reader task, no copy through asyncio's own streams."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from smallest_proto.errors import ConnectionLost
from smallest_transports._asyncio_dial import dial
from smallest_transports._backend import CLOSE_TIMEOUT, READ_SIZE, Event
from smallest_transports._connect_errors import cannot_connect, too_late
from smallest_transports._proxy import Proxy


class AsyncioStream(asyncio.Protocol):
    """A `Stream`. Also serves accepted connections: give it to `loop.create_server` as the protocol."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._ended = False
        self._reading_paused = False
        self._readers: set[asyncio.Future[None]] = set()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call: the connection is up."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own are no subclass

    def data_received(self, data: bytes) -> None:
        """Asyncio's call: bytes arrived."""
        self._buffer += data
        if len(self._buffer) > READ_SIZE and not self._reading_paused and self._transport is not None:
            self._transport.pause_reading()
            self._reading_paused = True
        self.wake()

    def eof_received(self) -> None:
        """Asyncio's call: the peer wrote its last byte. Nothing of these protocols follows it: hang up."""
        self._ended = True
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call: the connection is gone, well or badly."""
        if exc is not None:  # a write failed, perhaps: what the peer said before it left may not be read yet
            self._buffer += _unread(self._transport)
        self._ended = True
        self._lost.set()
        self._may_write.set()
        self.wake()

    def pause_writing(self) -> None:
        """Asyncio's call: too much is under way."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Asyncio's call: enough has left."""
        self._may_write.set()

    @property
    def clogged(self) -> bool:
        """See `Stream.clogged`."""
        return not self._may_write.is_set()

    async def read(self, deadline: float | None) -> bytes | None:
        """See `Stream.read`."""
        if not self._buffer and not self._ended:
            reader = self._loop.create_future()
            self._readers.add(reader)
            timer = None if deadline is None else self._loop.call_at(deadline, _wake, reader)
            try:
                await reader
            finally:
                self._readers.discard(reader)
                if timer is not None:
                    timer.cancel()
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            if self._reading_paused and self._transport is not None:
                self._reading_paused = False
                self._transport.resume_reading()
            return data
        return b"" if self._ended else None

    def wake(self) -> None:
        """See `Stream.wake`."""
        for reader in self._readers:
            _wake(reader)

    async def write(self, data: bytes, deadline: float | None) -> None:
        """See `Stream.write`. asyncio takes all the bytes at once, so a cancelled call only stops waiting."""
        if self._transport is None or self._lost.is_set() or self._transport.is_closing():
            raise ConnectionLost("the connection is gone", status=1006)
        self._transport.write(data)
        if not self._may_write.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._may_write.wait()
            if self._lost.is_set():
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
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._lost.wait()

    def abort(self) -> None:
        """Cut the connection now, whatever is unwritten."""
        if self._transport is not None and not self._lost.is_set():  # a second end makes asyncio stumble
            self._transport.abort()


def _unread(transport: asyncio.BaseTransport | None) -> bytes:
    """What waits in the socket of a transport that reads no more, and whose socket is closed next."""
    data = bytearray()
    sock = None if transport is None else transport.get_extra_info("socket")
    with suppress(OSError):
        while sock is not None and (piece := os.read(sock.fileno(), READ_SIZE)):
            data += piece
    return bytes(data)


def _wake(reader: asyncio.Future[None]) -> None:
    if not reader.done():
        reader.set_result(None)


class AsyncioBackend:
    """The `Backend` of asyncio, whatever loop runs it."""

    def now(self) -> float:
        """See `Backend.now`."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """See `Backend.sleep`."""
        await asyncio.sleep(seconds)

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

        async def run(call: Callable[[], Awaitable[None]]) -> None:
            await call()
            for task in running:
                task.cancel()

        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(run(call)) for call in calls]

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
