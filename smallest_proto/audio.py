"""Audio as bytes: how many of them are a second."""

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
