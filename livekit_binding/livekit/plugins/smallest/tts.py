"""Lightning for LiveKit: `TTS`, and what it remembers between streams."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Literal, Self

import aiohttp
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr, tts
from livekit.agents.utils import is_given

from livekit.plugins.smallest.chunked_stream import ChunkedStream
from livekit.plugins.smallest.models import TTSEncoding, TTSModels
from livekit.plugins.smallest.speech_connections import SpeechConnections, SpeechServer
from livekit.plugins.smallest.synthesize_stream import SynthesizeStream
from livekit.plugins.smallest.tts_options import (
    SMALLEST_BASE_URL,
    changed,
    checked_format,
    chosen_mode,
    given_or,
    websocket_base_url,
    wire_language,
    with_timeout,
)
from smallest_proto import LightningOptions
from smallest_proto.endpoints import split_base_url
from smallest_proto.lightning import OutputFormat
from smallest_proto.lightning.options import TextMode
from smallest_transports._connect import find_key

NUM_CHANNELS = 1


class TTS(tts.TTS[Literal["smallest_tts"]]):
    """Lightning as a LiveKit text to speech. With the arguments up to `http_session` it behaves as the seed.

    api_key: SMALLEST_API_KEY in the environment unless given.
    model, voice_id: a voice belongs to a model; None takes `meher` for `lightning_v3.1_pro`, else `sophia`.
    sample_rate: Hz of the audio: 8000, 16000, 24000 or 44100.
    speed: 0.5 to 2.0.
    language: of the text; only the base code is sent, `en` for `en-US`.
    output_format: of `synthesize` only; whatever it is, PCM comes out. Streams are PCM on the wire too.
    base_url, ws_url: other servers than the vendor's; `ws_url` ends in `/tts/live`, and follows `base_url`
        unless given.
    http_session: connect through this aiohttp session, its connector and proxy, instead of own sockets.
    text_mode: how a stream's text reaches the server. `segment` sends it whole, at the first flush, as the seed;
        `context` as it is pushed, released sentence by sentence; `continue` by the older continue/flush protocol.
        Unless given it follows the next four: any of them makes it `context`, as in the newer plugin, but for
        `use_continuations=False`.
    use_continuations: True for `context`, False for `continue` [lk 1.8.9].
    word_timestamps: ask for word times in streams, handed out as a timed transcript; a few voices have them.
    max_buffer_flush_ms: `continue` only, 0 to 1000 ms after which gathered text is spoken; 0 for never.
    max_buffer_delay_ms: `context` only, 0 to 5000 ms that text waits at most for its sentence to end.
    number_pronunciation_language, math_notation, pronunciation_dicts, content_filter, complete_backoff_ms,
        expire_content: see `LightningOptions`.

    Raises ValueError, naming the argument, for a value that the service cannot take, and for a missing key.
    Call `aclose` at the end.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        model: TTSModels | str = "lightning_v3.1_pro",
        voice_id: str | None = None,
        sample_rate: int = 24000,
        speed: float = 1.0,
        language: str = "en",
        output_format: TTSEncoding | str = "pcm",
        base_url: str = SMALLEST_BASE_URL,
        ws_url: NotGivenOr[str] = NOT_GIVEN,
        http_session: aiohttp.ClientSession | None = None,
        text_mode: NotGivenOr[TextMode] = NOT_GIVEN,
        use_continuations: NotGivenOr[bool] = NOT_GIVEN,
        word_timestamps: NotGivenOr[bool] = NOT_GIVEN,
        max_buffer_flush_ms: NotGivenOr[int] = NOT_GIVEN,
        max_buffer_delay_ms: NotGivenOr[int] = NOT_GIVEN,
        number_pronunciation_language: str | None = None,
        math_notation: bool | None = None,
        pronunciation_dicts: Sequence[str] = (),
        content_filter: Literal["reject", "flag"] | None = None,
        complete_backoff_ms: float | None = None,
        expire_content: bool = False,
    ) -> None:
        options = LightningOptions(
            model=model,
            voice_id=voice_id,
            sample_rate=sample_rate,
            speed=speed,
            language=wire_language(language),
            text_mode=chosen_mode(
                text_mode, use_continuations, (word_timestamps, max_buffer_flush_ms, max_buffer_delay_ms)
            ),
            word_timestamps=given_or(word_timestamps, False),
            max_buffer_flush_ms=given_or(max_buffer_flush_ms, 0),
            max_buffer_delay_ms=given_or(max_buffer_delay_ms, 3000),
            number_pronunciation_language=number_pronunciation_language,
            math_notation=math_notation,
            pronunciation_dicts=pronunciation_dicts,
            content_filter=content_filter,
            complete_backoff_ms=complete_backoff_ms,
            expire_content=expire_content,
        )
        capabilities = tts.TTSCapabilities(streaming=True, aligned_transcript=options.word_timestamps)
        super().__init__(
            capabilities=capabilities, sample_rate=options.sample_rate, num_channels=NUM_CHANNELS
        )
        ws_base_url = websocket_base_url(ws_url, base_url)
        for url in (base_url, ws_base_url):
            split_base_url(url)
        self._options = options
        self._format = checked_format(output_format)
        key, _ = (find_key(api_key or None, url) for url in (base_url, ws_base_url))  # either may need one
        self._server = SpeechServer(base_url, ws_base_url, key, http_session)
        self._connections = SpeechConnections(self._server)
        self._streams: weakref.WeakSet[SynthesizeStream | ChunkedStream] = weakref.WeakSet()

    @property
    def model(self) -> str:
        """The model's name."""
        return self._options.model

    @property
    def provider(self) -> str:
        """The vendor's name, as metrics show it [seed]."""
        return "SmallestAI"

    @property
    def lightning_options(self) -> LightningOptions:
        """What streams made now will ask for."""
        return self._options

    @property
    def output_format(self) -> OutputFormat:
        """What `synthesize` asks for."""
        return self._format

    @property
    def server(self) -> SpeechServer:
        """For the streams: where to connect."""
        return self._server

    @property
    def connections(self) -> SpeechConnections:
        """For the streams: where their connections come from."""
        return self._connections

    def update_options(
        self,
        *,
        model: NotGivenOr[TTSModels | str] = NOT_GIVEN,
        voice_id: NotGivenOr[str] = NOT_GIVEN,
        speed: NotGivenOr[float] = NOT_GIVEN,
        sample_rate: NotGivenOr[int] = NOT_GIVEN,
        language: NotGivenOr[str] = NOT_GIVEN,
        output_format: NotGivenOr[TTSEncoding | str] = NOT_GIVEN,
        word_timestamps: NotGivenOr[bool] = NOT_GIVEN,
        max_buffer_flush_ms: NotGivenOr[int] = NOT_GIVEN,
        use_continuations: NotGivenOr[bool] = NOT_GIVEN,
        max_buffer_delay_ms: NotGivenOr[int] = NOT_GIVEN,
        text_mode: NotGivenOr[TextMode] = NOT_GIVEN,
    ) -> None:
        """Change what streams made from now on ask for; those that exist keep theirs.

        A new model keeps the voice: give both where it has none of that name. Raises ValueError, and changes
        nothing, for a value that the service cannot take.
        """
        mode: NotGivenOr[TextMode] = text_mode
        if is_given(use_continuations):
            mode = chosen_mode(text_mode, use_continuations, ())
        format_now = checked_format(output_format) if is_given(output_format) else self._format
        self._options = changed(
            self._options,
            model=model,
            voice_id=voice_id,
            speed=speed,
            sample_rate=sample_rate,
            language=wire_language(language) if is_given(language) else NOT_GIVEN,
            word_timestamps=word_timestamps,
            max_buffer_flush_ms=max_buffer_flush_ms,
            max_buffer_delay_ms=max_buffer_delay_ms,
            text_mode=mode,
        )
        self._format = format_now
        self._sample_rate = self._options.sample_rate
        self._capabilities.aligned_transcript = self._options.word_timestamps

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> ChunkedStream:
        """A whole text spoken over HTTP: iterate over what this returns, or `collect` it."""
        stream = ChunkedStream(tts=self, input_text=text, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def stream(self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS) -> SynthesizeStream:
        """One segment of speech over a WebSocket: push text, end the input, iterate."""
        stream = SynthesizeStream(tts=self, conn_options=conn_options)
        self._streams.add(stream)
        return stream

    def prewarm(self) -> None:
        """Open a connection ahead of the first stream with `conn_options` as they come; needs a running event loop."""
        timeout = DEFAULT_API_CONNECT_OPTIONS.timeout
        self._connections.prewarm(with_timeout(self._options, timeout), timeout)

    async def __aenter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """Close the streams that are left, and the connections. Harmless when repeated."""
        for stream in list(self._streams):
            await stream.aclose()
        self._streams.clear()
        await self._connections.aclose()
