"""From LiveKit's frames to the bytes that one connection takes: mono, at its rate, in its encoding."""

from __future__ import annotations

from collections.abc import Iterable

from livekit import rtc
from livekit.plugins.smallest import g711
from smallest_proto.audio import AudioFormat
from smallest_proto.pulse import PulseOptions

MOST_AT_ONCE = 20
"""Packets in one write: a second of audio. A room never has that much waiting; a file has."""


class AudioInput:
    """The audio of one connection, in whole packets, and how much of it was sent.

    Frames of another rate are resampled here and not by the framework, which would go on with the rate that a
    stream began with after `update_options(sample_rate=...)`. `previous` is the input of the connection before:
    what it still held goes first.
    """

    def __init__(self, options: PulseOptions, previous: AudioInput | None = None) -> None:
        self._wanted = options.audio_format
        self._packet_bytes = self._wanted.packet_bytes(options.packet_ms)
        self._resampler: rtc.AudioResampler | None = None
        self._held = bytearray()
        self.sent_bytes = 0
        if previous is not None and previous._wanted == self._wanted:
            self._held += previous._held

    @property
    def sent_seconds(self) -> float:
        """Audio handed out, in seconds."""
        return self._wanted.seconds(self.sent_bytes)

    @property
    def waiting(self) -> bool:
        """Whether there is enough to send."""
        return len(self._held) >= self._packet_bytes

    def push(self, frame: rtc.AudioFrame, *, more: bool = False) -> bytes:
        """The packets that are now whole, b"" for none.

        With `more`, when another frame is there already, they wait for it: one write for many packets.
        """
        if frame.num_channels != 1:
            frame = to_mono(frame)
        if frame.sample_rate == self._wanted.sample_rate and self._resampler is None:
            data = encode(frame.data.cast("B"), self._wanted)
            if not more and not self._held and len(data) % self._packet_bytes == 0:
                self.sent_bytes += len(data)
                return bytes(data)
            self._held += data
        else:
            if self._resampler is None:
                self._resampler = rtc.AudioResampler(
                    frame.sample_rate, self._wanted.sample_rate, quality=rtc.AudioResamplerQuality.HIGH
                )
            self._hold(self._resampler.push(frame))
        if more and len(self._held) < MOST_AT_ONCE * self._packet_bytes:
            return b""
        whole = len(self._held) - len(self._held) % self._packet_bytes
        return self._take(whole) if whole else b""

    def flush(self) -> bytes:
        """The rest, a last packet of its true length, b"" for none."""
        if self._resampler is not None:
            self._hold(self._resampler.flush())
        return self._take(len(self._held))

    def take_back(self, data: bytes) -> None:
        """It was handed out, but the connection did not take it."""
        self._held[:0] = data
        self.sent_bytes -= len(data)

    def _hold(self, frames: Iterable[rtc.AudioFrame]) -> None:
        for frame in frames:
            self._held += encode(frame.data.cast("B"), self._wanted)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._held[:size])
        del self._held[:size]
        self.sent_bytes += size
        return taken


def encode(samples: memoryview | bytes, wanted: AudioFormat) -> bytes | memoryview:
    """16-bit little-endian samples in the encoding that the server was told to expect."""
    if wanted.encoding == "linear16":
        return samples
    if wanted.encoding == "mulaw":
        return g711.mulaw(samples)
    if wanted.encoding == "alaw":
        return g711.alaw(samples)
    assert wanted.encoding == "linear32"  # the options allow no other
    # signed, as nobody says otherwise [asyncapi stt-live]
    narrow = bytes(samples)
    wide = bytearray(2 * len(narrow))
    wide[2::4], wide[3::4] = narrow[0::2], narrow[1::2]
    return bytes(wide)


def to_mono(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    """The mean of the channels: the service takes one, and would read two as one of twice the length."""
    import numpy as np  # only here: one channel is what LiveKit's own input has

    samples = np.frombuffer(frame.data.cast("B"), dtype="<i2").reshape(-1, frame.num_channels)
    mono = samples.mean(axis=1).astype("<i2").tobytes()
    return rtc.AudioFrame(mono, frame.sample_rate, 1, len(mono) // 2)
