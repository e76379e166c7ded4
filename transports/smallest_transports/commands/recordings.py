"""The recordings to transcribe: sound files, pipes and standard input."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from smallest_transports.audio_files import AudioFileError, Clip, decode_audio, read_audio, resample
from smallest_transports.commands.failures import complain
from smallest_transports.commands.standard_streams import STANDARD, read_bytes

SAMPLE_RATE = 16000
"""Hz at which they are sent: recognition needs no more."""

Read = TypeVar("Read")


def read_clip(name: str) -> Clip:
    """A recording of any kind, at SAMPLE_RATE. Raises AudioFileError."""
    if name != STANDARD:
        return resample(read_audio(name), SAMPLE_RATE)
    data = read_bytes()
    if not data:
        raise AudioFileError("standard input: is empty")
    return resample(decode_audio(data, "standard input"), SAMPLE_RATE)


def read_all(names: list[str], read: Callable[[str], Read]) -> tuple[list[tuple[str, Read]], int]:
    """Every recording that can be read, with its name; complains of the others. And the exit code so far."""
    found: list[tuple[str, Read]] = []
    for name in names:
        try:
            found.append((name, read(name)))
        except AudioFileError as error:
            complain(str(error))
    return found, 0 if len(found) == len(names) else 2
