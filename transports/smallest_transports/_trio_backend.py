"""Streams on trio: one non-blocking socket, read and written in the task that calls, nothing in the background."""

from __future__ import annotations

import math
import socket
from collections import deque
from contextlib import suppress

import trio

from smallest_proto.errors import ConnectionLost
from smallest_transports._backend import CLOSE_TIMEOUT, READ_SIZE
from smallest_transports._connect_errors import cannot_connect, too_late


class TrioStream:
    """A `Stream` over a connected socket, which it owns from here on.

    trio's own streams are not used: a cancelled `send_all` does not say how much it wrote, and they allow one
    reader and one writer only.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._unwritten: deque[memoryview] = deque()
        self._writing = trio.Lock()
        self._waiting = trio.Lock()
        self._readers: set[trio.CancelScope] = set()
        self._ended = False
        self._lost = False

    @property
    def clogged(self) -> bool:
        """See `Stream.clogged`."""
        return bool(self._unwritten)

    async def read(self, deadline: float | None) -> bytes | None:
        """See `Stream.read`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        if (data := self._received()) is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return data
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            self._readers.add(scope)
            try:
                async with self._waiting:  # trio has one task wait for a socket
                    while (data := self._received()) is None:
                        await trio.lowlevel.wait_readable(self._socket)
            except trio.ClosedResourceError:
                data = b""
            finally:
                self._readers.discard(scope)
        if data is None:
            return b"" if self._ended else None
        self.wake()  # what others wait for may stand in these bytes
        return data

    def _received(self) -> bytes | None:
        if self._ended:
            return b""
        try:
            data = self._socket.recv(READ_SIZE)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        self._ended = not data
        return data

    def wake(self) -> None:
        """See `Stream.wake`."""
        for scope in self._readers:
            scope.cancel()

    async def write(self, data: bytes, deadline: float | None) -> None:
        """See `Stream.write`."""
        if self._lost:
            raise ConnectionLost("the connection is gone", status=1006)
        if data:
            self._unwritten.append(memoryview(data))
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline):
            await self._drain()

    async def _drain(self) -> None:
        async with self._writing:
            while self._unwritten:
                data = self._unwritten[0]
                try:
                    sent = self._socket.send(data)
                except BlockingIOError:
                    with suppress(trio.ClosedResourceError):  # the next attempt says so
                        await trio.lowlevel.wait_writable(self._socket)
                except OSError:
                    self._lost = True
                    self._unwritten.clear()
                    raise ConnectionLost("the connection is gone", status=1006) from None
                else:
                    self._unwritten[0] = data[sent:]
                    if sent == len(data):
                        self._unwritten.popleft()

    async def aclose(self) -> None:
        """See `Stream.aclose`."""
        try:
            with trio.move_on_after(CLOSE_TIMEOUT), suppress(ConnectionLost):
                await self._drain()
        finally:
            self._lost = self._ended = True
            if self._socket.fileno() >= 0:
                trio.lowlevel.notify_closing(self._socket)
                self._socket.close()
            self.wake()


class TrioBackend:
    """The `Backend` of trio."""

    def now(self) -> float:
        """See `Backend.now`."""
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        """See `Backend.sleep`."""
        await trio.sleep(seconds)

    def event(self) -> trio.Event:
        """See `Backend.event`."""
        return trio.Event()

    async def connect(self, host: str, port: int, *, timeout: float | None) -> TrioStream:
        """See `Backend.connect`."""
        try:
            with trio.fail_after(math.inf if timeout is None else timeout):
                stream = await trio.open_tcp_stream(host, port)
        except trio.TooSlowError:
            raise too_late(host, port, timeout) from None
        except (OSError, UnicodeError) as error:
            raise cannot_connect(host, port, _root_of(error)) from None
        return TrioStream(socket.socket(fileno=stream.socket.detach()))


def _root_of(error: OSError | UnicodeError) -> OSError | UnicodeError:
    """The last failure: trio hangs those of the single addresses behind an error that only counts them."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    return cause if isinstance(cause, OSError | UnicodeError) else error
