"""Pulse and Lightning on asyncio, over WebSocket and over HTTP.

async with connect_pulse(PulseOptions(language="en"), api_key=key) as stream:
    await stream.send_audio(pcm)
    await stream.end_input()
    async for event in stream: ...

result = await transcribe(BatchAudio(file), api_key=key)
"""

from __future__ import annotations

from typing import Literal, Unpack

from smallest_proto.lightning import LightningOptions, OutputFormat, Voice
from smallest_proto.pulse import BatchAccepted, BatchOptions, BatchResult, BatchSource, PulseOptions
from smallest_transports import _http
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._connect import ConnectOptions, settings
from smallest_transports._http import SpeechStream
from smallest_transports._lightning import LightningStream, SpeechContext
from smallest_transports._pulse import PulseStream, TranscriptEvent

__all__ = [
    "ConnectOptions",
    "LightningStream",
    "PulseStream",
    "SpeechContext",
    "SpeechStream",
    "TranscriptEvent",
    "connect_lightning",
    "connect_pulse",
    "list_voices",
    "synthesize",
    "transcribe",
]

_BACKEND = AsyncioBackend()


def connect_pulse(options: PulseOptions = PulseOptions(), **connect: Unpack[ConnectOptions]) -> PulseStream:
    """A Pulse stream to use with `async with`, which connects it; the keyword arguments are `ConnectOptions`.

    Raises ValueError for a missing key, or a base URL or header that cannot be sent.
    """
    return PulseStream(_BACKEND, options, settings(**connect))


def connect_lightning(
    options: LightningOptions = LightningOptions(), **connect: Unpack[ConnectOptions]
) -> LightningStream:
    """A Lightning connection to use with `async with`; otherwise as `connect_pulse`."""
    return LightningStream(_BACKEND, options, settings(**connect))


async def transcribe(
    source: BatchSource, options: BatchOptions = BatchOptions(), **connect: Unpack[ConnectOptions]
) -> BatchResult | BatchAccepted:
    """Transcribe a whole recording over HTTP; `BatchAccepted` when the result goes to `options.webhook_url`.

    A long recording needs `Limits(response_timeout=...)`: seconds for the upload and the work together. Raises
    ValueError as `connect_pulse` and `batch_request` do; ServerError for a refusal, and ConnectFailed,
    ConnectionLost, DeadlineExceeded or RemoteProtocolError.
    """
    return await _http.transcribe(_BACKEND, source, options, settings(**connect))


def synthesize(
    text: str,
    options: LightningOptions = LightningOptions(),
    *,
    output_format: OutputFormat = "pcm",
    via: Literal["http", "sse"] = "http",
    **connect: Unpack[ConnectOptions],
) -> SpeechStream:
    """A text spoken over HTTP, or as server-sent events, which carry `pcm` only: use it with `async with`.

    async with synthesize("Good morning.") as speech:
        async for event in speech: ...  # AudioChunk, or EncodedAudio for other formats; SpeechComplete is last

    Raises ValueError as `connect_pulse` and `speech_request` do, and for any other format over "sse".
    """
    return SpeechStream(_BACKEND, text, options, output_format, via, settings(**connect))


async def list_voices(**connect: Unpack[ConnectOptions]) -> tuple[Voice, ...]:
    """The catalogue of voices. Raises as `transcribe` does."""
    return await _http.list_voices(_BACKEND, settings(**connect))
