"""`smallest-proto say`: a text into a file, WAV unless asked otherwise."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.lightning import (
    AudioChunk,
    ContextComplete,
    EncodedAudio,
    LightningOptions,
    OutputFormat,
    SpeechComplete,
    WordTimestamp,
)
from smallest_proto.limits import Limits
from smallest_proto.wav import wav_file
from smallest_transports.asyncio import connect_lightning, synthesize
from smallest_transports.audio_files import write_file
from smallest_transports.commands.failures import BadInput, printable
from smallest_transports.commands.service import service_url
from smallest_transports.commands.standard_streams import STANDARD, is_standard_output, read_text

NAMED: dict[str, OutputFormat] = {".mp3": "mp3", ".pcm": "pcm", ".ulaw": "ulaw", ".alaw": "alaw"}
"""What a file's name asks for; under any other name it is WAV, made here of PCM."""

LIMITS = Limits(response_timeout=120.0, idle_timeout=60.0)
"""Over HTTP: a long text in a format other than PCM can be silent until it is spoken to its end."""


class Spoken(msgspec.Struct):
    """What came back: audio (PCM unless another format was asked for), word times, and its length if known.

    `first_audio` is seconds from the request to the first audio; over a WebSocket, from the text.
    """

    audio: bytes
    words: list[WordTimestamp]
    first_audio: float
    confirmed: bool
    seconds: float | None = None


def say(arguments: argparse.Namespace) -> Coroutine[None, None, int]:
    """Speak `arguments.text` into `arguments.output`. Standard input is read now: a loop would not hear Ctrl-C."""
    wanted = _format(arguments)
    if arguments.words and (arguments.http or arguments.sse):
        raise BadInput("--words: word times come over the WebSocket only; leave out --http and --sse")
    check_directory(arguments.output)
    options = LightningOptions(
        model=arguments.model,
        voice_id=arguments.voice,
        language=arguments.language,
        sample_rate=arguments.rate,
        speed=arguments.speed,
        word_timestamps=arguments.words,
    )
    text = read_text() if arguments.text == STANDARD else arguments.text
    if not text.strip():
        raise BadInput("TEXT is empty: expected something to say")
    if not text.isascii() and text != text.encode(errors="ignore").decode():
        raise BadInput("TEXT: expected text in UTF-8")
    return _say(text, options, wanted, arguments)


async def _say(
    text: str, options: LightningOptions, wanted: OutputFormat | None, arguments: argparse.Namespace
) -> int:
    async with service_url(arguments.base_url) as url:
        if arguments.http or arguments.sse:
            spoken = await speak_once(text, options, url, wanted or "pcm", events=arguments.sse)
        else:
            spoken = await speak(text, options, url)
    if not spoken.audio:
        raise BadInput("the service had nothing to say for this text")
    report = sys.stderr if is_standard_output(arguments.output) else sys.stdout
    _save(arguments.output, wav_file(spoken.audio, options.sample_rate) if wanted is None else spoken.audio)
    length = f"{len(spoken.audio)} bytes" if spoken.seconds is None else f"{spoken.seconds:.2f} s"
    for word in spoken.words:
        print(f"{word.start:7.2f} {word.end:7.2f}  {printable(word.word)}", file=report)
    after = f"the first after {spoken.first_audio:.2f} s"
    print(f"{printable(arguments.output)}: {length} of speech, {after}", file=report)
    if not spoken.confirmed:
        print(
            "smallest-proto: the service never said that this is all; the end may be missing", file=sys.stderr
        )
        return 1
    return 0


def _format(arguments: argparse.Namespace) -> OutputFormat | None:
    """What to ask for and to save as it comes; None: PCM, saved as WAV. A file's name tells when no flag does."""
    given: OutputFormat | None = arguments.format
    wanted = given or NAMED.get(Path(arguments.output).suffix.lower())
    if wanted is not None and not arguments.http:
        what = f"--format {given}" if given else arguments.output
        raise BadInput(f"{what}: expected --http beside it; without, speech is saved as .wav")
    return wanted


def _save(output: str, data: bytes) -> None:
    if output == STANDARD:
        sys.stdout.buffer.write(data)
    else:
        write_file(output, data)


def check_directory(output: str) -> None:
    """Raise BadInput, before any work is done, when a file could not be put there."""
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise BadInput(f"{output}: its directory does not exist")
    if os.path.isdir(output):
        raise BadInput(f"{output}: is a directory, expected the name of a file")


async def speak(text: str, options: LightningOptions, base_url: str | None) -> Spoken:
    """Synthesise `text`. Raises what the connection or the synthesis failed with."""
    pcm = bytearray()
    spoken = Spoken(audio=b"", words=[], first_audio=0.0, confirmed=False)
    async with connect_lightning(options, base_url=base_url) as stream:
        begun = time.monotonic()
        async for event in await stream.speak(text):
            match event:
                case AudioChunk():
                    spoken.first_audio = spoken.first_audio or time.monotonic() - begun
                    pcm += event.pcm
                case WordTimestamp():
                    spoken.words.append(event)
                case ContextComplete():
                    spoken.confirmed = event.confirmed
    spoken.audio = bytes(pcm)
    spoken.seconds = AudioFormat("linear16", options.sample_rate).seconds(len(pcm))
    return spoken


async def speak_once(
    text: str, options: LightningOptions, base_url: str | None, output_format: OutputFormat, *, events: bool
) -> Spoken:
    """Synthesise `text` with one request. Raises what it failed with."""
    audio = bytearray()
    spoken = Spoken(audio=b"", words=[], first_audio=0.0, confirmed=False)
    begun = time.monotonic()
    async with synthesize(
        *(text, options),
        output_format=output_format,
        via="sse" if events else "http",
        base_url=base_url,
        limits=LIMITS,
    ) as speech:
        async for event in speech:
            match event:
                case AudioChunk(pcm=piece) | EncodedAudio(data=piece):
                    spoken.first_audio = spoken.first_audio or time.monotonic() - begun
                    audio += piece
                case SpeechComplete():
                    spoken.confirmed, spoken.seconds = True, event.seconds
    spoken.audio = bytes(audio)
    return spoken
