"""Frames gathered to packets before they are queued, and to more while nobody has taken those from the queue."""

from __future__ import annotations

from collections.abc import Callable

from livekit import rtc

MOST_AT_ONCE = 20
"""Packets that are joined: a second of audio. A room never has that much waiting; a file has."""


class GatheredAudio:
    """Frames of one rate (Hz) and number of channels, in order: their samples."""

    __slots__ = ("channels", "parts", "rate")

    def __init__(self, rate: int, channels: int, parts: list[memoryview]) -> None:
        self.rate = rate
        self.channels = channels
        self.parts = parts

    def joined(self) -> bytes:
        """All samples, 16 bits each."""
        return b"".join(self.parts)


class FrameGathering:
    """Joins frames. `queue` is called with what makes a packet; what follows is added to it until `taken`.

    packet_ms: what makes a packet on the wire; nothing shorter would be sent anyway.
    """

    def __init__(self, packet_ms: int, queue: Callable[[GatheredAudio], None]) -> None:
        self._packets_per_second = 1000 / packet_ms
        self._queue = queue
        self._rate = 0
        self._channels = 0
        self._packet = 0.0
        self._over = 0.0
        """Samples that the last packet had no room for: they are the beginning of the next."""
        self._parts: list[memoryview] = []
        self._samples = 0
        self._enough = 0.0
        self._queued = False

    def push(self, frame: rtc.AudioFrame) -> None:
        """Take a frame. Raises ValueError for another rate than that of the frames before."""
        if frame.sample_rate != self._rate or frame.num_channels != self._channels:
            self._begin(frame)
        samples = frame.data
        self._parts.append(samples)
        self._samples += len(samples)  # of all channels
        if self._samples >= self._enough:
            if self._queued:
                self._end()
            else:
                self._hand_on()

    def taken(self, audio: GatheredAudio) -> None:
        """Call it with what is taken from the queue, before its samples are read."""
        if audio.parts is self._parts:
            self._end()

    def flush(self) -> None:
        """Queue what was gathered, however little it is."""
        if self._parts and not self._queued:
            self._hand_on()
        self._end()
        self._over, self._enough = 0.0, self._packet

    def _begin(self, frame: rtc.AudioFrame) -> None:
        if self._rate and frame.sample_rate != self._rate:
            raise ValueError(f"frame.sample_rate={frame.sample_rate}: expected {self._rate}, as before")
        self.flush()
        self._rate, self._channels = frame.sample_rate, frame.num_channels
        self._packet = self._enough = self._rate * self._channels / self._packets_per_second

    def _hand_on(self) -> None:
        self._queued, self._enough = True, MOST_AT_ONCE * self._packet
        self._queue(GatheredAudio(self._rate, self._channels, self._parts))

    def _end(self) -> None:
        if self._samples:
            self._over = (self._over + self._samples) % self._packet
            self._enough = self._packet - self._over
        self._parts, self._samples, self._queued = [], 0, False
