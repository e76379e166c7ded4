"""Requests over any backend: the wire, the machine that reads the answer, and the calls that people make."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self, TypeAlias

from smallest_proto import checks
from smallest_proto.errors import LocalProtocolError, ServerError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.http_request import HttpRequest
from smallest_proto.lightning import (
    AudioChunk,
    EncodedAudio,
    LightningOptions,
    OutputFormat,
    SpeechComplete,
    SpeechEventsExchange,
    SpeechExchange,
    Voice,
    VoicesExchange,
    VoicesReceived,
    speech_request,
    speech_stream_request,
    voices_request,
)
from smallest_proto.pulse import (
    BatchAccepted,
    BatchCompleted,
    BatchExchange,
    BatchOptions,
    BatchResult,
    BatchSource,
    batch_request,
)
from smallest_proto.wire.http import HttpWire
from smallest_proto.wire.redaction import Redactor
from smallest_transports._backend import AT_ONCE, Backend
from smallest_transports._connect import ConnectSettings, open_stream
from smallest_transports._link import Link

SpokenEvent: TypeAlias = AudioChunk | EncodedAudio | SpeechComplete
"""What iterating over a `SpeechStream` yields; the last one ends it."""


class HttpCall:
    """One request and its answer, on a connection of its own: `async with` opens and closes it. Entered once.

    Nothing is read ahead of `next_event`, so a caller who takes his time slows the server down.
    """

    def __init__(
        self, backend: Backend, request: HttpRequest, exchange: HttpExchange, given: ConnectSettings
    ) -> None:
        self._backend = backend
        self._request = request
        self._exchange = exchange
        self._settings = given
        self._entered = False
        self._link: Link | None = None

    async def __aenter__(self) -> Self:
        """Connect and send the request. Raises ConnectFailed, or DeadlineExceeded with code `connect`."""
        if self._entered:
            raise LocalProtocolError(f"a {type(self).__name__} is entered once: make another")
        self._entered = True
        wire = HttpWire(limits=self._settings.limits)
        stream = await open_stream(self._backend, self._request, self._settings)
        link = Link(self._backend, stream, wire)
        try:
            wire.start(self._request, self._backend.now())
            await link.flush(
                AT_ONCE
            )  # the rest while the answer is awaited: it may be a refusal of the beginning
        except BaseException:
            await stream.aclose()
            raise
        self._link = link
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def next_event(self) -> Event | None:
        """The next event of the exchange; None after the last. Raises what the request failed with."""
        if self._link is None:
            raise LocalProtocolError(f"not connected: use the {type(self).__name__} with `async with`")
        while (event := self._exchange.next_event()) is NEED_DATA:
            if self._exchange.over or (given := await self._link.next_event()) is None:
                return None
            self._exchange.receive(given)
        if isinstance(event, RequestFailed):
            if isinstance(
                event.error, ServerError
            ):  # told with a status of 200, which the wire does not look into
                Redactor(self._request.headers).error(event.error)
            raise event.error
        return event

    async def aclose(self) -> None:
        """Close now, whatever is still under way. Bounded in time; harmless when repeated."""
        if self._link is not None:
            await self._link.aclose()


class SpeechStream(HttpCall):
    """A text being spoken; made by `synthesize`, used with `async with`. Only one task may iterate."""

    def __init__(
        self,
        backend: Backend,
        text: str,
        options: LightningOptions,
        output_format: OutputFormat,
        via: Literal["http", "sse"],
        given: ConnectSettings,
    ) -> None:
        checks.one_of("via", via, ("http", "sse"))
        key, base_url, headers = given.api_key, given.base_url, given.headers
        if via == "http":
            request = speech_request(
                *(text, options),
                output_format=output_format,
                api_key=key,
                base_url=base_url,
                headers=headers,
            )
            exchange: HttpExchange = SpeechExchange(options, output_format, limits=given.limits)
        elif output_format != "pcm":
            raise checks.refuse("output_format", output_format, "'pcm': events carry nothing else")
        else:
            request = speech_stream_request(text, options, api_key=key, base_url=base_url, headers=headers)
            exchange = SpeechEventsExchange(options, limits=given.limits)
        super().__init__(backend, request, exchange, given)

    def __aiter__(self) -> Self:
        """Audio as it comes; `SpeechComplete` is the last."""
        return self

    async def __anext__(self) -> SpokenEvent:
        """The next event, waiting for it. Raises what the request failed with; audio before that is sound."""
        while (event := await self.next_event()) is not None:
            if isinstance(event, SpokenEvent):
                return event
        raise StopAsyncIteration


async def transcribe(
    backend: Backend, source: BatchSource, options: BatchOptions, given: ConnectSettings
) -> BatchResult | BatchAccepted:
    """One recording's transcript, or that it will go to the webhook."""
    request = batch_request(
        source, options, api_key=given.api_key, base_url=given.base_url, headers=given.headers
    )
    async with HttpCall(backend, request, BatchExchange(options, limits=given.limits), given) as call:
        event = await call.next_event()
    assert isinstance(event, BatchCompleted | BatchAccepted)
    return event.result if isinstance(event, BatchCompleted) else event


async def list_voices(backend: Backend, given: ConnectSettings) -> tuple[Voice, ...]:
    """The catalogue."""
    request = voices_request(api_key=given.api_key, base_url=given.base_url, headers=given.headers)
    async with HttpCall(backend, request, VoicesExchange(limits=given.limits), given) as call:
        event = await call.next_event()
    assert isinstance(event, VoicesReceived)
    return event.voices
