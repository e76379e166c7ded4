"""The local server: accepts connections, hands each to a session, and ends them all."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

from smallest_proto import checks
from smallest_proto.limits import Limits
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports.loopback.access import Gate
from smallest_transports.loopback.engines.base import Recognizer, Synthesizer
from smallest_transports.loopback.engines.scripted import ScriptedRecognizer, ScriptedSynthesizer
from smallest_transports.loopback.faults import NO_FAULTS, Faults
from smallest_transports.loopback.service import KEPT_REQUESTS, ReceivedRequest, Service
from smallest_transports.loopback.session import Session
from smallest_transports.loopback.stream import AcceptedStream

HOST = "127.0.0.1"
"""The server listens on this machine only."""

BASE_PATH = "/waves/v1"
WORKERS = 16
"""Threads for calls to engines; a call blocks one of them."""

MAX_REFUSALS = 64
"""Connections beyond `max_connections` that are told so at the same time; more are cut without a word."""

_log = logging.getLogger("smallest_transports.loopback")


class LoopbackServer:
    """A running server; made by `serve`.

    Attributes: `port`, and `requests`, the newest requests and upgrades that came, oldest first.
    """

    def __init__(
        self,
        service: Service,
        faults: Sequence[Faults],
        ssl_context: ssl.SSLContext | None,
        max_connections: int | None,
    ) -> None:
        self._service = service
        self._faults = faults
        self._ssl = ssl_context
        self._most = max_connections
        self._listener: asyncio.Server | None = None
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._refusals: set[asyncio.Task[None]] = set()
        self._accepted = 0
        self._stopping = False
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL to give to clients; with TLS its host is `localhost`, for which to have a certificate."""
        return f"{'http' if self._ssl is None else 'https'}://{self._host}:{self.port}{BASE_PATH}"

    @property
    def requests(self) -> deque[ReceivedRequest]:
        """What clients have asked for, without credentials: the newest thousand. Yours to clear."""
        return self._service.requests

    @property
    def _host(self) -> str:
        return HOST if self._ssl is None else "localhost"

    async def start(self, port: int) -> None:
        """Listen. Raises ValueError for an impossible port, OSError for one that is taken."""
        if not 0 <= port <= 65535:
            raise ValueError(f"port={port}: expected 0 to 65535")
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: AcceptedStream(self._ssl, self._begin), HOST, port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def drain(self, seconds: float) -> None:
        """Accept no more, let what is under way finish for up to `seconds`, then end the rest.

        WebSockets on which nothing is under way are closed at once, with 1001 as those that took too long, and
        HTTP connections after their answer. Pulse streams are under way until their client ends them.
        Raises ValueError for seconds that are not a number from 0.
        """
        checks.number("seconds", seconds, 0)
        await self._stop_accepting()
        for task, session in list(self._sessions.items()):
            if not session.leave():
                task.cancel()
        if self._sessions:
            await asyncio.wait(self._sessions, timeout=seconds)
        await self._end_sessions()

    async def stop(self) -> None:
        """End every connection, then the engines."""
        try:
            await self._stop_accepting()
        finally:
            await self._end()

    async def _end(self) -> None:
        try:
            await self._end_sessions()
        finally:
            self._service.pool.shutdown(wait=True, cancel_futures=True)
            self._service.recognizer.close()
            self._service.synthesizer.close()

    async def _stop_accepting(self) -> None:
        self._stopping = True
        listener, self._listener = self._listener, None
        if listener is None:
            return
        try:
            with suppress(NotImplementedError):  # of a loop that waits for completions, as on Windows
                for sock in listener.sockets:
                    asyncio.get_running_loop().remove_reader(sock.fileno())
            # before 3.12, asyncio forgets to close a socket that was accepted in the turn before its server is closed
            await asyncio.sleep(0)
        finally:
            listener.close()

    async def _end_sessions(self) -> None:
        for task, session in self._sessions.items():
            session.say_goodbye()
            task.cancel()
        while self._sessions:
            await asyncio.wait(self._sessions)

    def _begin(self, stream: AcceptedStream) -> None:
        crowded = self._most is not None and len(self._sessions) - len(self._refusals) >= self._most
        if self._stopping or (crowded and len(self._refusals) >= MAX_REFUSALS):
            stream.abort()
            return
        faults = self._faults[min(self._accepted, len(self._faults) - 1)]
        self._accepted += 1
        session = Session(stream, self._service, faults, crowded=crowded)
        task = asyncio.create_task(_serve(session))
        self._sessions[task] = session
        task.add_done_callback(self._sessions.pop)
        if crowded:
            self._refusals.add(task)
            task.add_done_callback(self._refusals.discard)
        task.add_done_callback(lambda _: stream.abort())  # a task cancelled before it ran closed nothing


async def _serve(session: Session) -> None:
    try:
        await session.run()
    except Exception:
        _log.exception("a connection ended in an unexpected error")


@asynccontextmanager
async def serve(
    *,
    recognizer: Recognizer | None = None,
    synthesizer: Synthesizer | None = None,
    port: int = 0,
    api_key: str | None = None,
    limits: Limits = Limits(),
    ssl_context: ssl.SSLContext | None = None,
    max_connections: int | None = None,
    faults: Faults | Sequence[Faults] = NO_FAULTS,
) -> AsyncIterator[LoopbackServer]:
    """Run a server on 127.0.0.1 for as long as the block lasts; give its `url` to clients as `base_url`.

    recognizer, synthesizer: the engines, the scripted ones unless given; they are closed at the end.
    port: 0 takes a free one.
    api_key: the only key accepted; None accepts any, and none.
    limits: sizes and waiting times.
    ssl_context: for TLS, made with `ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)` and a certificate for localhost.
    max_connections: how many at a time; further ones are refused with 503. None for no limit.
    faults: what the server does wrong, for testing clients. Of several, the first connection gets the first one,
        the second the second, and all that follow the last.

    Raises OSError when the port is taken, ValueError for an impossible port or limit, an empty key, no faults at
    all, or a context that is for clients.
    """
    recognizer, synthesizer = recognizer or ScriptedRecognizer(), synthesizer or ScriptedSynthesizer()
    try:
        server = _checked(recognizer, synthesizer, api_key, limits, ssl_context, max_connections, faults)
    except BaseException:
        recognizer.close()
        synthesizer.close()
        raise
    try:
        await server.start(port)
        yield server
    finally:
        await server.stop()


def _checked(
    recognizer: Recognizer,
    synthesizer: Synthesizer,
    api_key: str | None,
    limits: Limits,
    ssl_context: ssl.SSLContext | None,
    max_connections: int | None,
    faults: Faults | Sequence[Faults],
) -> LoopbackServer:
    gate = Gate(api_key)
    if ssl_context is not None and ssl_context.protocol is ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError("ssl_context: expected one for servers, of PROTOCOL_TLS_SERVER")
    if max_connections is not None:
        checks.integer("max_connections", max_connections, 1)
    one_by_one = (faults,) if isinstance(faults, Faults) else tuple(faults)
    if not one_by_one:
        raise ValueError("faults: expected at least one")
    service = Service(
        AsyncioBackend(),
        recognizer,
        synthesizer,
        gate,
        ThreadPoolExecutor(WORKERS, thread_name_prefix="engine"),
        limits,
        deque(maxlen=KEPT_REQUESTS),
    )
    return LoopbackServer(service, one_by_one, ssl_context, max_connections)
