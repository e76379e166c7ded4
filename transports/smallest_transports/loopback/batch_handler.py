"""A whole recording through the recogniser: what a client asked for, into the reply to send."""

from __future__ import annotations

import secrets
from concurrent.futures import Executor
from functools import partial

from smallest_proto.audio import SAMPLE_RATES
from smallest_proto.http_reply import HttpReply
from smallest_proto.pulse import (
    BatchAsked,
    BatchOptions,
    BatchRefusal,
    BatchResult,
    ErrorMessage,
    TranscriptMessage,
    batch_refusal,
    batch_reply,
    join_finals,
)
from smallest_proto.pulse.messages import ServerMessage
from smallest_proto.wav import WavReader, is_wav
from smallest_transports.audio_files import AudioFileError, Clip, decode_audio, resample
from smallest_transports.loopback.engines.base import (
    EngineError,
    Recognizer,
    RecognizerSession,
    RecognizerSetup,
)
from smallest_transports.loopback.offload import offload

PIECE = 64 * 1024
"""Bytes of audio for each call to the recogniser: two seconds at 16 kHz, after which a client may have left."""

ANY_RATE = 16000
"""Hz to which other rates than those that streams can have are brought."""

MIN_RATE, MAX_RATE = 4000, 192000
"""Hz. A false rate would turn a small file into hours of audio."""


async def batch_answer(asked: BatchAsked, recognizer: Recognizer, pool: Executor) -> HttpReply:
    """The reply to a recording. Raises EngineError, or whatever else an engine raises."""
    if asked.url is not None:
        return _refuse(asked, "the local server fetches nothing: send the recording itself, not its url")
    if asked.options.webhook_url is not None:
        return _refuse(asked, "the local server calls no webhook: leave webhook_url out")
    try:
        clip = await offload(pool, partial(read_recording, asked.audio))
    except AudioFileError as error:
        return _refuse(asked, str(error))
    opening = partial(recognizer.open, _setup(asked.options, clip.rate))
    session = await offload(pool, opening, undo=lambda session: session.close())
    try:
        messages = await _recognise(session, clip.pcm, pool)
    finally:
        await offload(pool, session.close)
    return batch_reply(_result(messages, clip, asked.options), asked.options)


def read_recording(data: bytes) -> Clip:
    """The samples in a file. 16-bit mono WAV needs no package; the rest needs soundfile. Raises AudioFileError."""
    clip = _plain_wav(data) or decode_audio(data, "the recording")
    if clip.rate in SAMPLE_RATES:
        return clip
    if not MIN_RATE <= clip.rate <= MAX_RATE:
        raise AudioFileError(f"the recording: its rate is {clip.rate} Hz, expected {MIN_RATE} to {MAX_RATE}")
    return resample(clip, ANY_RATE)


def _plain_wav(data: bytes) -> Clip | None:
    if not is_wav(data[:12]):
        return None
    reader = WavReader()
    try:
        pcm = reader.feed(data)
    except ValueError:
        return None
    form = reader.format
    if form is None or not form.is_pcm16_mono(form.sample_rate) or len(pcm) < 2:
        return None
    return Clip(pcm[: len(pcm) // 2 * 2], form.sample_rate)


async def _recognise(session: RecognizerSession, pcm: bytes, pool: Executor) -> list[ServerMessage]:
    messages: list[ServerMessage] = []
    for start in range(0, len(pcm), PIECE):
        messages += await offload(pool, partial(session.feed, pcm[start : start + PIECE]))
    return [*messages, *await offload(pool, session.finish)]


def _setup(options: BatchOptions, rate: int) -> RecognizerSetup:
    words = bool(options.word_timestamps)
    return RecognizerSetup(
        encoding="linear16",
        sample_rate=rate,
        language=options.language,
        word_timestamps=words,
        sentence_timestamps=words and options.model == "pulse",  # pulse-pro has no utterances [openapi stt]
    )


def _result(messages: list[ServerMessage], clip: Clip, options: BatchOptions) -> BatchResult:
    for message in messages:
        if isinstance(message, ErrorMessage):
            raise EngineError(message.message)
    finals = [m for m in messages if isinstance(m, TranscriptMessage) and m.is_final]
    return BatchResult(
        text=join_finals([m.transcript or "" for m in finals], language=options.language),
        words=tuple(word for m in finals for word in m.words),
        utterances=tuple(utterance for m in finals for utterance in m.utterances),
        language=options.language,
        duration=round(clip.seconds, 6),
        request_id=secrets.token_hex(8),
    )


def _refuse(asked: BatchAsked, message: str) -> HttpReply:
    request_id = secrets.token_hex(8)
    return batch_refusal(
        BatchRefusal.BAD_INPUT, asked.options.endpoint, message=message, request_id=request_id
    )
