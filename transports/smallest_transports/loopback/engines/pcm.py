"""From whatever the client sends to what the recogniser hears: mono float samples at one rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from smallest_proto.audio import BYTES_PER_SAMPLE
from smallest_transports.loopback.engines.base import EngineError, RecognizerSetup

Samples: TypeAlias = NDArray[np.float32]


def _mulaw_table() -> Samples:
    """G.711 mu-law: all 256 codes, in -1..1."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)


def _alaw_table() -> Samples:
    """G.711 A-law: all 256 codes, in -1..1."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    base = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment > 0, (base + 0x100) << np.maximum(segment - 1, 0), base)
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)


_MULAW, _ALAW = _mulaw_table(), _alaw_table()

DECODERS: dict[str, Callable[[bytes], Samples]] = {
    "linear16": lambda data: np.frombuffer(data, "<i2").astype(np.float32) / np.float32(2**15),
    "linear32": lambda data: np.frombuffer(data, "<i4").astype(np.float32) / np.float32(2**31),
    "mulaw": lambda data: _MULAW[np.frombuffer(data, np.uint8)],
    "alaw": lambda data: _ALAW[np.frombuffer(data, np.uint8)],
}
"""`linear32` is taken as signed integers: the documents do not say."""


class Intake:
    """Turns a stream of bytes, cut anywhere, into samples in -1..1 at `rate` Hz."""

    def __init__(self, setup: RecognizerSetup, rate: int) -> None:
        if setup.encoding not in DECODERS:
            raise EngineError(
                f"encoding={setup.encoding}: the local engine understands only {', '.join(DECODERS)}"
            )
        self._decode = DECODERS[setup.encoding]
        self._width = BYTES_PER_SAMPLE[setup.encoding]
        self._rest = b""
        self._resampler = None
        if setup.sample_rate != rate:
            self._resampler = soxr.ResampleStream(setup.sample_rate, rate, 1, dtype="float32")

    def push(self, data: bytes, last: bool = False) -> Samples:
        """The samples that are complete; with `last`, all that are left (half a sample is dropped)."""
        data = self._rest + data
        whole = len(data) - len(data) % self._width
        self._rest = data[whole:]
        samples = self._decode(data[:whole])
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples, last=last)
        return samples
