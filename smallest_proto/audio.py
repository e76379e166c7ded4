"""Audio as bytes: how many bytes are a second, and how to cut a stream into packets."""

from __future__ import annotations

from typing import Literal

import msgspec

Encoding = Literal["linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus"]

BYTES_PER_SAMPLE: dict[str, int] = {"linear16": 2, "linear32": 4, "alaw": 1, "mulaw": 1}
"""Encodings of fixed width; `opus` and `ogg_opus` have none (protocol section "STT encodings")."""

COMPRESSED = frozenset({"opus", "ogg_opus"})
SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)
"""Hz that streaming Pulse accepts [asyncapi stt-live]. The server never resamples."""

PACKET_SECONDS = 0.05
"""One packet of audio, as [seed] and [lk 1.8.9] send it."""


class AudioFormat(msgspec.Struct, frozen=True):
    """Mono audio: an encoding and a rate in Hz. Converts between bytes and seconds.

    Compressed encodings have no fixed width: their `sample_width` is 0 and their seconds are unknown (0.0).
    """

    encoding: Encoding = "linear16"
    sample_rate: int = 16000

    @property
    def sample_width(self) -> int:
        """Bytes in one sample, 0 for compressed encodings."""
        return BYTES_PER_SAMPLE.get(self.encoding, 0)

    def seconds(self, size: int) -> float:
        """Duration in seconds of `size` bytes."""
        width = BYTES_PER_SAMPLE.get(self.encoding, 0)
        return size / (width * self.sample_rate) if width else 0.0

    def packet_bytes(self, milliseconds: int = 50) -> int:
        """Bytes in a packet of at most that many milliseconds, whole samples only; 0 for compressed audio.

        Rates that do not divide evenly round down, as [seed] does: 22050 Hz gives 1102 samples for 50 ms.
        """
        return self.sample_rate * milliseconds // 1000 * self.sample_width


class Chunker:
    """Re-cuts a stream of bytes into packets of one size, keeping the rest for the next call.

    A size of 0 passes every piece through as it is, which is right for compressed audio: one Opus packet is
    one WebSocket message. `held` goes before everything else: what another chunker held back.
    """

    __slots__ = ("_rest", "size")

    def __init__(self, size: int, held: bytes = b"") -> None:
        self.size = size
        self._rest = held

    def push(self, data: bytes) -> list[bytes]:
        """Add `data` and return the packets that are now whole, in order."""
        size, data = self.size, bytes(data)
        if not size:
            return [*self.flush(), data]
        rest = self._rest
        if len(rest) + len(data) < size:
            self._rest = rest + data
            return []
        if rest:
            data = rest + data
        elif len(data) == size:
            return [data]
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        return [data[i : i + size] for i in range(0, whole, size)]

    def flush(self) -> list[bytes]:
        """Return what is held back and forget it; the last packet has its true length and no padding."""
        rest, self._rest = self._rest, b""
        size = self.size or len(rest) or 1
        return [rest[i : i + size] for i in range(0, len(rest), size)]
