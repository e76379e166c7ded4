"""A text spoken over HTTP: as a body that grows while the synthesiser works, as events, or encoded as a whole."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from contextlib import aclosing
from functools import partial

from smallest_proto.errors import ProtocolError
from smallest_proto.lightning import (
    OutputFormat,
    SpeechAsked,
    audio_event,
    done_event,
    error_event,
    failure_reply,
    speech_headers,
)
from smallest_proto.wav import wav_file
from smallest_transports.audio_files import AudioFileError, Clip, encode_audio
from smallest_transports.loopback.answer import Answer
from smallest_transports.loopback.engines.base import Speech, Synthesizer
from smallest_transports.loopback.offload import explain, offload
from smallest_transports.loopback.speaking import setup_of, spoken


async def answer_speech(asked: SpeechAsked, answer: Answer, synthesizer: Synthesizer, pool: Executor) -> None:
    """Send the speech. Raises what an engine raises before any of it was sent, and what `Answer` raises."""
    async with aclosing(spoken(synthesizer, setup_of(asked.setup), asked.text, pool)) as pieces:
        if asked.output_format == "pcm":
            await _stream(asked, answer, pieces)
            return
        clip = Clip(b"".join([speech.pcm async for speech in pieces]), asked.setup.sample_rate)
    try:
        body = await offload(pool, partial(_encoded, clip, asked.output_format))
    except AudioFileError as error:
        await answer.reply(failure_reply(400, "InvalidRequest", str(error)))
        return
    await answer.begin(_headers(asked))
    await answer.write(body)
    await answer.end()


async def _stream(asked: SpeechAsked, answer: Answer, pieces: AsyncGenerator[Speech, None]) -> None:
    speech = await anext(pieces, None)  # an engine that fails at once can still be given a status
    await answer.begin(_headers(asked))
    try:
        while speech is not None:
            await answer.write(audio_event(speech.pcm) if asked.events else speech.pcm)
            speech = await anext(pieces, None)
        if asked.events:
            await answer.write(done_event())
    except ProtocolError:
        raise
    except Exception as error:
        message = explain(error)
        if not asked.events:
            await answer.cut()
            return
        await answer.write(error_event(message))
    await answer.end()


def _headers(asked: SpeechAsked) -> tuple[tuple[str, str], ...]:
    return speech_headers(asked, request_id=secrets.token_hex(8), session_id=secrets.token_hex(8))


def _encoded(clip: Clip, output_format: OutputFormat) -> bytes:
    if output_format == "wav" or output_format == "pcm":
        return wav_file(clip.pcm, clip.rate)
    return encode_audio(clip, output_format)
