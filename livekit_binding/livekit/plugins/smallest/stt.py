"""Speech to text for LiveKit agents: Pulse as a stream, and over HTTP for whole recordings."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Never, Self, Unpack

from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr, stt, utils

from livekit import rtc
from livekit.plugins.smallest._errors import api_error
from livekit.plugins.smallest.audio_input import to_mono
from livekit.plugins.smallest.pulse_socket import Service
from livekit.plugins.smallest.speech_events import batch_event
from livekit.plugins.smallest.speech_stream import SpeechStream
from livekit.plugins.smallest.stt_options import ChangeableOptions, SttOptions
from smallest_proto.audio import Encoding
from smallest_proto.endpoints import BASE_URL
from smallest_proto.errors import DeadlineExceeded, ProtocolError, RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchPcm, BatchResult, ResumePolicy
from smallest_proto.pulse.options import Endpoint
from smallest_transports._pulse import check_resume

if TYPE_CHECKING:
    import aiohttp

PROVIDER = "SmallestAI"

RECORDING_TIMEOUT = 30.0
"""Seconds for a whole recording, upload and answer [seed]."""


class STT(stt.STT[Never]):
    """Smallest AI's Pulse. Without further arguments it asks for what the seed plugin asks for.

    model, language, sample_rate (Hz), encoding, word_timestamps, diarize, eou_timeout_ms (0 or None leaves it to
    the server: 800 ms), api_key (SMALLEST_API_KEY in the environment unless given), base_url: as the seed has
    them. Frames of any rate may be pushed; they are resampled to `sample_rate`.
    http_session: streams and recordings go over this aiohttp session, with its proxy and connector; without it,
    over sockets of their own, of which there can be any number.

    endpoint: `get_text`, the seed's, or `live`, the unified one, or `transcribe`, a direct server. The last two
    bring the defaults of the newer plugin: `vad_events`, `endpointing`, `format` on, `endpointing_timeout_ms`
    300, `finalize_on_flush`. stream_path: the newer plugin's way to say the same, "/stt/live" or "/transcribe".
    format, itn_normalize, sentence_timestamps, redact_pii, redact_pci, endpointing, vad_events, numerals,
    finalize_on_words, max_words, keywords ((phrase, boost) pairs), endpointing_timeout_ms (None leaves it out):
    sent when given; `PulseOptions` says what they mean.
    finalize_on_flush: `flush()` asks for a final. keepalive_interval: seconds, None for none.
    resume: when a stream's connection is lost, another takes over and hears again what no final had covered, so
    that nothing said is missing. A `ResumePolicy` says how, in detail; with False the framework begins anew, and
    that audio is lost.

    With `vad_events` the server says when speech starts and ends; otherwise text does. Either way no turn stays
    open when a connection ends.

    Raises ValueError naming the argument, or the missing key's variable.
    """

    def __init__(
        self,
        *,
        model: str = "pulse",
        language: str = "en",
        sample_rate: int = 16000,
        encoding: Encoding | str = "linear16",
        word_timestamps: bool = True,
        diarize: bool = False,
        eou_timeout_ms: NotGivenOr[int | None] = 0,
        endpoint: NotGivenOr[Endpoint] = NOT_GIVEN,
        stream_path: NotGivenOr[str] = NOT_GIVEN,
        format: NotGivenOr[bool] = NOT_GIVEN,
        itn_normalize: NotGivenOr[bool] = NOT_GIVEN,
        numerals: NotGivenOr[bool | Literal["true", "false", "auto"]] = NOT_GIVEN,
        keywords: NotGivenOr[Sequence[tuple[str, float] | str]] = NOT_GIVEN,
        sentence_timestamps: NotGivenOr[bool] = NOT_GIVEN,
        redact_pii: NotGivenOr[bool] = NOT_GIVEN,
        redact_pci: NotGivenOr[bool] = NOT_GIVEN,
        endpointing: NotGivenOr[bool] = NOT_GIVEN,
        endpointing_timeout_ms: NotGivenOr[int | None] = NOT_GIVEN,
        vad_events: NotGivenOr[bool] = NOT_GIVEN,
        finalize_on_flush: NotGivenOr[bool] = NOT_GIVEN,
        finalize_on_words: NotGivenOr[bool] = NOT_GIVEN,
        max_words: NotGivenOr[int] = NOT_GIVEN,
        keepalive_interval: NotGivenOr[float | None] = NOT_GIVEN,
        extra: NotGivenOr[Mapping[str, str]] = NOT_GIVEN,
        api_key: str | None = None,
        http_session: aiohttp.ClientSession | None = None,
        base_url: str = BASE_URL,
        resume: bool | ResumePolicy = True,
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=True,
                diarization=diarize,
                aligned_transcript="word" if word_timestamps else False,
            )
        )
        self._options = SttOptions.create(
            {
                "model": model,
                "language": language,
                "sample_rate": sample_rate,
                "encoding": encoding,
                "word_timestamps": word_timestamps,
                "diarize": diarize,
                "eou_timeout_ms": eou_timeout_ms,
                "endpoint": endpoint,
                "stream_path": stream_path,
                "format": format,
                "itn_normalize": itn_normalize,
                "numerals": numerals,
                "keywords": keywords,
                "sentence_timestamps": sentence_timestamps,
                "redact_pii": redact_pii,
                "redact_pci": redact_pci,
                "endpointing": endpointing,
                "endpointing_timeout_ms": endpointing_timeout_ms,
                "vad_events": vad_events,
                "finalize_on_flush": finalize_on_flush,
                "finalize_on_words": finalize_on_words,
                "max_words": max_words,
                "keepalive_interval": keepalive_interval,
                "extra": extra,
            }
        )
        self._service = Service(base_url, api_key, http_session)
        check_resume(resume)
        self._resume = resume
        self._streams = weakref.WeakSet[SpeechStream]()

    async def __aenter__(self) -> Self:
        """Nothing is opened: streams connect by themselves."""
        return self

    @property
    def model(self) -> str:
        """The model's name."""
        return self._options.pulse.model

    @property
    def provider(self) -> str:
        """The provider's name, as metrics have it."""
        return PROVIDER

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechStream:
        """A stream, which connects at once. Raises ValueError for a model that cannot stream."""
        options = self._options.changed({"language": language})
        options.check_streaming()
        stream = SpeechStream(
            stt=self,
            options=options,
            service=self._service,
            conn_options=conn_options,
            resume=self._resume,
        )
        self._streams.add(stream)
        return stream

    def update_options(self, **changes: Unpack[ChangeableOptions]) -> None:
        """Change options, here and in every open stream; a stream for which that changes nothing stays as it is.

        model, language, sample_rate, encoding, eou_timeout_ms, format, itn_normalize, keywords,
        sentence_timestamps, redact_pii, redact_pci, endpointing, endpointing_timeout_ms, vad_events and
        finalize_on_flush, as in the constructor. Raises ValueError naming the argument; then nothing has changed.
        """
        changed = self._options.changed(changes)
        if self._streams:
            changed.check_streaming()
        self._options = changed
        for stream in self._streams:
            stream.update_options(**changes)

    async def aclose(self) -> None:
        """Close every open stream."""
        await asyncio.gather(*(stream.aclose() for stream in tuple(self._streams)))

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        options = self._options.changed({"language": language}).batch()
        frame = to_mono(rtc.combine_audio_frames(buffer))
        pcm = bytes(frame.data.cast("B"))
        if not pcm:
            return batch_event(BatchResult(text=""), options)
        limits = Limits(response_timeout=RECORDING_TIMEOUT)
        try:
            async with asyncio.timeout(RECORDING_TIMEOUT):
                result = await self._service.transcribe(
                    BatchPcm(pcm, frame.sample_rate), options, limits, conn_options.timeout
                )
        except TimeoutError:
            late = DeadlineExceeded(f"no transcript within {RECORDING_TIMEOUT:g} s", code="response")
            raise api_error(late) from None
        except ProtocolError as error:
            raise api_error(error) from None
        if not isinstance(result, BatchResult):
            raise api_error(
                RemoteProtocolError("the answer promises a transcript to a webhook; none was asked for")
            )
        return batch_event(result, options)
