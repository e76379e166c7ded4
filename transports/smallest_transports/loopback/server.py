"""Listening, telling WebSocket from HTTP, accepting upgrades, and handing each connection to its handler."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from smallest_proto.events import Role
from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.lightning import LightningConnection, lightning_options
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseConnection, pulse_options
from smallest_proto.wire import UpgradeReceived, WebSocketServerWire
from smallest_proto.wire.http import HttpServerWire, wants_upgrade
from smallest_transports._asyncio_backend import AsyncioBackend, AsyncioStream
from smallest_transports._backend import CLOSE_TIMEOUT
from smallest_transports._link import Link
from smallest_transports.loopback.access import Gate
from smallest_transports.loopback.engines.base import Recognizer, Synthesizer
from smallest_transports.loopback.engines.scripted import ScriptedRecognizer, ScriptedSynthesizer
from smallest_transports.loopback.http_handler import HttpHandler
from smallest_transports.loopback.lightning_handler import LightningHandler
from smallest_transports.loopback.pulse_handler import PulseHandler

HOST = "127.0.0.1"
"""The server listens on this machine only."""

BASE_PATH = "/waves/v1"
WORKERS = 16
"""Threads for calls to engines; a call blocks one of them."""

_log = logging.getLogger("smallest_transports.loopback")


class LoopbackServer:
    """A running server; made by `serve`."""

    def __init__(
        self, recognizer: Recognizer, synthesizer: Synthesizer, api_key: str | None, limits: Limits
    ) -> None:
        self._recognizer = recognizer
        self._synthesizer = synthesizer
        self._gate = Gate(api_key)
        self._limits = limits
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="engine")
        self._backend = AsyncioBackend()
        self._listener: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.port = 0

    @property
    def url(self) -> str:
        """The base URL to give to clients."""
        return f"http://{HOST}:{self.port}{BASE_PATH}"

    async def start(self, port: int) -> None:
        """Listen. Raises ValueError for an impossible port, OSError for one that is taken."""
        if not 0 <= port <= 65535:
            raise ValueError(f"port={port}: expected 0 to 65535")
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Accepted(self._begin), HOST, port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection, then the engines."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for session in self._sessions:
            session.cancel()
        try:
            while self._sessions:
                await asyncio.wait(self._sessions)
        finally:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._recognizer.close()
            self._synthesizer.close()

    def _begin(self, stream: AsyncioStream) -> None:
        if self._stopping:  # accepted in the very last moment
            stream.abort()
            return
        session = asyncio.create_task(self._serve(stream))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)
        session.add_done_callback(lambda _: stream.abort())  # a task cancelled before it ran closed nothing

    async def _serve(self, stream: AsyncioStream) -> None:
        begun = self._backend.now()
        try:
            head, upgrade = await self._read_head(stream, begun)
            if upgrade:
                await self._serve_websocket(stream, head, begun)
            elif head:
                await self._serve_http(stream, head, begun)
        except Exception:
            _log.exception("a connection ended in an unexpected error")
        finally:
            await stream.aclose()

    async def _read_head(self, stream: AsyncioStream, begun: float) -> tuple[bytes, bool]:
        """The first bytes, enough to tell what they begin, and whether that is a WebSocket.

        What is incomplete when the time is up, or the client gone, counts as HTTP, which knows how to refuse it.
        """
        timeout = self._limits.handshake_timeout
        head = b""
        while (upgrade := wants_upgrade(head, limits=self._limits)) is None:
            data = await stream.read(None if timeout is None else begun + timeout)
            if not data:
                break
            head += data
        return head, bool(upgrade)

    async def _serve_websocket(self, stream: AsyncioStream, head: bytes, begun: float) -> None:
        wire = WebSocketServerWire(limits=self._limits)
        link = Link(self._backend, stream, wire)
        try:
            wire.connect(begun)
            wire.receive_data(head, self._backend.now())
            event = await link.next_event()
            if isinstance(event, UpgradeReceived):
                handler = self._answer(link, wire, event)
                await link.flush()
                if handler is not None:
                    await handler.run()
        finally:
            await link.aclose()

    async def _serve_http(self, stream: AsyncioStream, head: bytes, begun: float) -> None:
        wire = HttpServerWire(limits=self._limits)
        link = Link(self._backend, stream, wire)
        handler = HttpHandler(
            link, wire, self._gate, self._recognizer, self._synthesizer, self._pool, self._limits
        )
        try:
            wire.receive_data(head, begun)
            wire.handle_timeout(self._backend.now())
            await link.flush(self._patience())
            if await handler.run():
                await self._linger(stream)
        finally:
            await link.aclose()

    async def _linger(self, stream: AsyncioStream) -> None:
        """Read on for a while: to hang up on a client that still sends can take our answer from it."""
        until = self._patience()
        while await stream.read(until) and self._backend.now() < until:
            pass

    def _patience(self) -> float:
        return self._backend.now() + (self._limits.close_timeout or CLOSE_TIMEOUT)

    def _answer(
        self, link: Link, wire: WebSocketServerWire, asked: UpgradeReceived
    ) -> PulseHandler | LightningHandler | None:
        """Accept or reject the upgrade, with the statuses and bodies of the service."""
        now = self._backend.now()
        if (refusal := self._gate.refusal(asked.headers)) is not None:
            _reject(wire, now, refusal)
            return None
        try:
            speech, hearing = lightning_options(asked.target), pulse_options(asked.target)
        except ValueError as error:
            _reject(wire, now, json_reply(400, {"error": str(error), "request_id": secrets.token_hex(8)}))
            return None
        if speech is not None:
            speaker = LightningConnection(speech, Role.SERVER, session_id=f"ws_{secrets.token_hex(8)}")
            wire.accept(speaker, now)
            return LightningHandler(link, speaker, self._synthesizer, self._pool)
        if hearing is not None:
            listener = PulseConnection(hearing, Role.SERVER)
            wire.accept(listener, now)
            return PulseHandler(link, listener, self._recognizer, self._pool)
        _reject(wire, now, json_reply(404, {"error": "not found"}))
        return None


class _Accepted(AsyncioStream):
    """A stream that reports itself once it is connected."""

    def __init__(self, on_connected: Callable[[AsyncioStream], object]) -> None:
        super().__init__()
        self._on_connected = on_connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_connected(self)


def _reject(wire: WebSocketServerWire, now: float, reply: HttpReply) -> None:
    headers = [*reply.headers, ("x-request-id", secrets.token_hex(8))]
    wire.reject(reply.status, now, headers, reply.body)


@asynccontextmanager
async def serve(
    *,
    recognizer: Recognizer | None = None,
    synthesizer: Synthesizer | None = None,
    port: int = 0,
    api_key: str | None = None,
    limits: Limits = Limits(),
) -> AsyncIterator[LoopbackServer]:
    """Run a server on 127.0.0.1 for as long as the block lasts; give its `url` to clients as `base_url`.

    The engines are the scripted ones unless given; they are closed at the end. `port` 0 takes a free one.
    `api_key` is the only key accepted; None accepts any, and none.
    Raises OSError when the port is taken, ValueError for an impossible port or an empty key.
    """
    server = LoopbackServer(
        recognizer or ScriptedRecognizer(), synthesizer or ScriptedSynthesizer(), api_key, limits
    )
    try:
        await server.start(port)
        yield server
    finally:
        await server.stop()
