"""G.711 the other way: mu-law and A-law bytes to 16-bit samples, by table. LiveKit decodes neither."""

from __future__ import annotations

import struct
from functools import cache
from typing import Literal

Law = Literal["ulaw", "alaw"]


def expand(data: bytes, law: Law) -> bytes:
    """One little-endian 16-bit sample for each byte."""
    table = _table(law)
    return b"".join([table[byte] for byte in data])


@cache
def _table(law: Law) -> tuple[bytes, ...]:
    sample = _ulaw if law == "ulaw" else _alaw
    return tuple(struct.pack("<h", sample(byte)) for byte in range(256))


def _ulaw(byte: int) -> int:
    byte ^= 0xFF
    magnitude = (((byte & 0x0F) << 3) + 0x84 << (byte >> 4 & 7)) - 0x84
    return -magnitude if byte & 0x80 else magnitude


def _alaw(byte: int) -> int:
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, (byte & 0x0F) << 4
    magnitude = mantissa + 8 if exponent == 0 else mantissa + 0x108 << exponent - 1
    return magnitude if byte & 0x80 else -magnitude
