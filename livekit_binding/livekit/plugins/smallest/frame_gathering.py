"""Frames of 10 ms gathered to packets before they are queued: one turn of the event loop for five of them."""

from __future__ import annotations

from livekit import rtc


class FrameGathering:
    """Joins short frames of one rate and number of channels.

    packet_ms: what makes a packet on the wire; nothing shorter would be sent anyway.
    """

    def __init__(self, packet_ms: int) -> None:
        self._packets_per_second = 1000 / packet_ms
        self._rate = 0
        self._channels = 0
        self._enough = 0.0
        self._parts: list[memoryview] = []
        self._samples = 0

    def fits(self, frame: rtc.AudioFrame) -> bool:
        """Whether it can be joined to those before. If not: `take`, then `begin`, then `push`."""
        return frame.sample_rate == self._rate and frame.num_channels == self._channels

    def begin(self, frame: rtc.AudioFrame) -> None:
        """Gather frames such as this one. Raises ValueError for another rate than that of the frames before."""
        if self._rate and frame.sample_rate != self._rate:
            raise ValueError(f"frame.sample_rate={frame.sample_rate}: expected {self._rate}, as before")
        self._rate, self._channels = frame.sample_rate, frame.num_channels
        self._enough = self._rate / self._packets_per_second

    def push(self, frame: rtc.AudioFrame) -> rtc.AudioFrame | None:
        """All that was gathered once it is enough for a packet, else None."""
        samples = frame.samples_per_channel
        if not self._parts and samples >= self._enough:
            return frame
        self._parts.append(frame.data)
        self._samples += samples
        return self.take() if self._samples >= self._enough else None

    def take(self) -> rtc.AudioFrame | None:
        """What was gathered, None for nothing."""
        if not self._parts:
            return None
        data, samples = b"".join(self._parts), self._samples
        self._parts.clear()
        self._samples = 0
        return rtc.AudioFrame(data, self._rate, self._channels, samples)
