"""A TCP proxy on 127.0.0.1 that treats connections badly, as its schedule says: for testing how clients recover.

    async with serve() as server:
        async with chaos("127.0.0.1", server.port, ChaosSchedule.from_seed(7)) as proxy:
            ...  # give clients `proxy.url`; `proxy.log` tells what happened to them

It forwards bytes and reads none of them, so that TLS passes through it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec

from smallest_proto import checks
from smallest_transports.loopback.chaos_connection import ChaosConnection
from smallest_transports.loopback.chaos_schedule import ChaosSchedule, Mishap
from smallest_transports.loopback.server import BASE_PATH, HOST

KEPT = 1000
"""Entries of a log; the oldest go first."""

BACKLOG = 128
ACCEPT_AGAIN = 1.0
"""Seconds until the next attempt when connections cannot be accepted."""

_log = logging.getLogger("smallest_transports.loopback.chaos")


class Happening(msgspec.Struct, frozen=True):
    """One line of a proxy's log; `str()` shows it.

    seconds: since the proxy began.
    connection: which, from 0.
    what: in words; a mishap as in the `str()` of its schedule.
    up, down: bytes that this connection had forwarded to the server and to the client.
    """

    seconds: float
    connection: int
    what: str
    up: int = 0
    down: int = 0

    def __str__(self) -> str:
        return f"{self.seconds:9.3f} s  connection {self.connection}: {self.what} ({self.up} B up, {self.down} B down)"


class ChaosProxy:
    """A running proxy; made by `chaos`.

    Attributes: `port`; `schedule`; `accepted`, how many connections there were; `log`, the newest thousand
    things that happened, oldest first.
    """

    def __init__(
        self, host: str, port: int, schedule: ChaosSchedule, tell: Callable[[Happening], object] | None
    ) -> None:
        self.schedule = schedule
        self.port = 0
        self.accepted = 0
        self.log: deque[Happening] = deque(maxlen=KEPT)
        self._target = host, port
        self._tell = tell
        self._began = asyncio.get_running_loop().time()
        self._socket: socket.socket | None = None
        self._listening = False
        self._connections: set[asyncio.Task[None]] = set()
        self._reopening: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL to give to clients of a local server without TLS."""
        return f"http://{HOST}:{self.port}{BASE_PATH}"

    def url_for(self, url: str) -> str:
        """A server's own URL, led through the proxy: `proxy.url_for(server.url)`, with TLS too."""
        parts = urlsplit(url)
        return parts._replace(netloc=f"{parts.hostname}:{self.port}").geturl()

    def start(self, port: int) -> None:
        """Listen, unless the first connections are to be refused. Raises OSError when the port is taken."""
        self._socket = _bound(port)
        self.port = self._socket.getsockname()[1]
        if (refusal := self.schedule.refusal(0)) is None:
            self._listen()
        else:
            self._reopen_after(refusal)

    async def stop(self) -> None:
        """Cut every connection and close the port."""
        self._close_port()
        tasks = [*self._connections, *self._reopening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note(self, connection: int, what: str, up: int = 0, down: int = 0) -> None:
        seconds = asyncio.get_running_loop().time() - self._began
        happening = Happening(round(seconds, 3), connection, what, up, down)
        self.log.append(happening)
        if self._tell is not None:
            self._tell(happening)

    def _listen(self) -> None:
        if self._socket is not None:
            self._socket.listen(BACKLOG)
            asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)
            self._listening = True

    def _close_port(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket, self._listening = None, False

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:  # no more descriptors: trying on would keep the loop busy
            _log.warning("cannot accept a connection: %s", error)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listener)
            loop.call_later(ACCEPT_AGAIN, lambda: self._listen() if self._socket is listener else None)
            return
        number, self.accepted = self.accepted, self.accepted + 1
        connection = ChaosConnection(number, client, self._target, self.schedule.of(number), self._note)
        task = asyncio.create_task(self._carry(connection))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        task.add_done_callback(lambda _: connection.abort())  # a task cancelled before it ran closed nothing

    async def _carry(self, connection: ChaosConnection) -> None:
        try:
            await connection.run(before_end=lambda: self._refuse_after(connection.number))
        except Exception:
            _log.exception("a connection ended in an unexpected error")

    def _refuse_after(self, connection: int) -> None:
        """Close the port before a client can know that its connection ends, should the next one be refused."""
        refusal = self.schedule.refusal(connection + 1)
        if refusal is not None and self._listening and self.accepted == connection + 1:
            self._close_port()
            self._socket = _bound(self.port)  # bound and not listening: nobody else gets the port
            self._reopen_after(refusal)

    def _reopen_after(self, refusal: Mishap) -> None:
        self._note(refusal.connection, str(refusal))
        task = asyncio.create_task(self._reopen(refusal))
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _reopen(self, refusal: Mishap) -> None:
        if refusal.lasts is not None:
            await asyncio.sleep(refusal.lasts)
            self._listen()
            self._note(refusal.connection, "accepted from here on")


def _bound(port: int) -> socket.socket:
    """A socket bound to a port on this machine, that does not listen yet: who connects to it is refused."""
    sock = socket.socket()
    try:
        if os.name == "posix":  # on Windows it would share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


@asynccontextmanager
async def chaos(
    target_host: str,
    target_port: int,
    schedule: ChaosSchedule,
    *,
    port: int = 0,
    tell: Callable[[Happening], object] | None = None,
) -> AsyncIterator[ChaosProxy]:
    """Forward connections on 127.0.0.1 to a server, with the mishaps of a schedule, for as long as the block lasts.

    Clients are given `url`, or `url_for(server.url)`. Both directions are held back by whoever does not read: the
    proxy keeps less than a megabyte of a connection.

    target_host, target_port: the server. A connection that it does not take is closed.
    schedule: what goes wrong; `ChaosSchedule.from_seed(7)`, or `ChaosSchedule()` for nothing.
    port: where to listen; 0 takes a free one.
    tell: is called with every entry of the log when it is made.

    Raises OSError when the port is taken, ValueError for an impossible one. Needs an event loop with `add_reader`,
    as all have but the default one of Windows.
    """
    checks.integer("target_port", target_port, 1, 65535)
    checks.integer("port", port, 0, 65535)
    proxy = ChaosProxy(target_host, target_port, schedule, tell)
    try:
        proxy.start(port)
        yield proxy
    finally:
        await proxy.stop()
