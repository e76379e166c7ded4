"""Sound files for the command line, the local server and the examples: read any, change the rate, write some.

Reading and resampling need the extra `smallest-proto[cli]` (soundfile, soxr, numpy); writing WAV needs nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import IO, Literal, TypeAlias

import msgspec

from smallest_proto.wav import wav_file

Encoded: TypeAlias = Literal["mp3", "ulaw", "alaw"]

_SUBTYPES: dict[Encoded, tuple[str, str]] = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "ulaw": ("RAW", "ULAW"),
    "alaw": ("RAW", "ALAW"),
}


class AudioFileError(Exception):
    """A sound file cannot be read or written. `str()` is one clear line that names the file."""


class Clip(msgspec.Struct, frozen=True):
    """A recording: `pcm` is s16le mono, `rate` its samples per second (Hz)."""

    pcm: bytes
    rate: int

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.pcm) / (2 * self.rate)


def read_audio(path: str | Path) -> Clip:
    """Read a sound file whole, at its own rate; channels are mixed down to one.

    WAV of any PCM width (8, 16, 24, 32 bits, float), FLAC, Ogg, MP3 and what else libsndfile knows.
    Raises `AudioFileError` for a file that is absent, no file, no sound, or empty, and when a package is missing.
    """
    with _opened(path) as file:
        return _decode(file, str(path))


def read_file(path: str | Path) -> bytes:
    """The bytes of a file that is to be sent as it is. Raises `AudioFileError` for one that is absent or empty."""
    with _opened(path) as file:
        return file.read()


@contextmanager
def _opened(path: str | Path) -> Iterator[IO[bytes]]:
    name = str(path)
    path = Path(path)
    if path.is_dir():
        raise AudioFileError(f"{name}: is a directory, not a sound file")
    try:
        with path.open("rb") as file:
            # a pipe cannot go back, which reading sound needs
            whole = file if file.seekable() else io.BytesIO(file.read())
            if not whole.seek(0, io.SEEK_END):
                raise AudioFileError(f"{name}: is empty")
            whole.seek(0)
            yield whole
    except FileNotFoundError:
        raise AudioFileError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise AudioFileError(f"{name}: cannot be opened: {_reason(error)}") from None


def decode_audio(data: bytes, name: str) -> Clip:
    """As `read_audio`, for a file in memory; `name` is what errors call it."""
    return _decode(io.BytesIO(data), name)


def _decode(file: IO[bytes], name: str) -> Clip:
    soundfile = _package("soundfile", name)
    np = _package("numpy", name)
    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError):
        raise AudioFileError(f"{name}: is not a sound file that can be read (WAV, FLAC, Ogg, MP3)") from None
    if not len(samples):
        raise AudioFileError(f"{name}: has no samples")
    mono = np.nan_to_num(samples.mean(axis=1))
    return Clip(_pcm(np, mono), int(rate))


def resample(clip: Clip, rate: int) -> Clip:
    """The same recording at another rate (Hz). Raises `AudioFileError` when a package is missing."""
    if clip.rate == rate:
        return clip
    np = _package("numpy", "resampling")
    soxr = _package("soxr", "resampling")
    samples = np.frombuffer(clip.pcm, "<i2").astype("float32") / 32768
    return Clip(_pcm(np, soxr.resample(samples, clip.rate, rate)), rate)


def encode_audio(clip: Clip, encoding: Encoded) -> bytes:
    """The recording as MP3, or as G.711 without a header. Raises `AudioFileError` when that fails."""
    soundfile = _package("soundfile", encoding)
    np = _package("numpy", encoding)
    container, subtype = _SUBTYPES[encoding]
    file = io.BytesIO()
    try:
        samples = np.frombuffer(clip.pcm, "<i2")
        soundfile.write(file, samples, clip.rate, format=container, subtype=subtype)
    except (soundfile.SoundFileError, ValueError):
        raise AudioFileError(f"{encoding}: cannot be written at {clip.rate} Hz by this libsndfile") from None
    return file.getvalue()


def write_file(path: str | Path, data: bytes) -> None:
    """Write these bytes. Raises `AudioFileError` when that fails."""
    try:
        Path(path).write_bytes(data)
    except (OSError, ValueError) as error:
        raise AudioFileError(f"{path}: cannot be written: {_reason(error)}") from None


def write_wav(path: str | Path, pcm: bytes, rate: int) -> None:
    """Write s16le mono `pcm` of `rate` Hz as a WAV file. Raises `AudioFileError` when that fails."""
    write_file(path, wav_file(pcm, rate))


def _pcm(np: ModuleType, samples: object) -> bytes:
    """Samples in -1..1 as s16le; louder ones are clipped."""
    pcm: bytes = np.clip(np.rint(samples * np.float32(32768)), -32768, 32767).astype("<i2").tobytes()
    return pcm


def _package(package: str, purpose: str) -> ModuleType:
    try:
        return import_module(package)
    except (ImportError, OSError):  # OSError: soundfile without its library
        raise AudioFileError(
            f"{purpose}: needs the package {package}: pip install 'smallest-proto[cli]'"
        ) from None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
