"""`smallest-proto say`: a text into a WAV file."""

from __future__ import annotations

import argparse
import os
import sys
import time

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.lightning import AudioChunk, ContextComplete, LightningOptions, WordTimestamp
from smallest_transports.asyncio import connect_lightning
from smallest_transports.audio_files import write_wav
from smallest_transports.commands.failures import BadInput
from smallest_transports.commands.service import service_url


class Spoken(msgspec.Struct):
    """What came back: PCM, word times, and seconds from the text to the first audio."""

    pcm: bytes
    words: list[WordTimestamp]
    first_audio: float
    confirmed: bool


async def say(arguments: argparse.Namespace) -> int:
    """Speak `arguments.text` into `arguments.output`."""
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    if not text.strip():
        raise BadInput("TEXT is empty: expected something to say")
    check_directory(arguments.output)
    options = LightningOptions(
        model=arguments.model,
        voice_id=arguments.voice,
        language=arguments.language,
        sample_rate=arguments.rate,
        speed=arguments.speed,
        word_timestamps=arguments.words,
    )
    async with service_url(arguments.base_url) as url:
        spoken = await speak(text, options, url)
    seconds = AudioFormat("linear16", options.sample_rate).seconds(len(spoken.pcm))
    if not spoken.pcm:
        raise BadInput("the service had nothing to say for this text")
    write_wav(arguments.output, spoken.pcm, options.sample_rate)
    for word in spoken.words:
        print(f"{word.start:7.2f} {word.end:7.2f}  {word.word}")
    print(f"{arguments.output}: {seconds:.2f} s of speech, the first after {spoken.first_audio:.2f} s")
    if not spoken.confirmed:
        print(
            "smallest-proto: the service never said that this is all; the end may be missing", file=sys.stderr
        )
        return 1
    return 0


def check_directory(output: str) -> None:
    """Raise BadInput, before any work is done, when a file could not be put there."""
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise BadInput(f"{output}: its directory does not exist")
    if os.path.isdir(output):
        raise BadInput(f"{output}: is a directory, expected the name of a file")


async def speak(text: str, options: LightningOptions, base_url: str | None) -> Spoken:
    """Synthesise `text`. Raises what the connection or the synthesis failed with."""
    pcm = bytearray()
    spoken = Spoken(pcm=b"", words=[], first_audio=0.0, confirmed=False)
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
    spoken.pcm = bytes(pcm)
    return spoken
