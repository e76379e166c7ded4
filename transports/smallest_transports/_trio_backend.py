"""Streams on trio: one non-blocking socket, read and written in the task that calls, nothing in the background."""

from __future__ import annotations

import math
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context

import trio

from smallest_proto.errors import ConnectionLost, ProtocolError
from smallest_transports._backend import CLOSE_TIMEOUT, READ_SIZE, Event
from smallest_transports._connect_errors import cannot_connect, too_late
from smallest_transports._proxy import Proxy
from smallest_transports._readable import has_come
from smallest_transports._trio_dial import dial
from smallest_transports._turn_end import TurnEnd

CALLS_IN_A_ROW, BYTES_IN_A_ROW = 20, 64 * 1024
"""Calls that need not wait after which one gives way all the same; one of so many bytes always does."""


class _Held:
    """Holds a lock, as trio has one task wait for a socket; does not give way to take one that is free."""

    def __init__(self, lock: trio.Lock) -> None:
        self._lock = lock

    async def __aenter__(self) -> None:
        try:
            self._lock.acquire_nowait()
        except trio.WouldBlock:
            await self._lock.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


class TrioStream:
    """A `Stream` over a connected socket, which it owns from here on.

    trio's own streams are not used: a cancelled `send_all` does not say how much it wrote, and they allow one
    reader and one writer only.
    """

    __slots__ = (
        "_broken",
        "_ended",
        "_in_a_row",
        "_lost",
        "_readers",
        "_reading",
        "_socket",
        "_unwritten",
        "_writing",
    )

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._unwritten: deque[memoryview] = deque()
        self._writing = trio.Lock()
        self._reading = trio.Lock()
        self._readers: set[trio.CancelScope] = set()
        self._ended = False
        self._broken = False
        self._lost = False
        self._in_a_row = 0

    @property
    def clogged(self) -> bool:
        """See `Stream.clogged`."""
        return bool(self._unwritten)

    @property
    def readable(self) -> bool:
        """See `Stream.readable`."""
        return self._ended or has_come(self._socket.fileno())

    @property
    def broken(self) -> bool:
        """See `Stream.broken`."""
        return self._broken

    async def read(self, deadline: float | None) -> bytes | None:
        """See `Stream.read`."""
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._give_way()  # with nothing in hand: what another one reads meanwhile comes before it
        if (data := self._received()) is not None:
            self.wake()  # what others wait for may stand in these bytes
            self._count(len(data))
            return data
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as scope:
            self._readers.add(scope)
            try:
                async with _Held(self._reading):
                    while (data := self._received()) is None:
                        await trio.lowlevel.wait_readable(self._socket)
            except trio.ClosedResourceError:
                data = b""
            finally:
                self._readers.discard(scope)
        if data is None:
            return b"" if self._ended else None
        self.wake()
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
            self._broken = True
        self._ended = not data
        return data

    def wake(self) -> None:
        """See `Stream.wake`."""
        for scope in self._readers:
            scope.cancel()

    def send(self, data: bytes) -> None:
        """See `Stream.send`."""
        if self._lost:
            raise ConnectionLost("the connection is gone", status=1006)
        if data:
            self._unwritten.append(memoryview(data))
        self._send()

    async def write(self, data: bytes, deadline: float | None) -> None:
        """See `Stream.write`."""
        self.send(data)  # before anything can cancel: a goodbye goes out from a cancelled scope too
        if not self._unwritten:
            self._count(len(data))
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._give_way()
            return
        with trio.CancelScope(deadline=math.inf if deadline is None else deadline):
            await self._drain()

    def _send(self) -> None:
        try:
            while self._unwritten:
                data = self._unwritten[0]
                sent = self._socket.send(data)
                if sent < len(data):
                    self._unwritten[0] = data[sent:]
                else:
                    self._unwritten.popleft()
        except BlockingIOError:
            pass
        except OSError:
            self._lost = True
            self._unwritten.clear()
            raise ConnectionLost("the connection is gone", status=1006) from None

    async def _drain(self) -> None:
        async with _Held(self._writing):
            while self._unwritten:
                with suppress(trio.ClosedResourceError):  # the next attempt says so
                    await trio.lowlevel.wait_writable(self._socket)
                self._send()
        if self._lost:  # another task found out
            raise ConnectionLost("the connection is gone", status=1006)

    def _count(self, size: int) -> None:
        """One more call that has not waited. Much data is as many."""
        self._in_a_row += CALLS_IN_A_ROW if size >= BYTES_IN_A_ROW else 1

    async def _give_way(self) -> None:
        """Let other tasks run now and then: a turn of trio's loop costs several times what a packet does."""
        if self._in_a_row >= CALLS_IN_A_ROW:
            self._in_a_row = 0
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def aclose(self) -> None:
        """See `Stream.aclose`."""
        try:
            with trio.move_on_after(CLOSE_TIMEOUT), suppress(ConnectionLost):
                await self._drain()
        finally:
            self._lost = self._ended = True
            self._unwritten.clear()
            if self._socket.fileno() >= 0:
                trio.lowlevel.notify_closing(self._socket)
                self._socket.close()
            self.wake()


_turn_end: trio.lowlevel.RunVar[TurnEnd] = trio.lowlevel.RunVar("turn_end")


def _call_soon(call: Callable[[], None]) -> None:
    """Trio wakes a task of its own for it, by a call of the system."""
    trio.lowlevel.current_trio_token().run_sync_soon(call)


class TrioTask:
    """A `Running` call."""

    def __init__(self, call: Callable[[], Awaitable[None]]) -> None:
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        trio.lowlevel.spawn_system_task(self._run, call, context=copy_context())

    async def _run(self, call: Callable[[], Awaitable[None]]) -> None:
        try:
            with self._scope:
                await call()
        finally:
            self._ended.set()

    @property
    def done(self) -> bool:
        """See `Running.done`."""
        return self._ended.is_set()

    def cancel(self) -> None:
        """See `Running.cancel`."""
        self._scope.cancel()

    async def ended(self) -> None:
        """See `Running.ended`."""
        with trio.CancelScope(shield=True):
            await self._ended.wait()
        await trio.lowlevel.checkpoint_if_cancelled()


class TrioBackend:
    """The `Backend` of trio."""

    def now(self) -> float:
        """See `Backend.now`."""
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        """See `Backend.sleep`."""
        await trio.sleep(seconds)

    def turn_end(self) -> TurnEnd:
        """See `Backend.turn_end`."""
        try:
            return _turn_end.get()
        except LookupError:
            _turn_end.set(TurnEnd(_call_soon))
            return _turn_end.get()

    def event(self) -> trio.Event:
        """See `Backend.event`."""
        return trio.Event()

    async def wait(self, event: Event, deadline: float) -> None:
        """See `Backend.wait`."""
        with trio.move_on_at(deadline):
            await event.wait()

    async def race(self, *calls: Callable[[], Awaitable[None]]) -> None:
        """See `Backend.race`."""

        async def run(call: Callable[[], Awaitable[None]]) -> None:
            await call()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(run, call)

    def begin(self, call: Callable[[], Awaitable[None]]) -> TrioTask:
        """See `Backend.begin`."""
        return TrioTask(call)

    async def connect(
        self, host: str, port: int, *, timeout: float | None, socks: Proxy | None = None
    ) -> TrioStream:
        """See `Backend.connect`."""
        try:
            with trio.fail_after(math.inf if timeout is None else timeout):
                if socks is None:
                    sock = await dial(host, port)
                else:
                    from smallest_transports._trio_proxy import dial_socks  # needs a package of its own

                    sock = await dial_socks(socks, host, port)
        except trio.TooSlowError:
            failure: ProtocolError = too_late(host, port, timeout)
        except (OSError, UnicodeError) as error:
            failure = cannot_connect(host, port, error)
        else:
            return TrioStream(socket.socket(fileno=sock.detach()))
        raise failure  # out here its context is not the error above, whose frames hold a proxy's credentials
