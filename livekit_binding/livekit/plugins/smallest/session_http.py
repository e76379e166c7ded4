"""Recordings and whole texts over somebody's aiohttp session: its connector and its proxy carry the requests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import aiohttp
from yarl import URL

from livekit.plugins.smallest.headers import HEADERS
from livekit.plugins.smallest.speech_connections import SpeechServer
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ServerError,
)
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.http_request import HttpRequest
from smallest_proto.lightning import (
    AudioChunk,
    EncodedAudio,
    LightningOptions,
    OutputFormat,
    SpeechExchange,
    speech_request,
)
from smallest_proto.pulse import BatchAccepted, BatchCompleted, BatchExchange, BatchOptions, BatchResult
from smallest_proto.wire.redaction import Redactor


async def transcribe_over(
    session: aiohttp.ClientSession, request: HttpRequest, options: BatchOptions, connect_timeout: float
) -> BatchResult | BatchAccepted:
    """The transcript; the caller bounds the time that it may take. Raises ProtocolError for what failed."""
    waits = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout)
    async with aclosing(_exchange_over(session, request, BatchExchange(options), waits)) as events:
        async for event in events:
            if isinstance(event, BatchCompleted):
                return event.result
            assert isinstance(event, BatchAccepted)
            return event
    raise AssertionError("an exchange tells how it ended")


async def speech_over(
    session: aiohttp.ClientSession,
    text: str,
    options: LightningOptions,
    output_format: OutputFormat,
    server: SpeechServer,
    timeout: float,
) -> AsyncGenerator[AudioChunk | EncodedAudio, None]:
    """The audio as it comes. `timeout` (seconds) bounds connecting, and each wait for more.

    Raises ServerError for a refusal, ConnectFailed, ConnectionLost or DeadlineExceeded.
    """
    request = speech_request(
        text,
        options,
        output_format=output_format,
        api_key=server.api_key,
        base_url=server.base_url,
        headers=HEADERS,
    )
    waits = aiohttp.ClientTimeout(total=None, connect=timeout, sock_read=timeout)
    exchange = SpeechExchange(options, output_format)
    async with aclosing(_exchange_over(session, request, exchange, waits)) as events:
        async for event in events:
            if isinstance(event, AudioChunk | EncodedAudio):
                yield event


async def _exchange_over(
    session: aiohttp.ClientSession,
    request: HttpRequest,
    exchange: HttpExchange,
    waits: aiohttp.ClientTimeout,
) -> AsyncGenerator[Event, None]:
    """What the exchange tells, as it comes. Raises what it failed with."""
    async with aclosing(_fed(exchange, session, request, waits)) as pieces:
        async for _ in pieces:
            for event in _handed_out(exchange, request):
                yield event
    for event in _handed_out(exchange, request):
        yield event


async def _fed(
    exchange: HttpExchange,
    session: aiohttp.ClientSession,
    request: HttpRequest,
    waits: aiohttp.ClientTimeout,
) -> AsyncGenerator[None, None]:
    """Make the request and feed the exchange, with a pause after each piece of the body.

    Of no error that the exchange then tells is one of aiohttp the context: they hold the API key. Nor is one raised
    in here, where a traceback could show what the server wrote.
    """
    scheme = "https" if request.secure else "http"
    url = URL(f"{scheme}://{request.host_header}{request.target}", encoded=True)
    try:
        async with await _post(session, url, request, waits) as response:
            exchange.receive_head(response.status, response.headers.items())
            async for data in response.content.iter_any():
                exchange.receive_body(data)
                yield
            exchange.receive_end()
    except TimeoutError:
        seconds = waits.sock_connect if waits.sock_read is None else waits.sock_read
        exchange.receive_failure(DeadlineExceeded(f"no answer within {seconds:g} s", code="response"))
    except aiohttp.ClientConnectorError:  # what it says can hold a proxy's URL, with its password
        exchange.receive_failure(ConnectFailed("no connection through the aiohttp session"))
    except aiohttp.ClientError as error:
        exchange.receive_failure(ConnectionLost(f"the aiohttp session failed: {type(error).__name__}"))
    except _Unusable:
        exchange.receive_failure(
            LocalProtocolError(
                "the aiohttp session cannot be used: expected an open one, without `auth` of its own"
            )
        )


class _Unusable(Exception):
    """Of the session, not of the server."""


async def _post(
    session: aiohttp.ClientSession, url: URL, request: HttpRequest, waits: aiohttp.ClientTimeout
) -> aiohttp.ClientResponse:
    try:
        return await session.post(
            url, data=request.body, headers=request.headers, timeout=waits, allow_redirects=False
        )
    except aiohttp.ClientError:  # some of which are ValueErrors, too
        raise
    except (RuntimeError, ValueError):
        raise _Unusable from None


def _handed_out(exchange: HttpExchange, request: HttpRequest) -> Iterator[Event]:
    while (event := exchange.next_event()) is not NEED_DATA:
        if isinstance(event, RequestFailed):
            if isinstance(event.error, ServerError):
                Redactor(request.headers).error(event.error)
            raise event.error
        yield event
