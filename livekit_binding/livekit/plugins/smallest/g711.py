"""G.711: 16-bit samples to mu-law and A-law bytes, by table."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

_MULAW_BIAS, _MULAW_MOST = 33, 0x1FFF  # of the 14 bits that the standard looks at


def mulaw(samples: bytes | memoryview) -> bytes:
    """Mu-law, one byte for each little-endian sample."""
    return _look_up(_mulaw, samples)


def alaw(samples: bytes | memoryview) -> bytes:
    """A-law, one byte for each little-endian sample."""
    return _look_up(_alaw, samples)


def _look_up(encode: Callable[[int], int], samples: bytes | memoryview) -> bytes:
    table = _table(encode)
    return bytes(table[value] for value in memoryview(bytes(samples)).cast("H"))


@cache
def _table(encode: Callable[[int], int]) -> bytes:
    return bytes(encode(value - 65536 if value > 32767 else value) for value in range(65536))


def _mulaw(sample: int) -> int:
    mask, magnitude = (0xFF, sample >> 2) if sample >= 0 else (0x7F, -(sample >> 2))
    magnitude = min(magnitude + _MULAW_BIAS, _MULAW_MOST)
    exponent = magnitude.bit_length() - 6
    return mask ^ (exponent << 4 | magnitude >> exponent + 1 & 0x0F)


def _alaw(sample: int) -> int:
    mask, magnitude = (0xD5, sample >> 3) if sample >= 0 else (0x55, -(sample >> 3) - 1)
    exponent = max(0, magnitude.bit_length() - 5)
    return mask ^ (exponent << 4 | magnitude >> max(1, exponent) & 0x0F)
