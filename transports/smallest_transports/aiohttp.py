"""Pulse and Lightning over a WebSocket of your `aiohttp.ClientSession`: its connector, proxy, cookies and traces.

async with connect_pulse(PulseOptions(language="en"), session=session, api_key=key) as stream: ...

The streams, and what they do, are those of `smallest_transports.asyncio`, which needs no third-party package and
tells more of what went wrong: prefer it unless the session matters. aiohttp decides these:

- connecting is the session's (`ClientTimeout`, `ssl` of its connector); `Limits.handshake_timeout` bounds connecting
  and the upgrade together, and its error has code `handshake`; an upgrade that gets no answer is tried twice;
- a `HandshakeRejected` has no body, so only the status and the headers tell why;
- a redirect is followed before we can refuse it: without the API key if it leads to another host, with your `headers`;
- the pong deadline is half the heartbeat, and it also counts while nobody iterates and the buffers are full;
- the server's frames are judged by aiohttp: masked ones pass; `max_fragments`, `max_handshake_bytes`, `max_headers`
  and `websocket_idle_timeout` of `Limits` do not apply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from ssl import SSLContext
from typing import TypedDict, Unpack, cast

try:
    import aiohttp
except ModuleNotFoundError as error:
    if error.name != "aiohttp":
        raise
    text = "smallest_transports.aiohttp needs aiohttp: pip install 'smallest-proto[aiohttp]'"
    raise ModuleNotFoundError(text, name="aiohttp") from None

from yarl import URL

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import DeadlineExceeded, LocalProtocolError, ProtocolError
from smallest_proto.lightning import LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseOptions, ResumePolicy
from smallest_proto.wire.redaction import Redactor
from smallest_transports._aiohttp_errors import EXPECTED, rejected, why_not_connected
from smallest_transports._aiohttp_link import AiohttpLink
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectOptions, ConnectSettings, settings
from smallest_transports._lightning import LightningStream, SpeechContext
from smallest_transports._pool import LightningPool
from smallest_transports._pooled_speech import PooledSpeech
from smallest_transports._pulse import PulseStream, TranscriptEvent
from smallest_transports._session import Carried

__all__ = [
    "LightningPool",
    "LightningStream",
    "PooledSpeech",
    "PulseStream",
    "SessionOptions",
    "SpeechContext",
    "TranscriptEvent",
    "connect_lightning",
    "connect_pulse",
    "lightning_pool",
]

_BACKEND = AsyncioBackend()


class SessionOptions(TypedDict, total=False):
    """What `ConnectOptions` says, without what is the session's: how to connect.

    ssl_context: instead of what the session's connector was given.
    """

    api_key: str | None
    base_url: str | None
    headers: Mapping[str, str] | None
    ssl_context: SSLContext | None
    limits: Limits | None


def connect_pulse(
    options: PulseOptions = PulseOptions(),
    *,
    session: aiohttp.ClientSession,
    resume: bool | ResumePolicy = True,
    **connect: Unpack[SessionOptions],
) -> PulseStream:
    """A Pulse stream to use with `async with`, which connects it; the keyword arguments are `SessionOptions`.

    The session is neither changed nor closed: the API key goes on this request only. Raises ValueError for a
    missing key, or a base URL or header that cannot be sent; entering it LocalProtocolError for a closed session.
    """
    return PulseStream(_BACKEND, options, _settings(connect), resume, _Opener(session))


def connect_lightning(
    options: LightningOptions = LightningOptions(),
    *,
    session: aiohttp.ClientSession,
    **connect: Unpack[SessionOptions],
) -> LightningStream:
    """A Lightning connection to use with `async with`; otherwise as `connect_pulse`."""
    return LightningStream(_BACKEND, options, _settings(connect), _Opener(session))


def lightning_pool(
    options: LightningOptions = LightningOptions(),
    *,
    session: aiohttp.ClientSession,
    max_connections: int = 1,
    resume: bool = True,
    **connect: Unpack[SessionOptions],
) -> LightningPool:
    """Lightning connections that are kept open; otherwise as `smallest_transports.asyncio.lightning_pool`."""
    return LightningPool(_BACKEND, options, _settings(connect), max_connections, resume, _Opener(session))


def _settings(given: SessionOptions) -> ConnectSettings:
    if unknown := given.keys() - SessionOptions.__annotations__.keys():
        accepted = ", ".join(SessionOptions.__annotations__)
        raise TypeError(f"unknown: {', '.join(sorted(unknown))}; expected session, {accepted}")
    return settings(
        cast(ConnectOptions, {**given, "proxy": ""})
    )  # the environment's are for the session to heed


class _Opener:
    """An `Opener` over one session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def __call__(
        self, backend: Backend, conn: Carried, request: UpgradeRequest, given: ConnectSettings, /
    ) -> AiohttpLink:
        if self._session.closed:
            raise LocalProtocolError("the aiohttp session is closed: give an open one")
        redactor = Redactor([*self._session.headers.items(), *request.headers])
        opened = await self._upgrade(request, given, redactor, conn.heartbeat)
        if isinstance(opened, ProtocolError):
            raise opened  # here, where no error of aiohttp is its context: they hold the API key
        # the one private name: aiohttp shows neither the redirects it followed nor the transport
        response = opened._response
        link = AiohttpLink(backend, opened, response, conn, redactor, given.limits.close_timeout)
        if response.history:
            await link.aclose()
            first = response.history[0]
            raise rejected(first.status, first.headers, redactor, given.limits.max_error_body)
        return link

    async def _upgrade(
        self, request: UpgradeRequest, given: ConnectSettings, redactor: Redactor, heartbeat: float | None
    ) -> aiohttp.ClientWebSocketResponse | ProtocolError:
        """Ask for it; what failed is returned, not raised."""
        limits = given.limits
        scheme = "https" if request.secure else "http"  # a proxy knows, and the environment names, no wss
        clock = asyncio.timeout(limits.handshake_timeout)
        try:
            async with clock:
                return await self._session.ws_connect(
                    URL(f"{scheme}://{request.host_header}{request.target}", encoded=True),
                    headers=request.headers,
                    ssl=given.ssl_context or True,
                    heartbeat=heartbeat,
                    max_msg_size=limits.max_message_bytes,
                    autoclose=False,  # it would hold a close frame back until the answer is written
                )
        except EXPECTED as error:
            if clock.expired():
                where = f"{request.host} port {request.port}"
                text = f"no WebSocket at {where} within {limits.handshake_timeout:g} s, connecting included"
                return DeadlineExceeded(text, code="handshake")
            return why_not_connected(error, request, redactor, limits.max_error_body)
