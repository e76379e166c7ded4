"""From LiveKit's frames to the bytes that one connection takes: mono, at its rate, in its encoding."""

from __future__ import annotations

from livekit import rtc
from livekit.plugins.smallest import g711
from livekit.plugins.smallest.frame_gathering import MOST_AT_ONCE, GatheredAudio
from smallest_proto.audio import AudioFormat
from smallest_proto.pulse import PulseOptions


class AudioInput:
    """The audio of one connection, in whole packets, and how much of it was sent.

    Frames of another rate are resampled here and not by the framework, which would go on with the rate that a
    stream began with after `update_options(sample_rate=...)`. `previous` is the input of the connection before:
    what it still held goes first.
    """

    def __init__(self, options: PulseOptions, previous: AudioInput | None = None) -> None:
        self._wanted = options.audio_format
        self._rate = self._wanted.sample_rate
        self._as_they_are = self._wanted.encoding == "linear16"
        self._packet_bytes = self._wanted.packet_bytes(options.packet_ms)
        self._resampler: rtc.AudioResampler | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self.sent_bytes = 0
        if previous is not None and previous._wanted == self._wanted:
            self._held += previous._held
            self._held_bytes = previous._held_bytes

    @property
    def sent_seconds(self) -> float:
        """Audio handed out, in seconds."""
        return self._wanted.seconds(self.sent_bytes)

    @property
    def waiting(self) -> bool:
        """Whether there is enough to send."""
        return self._held_bytes >= self._packet_bytes

    def push(self, audio: GatheredAudio, *, more: bool = False) -> bytes:
        """The packets that are now whole, b"" for none.

        With `more`, when there is further audio already, they wait for it: one write for many packets.
        """
        if audio.rate == self._rate and audio.channels == 1 and self._resampler is None:
            samples = audio.joined()
            if self._as_they_are and not more and not self._held and len(samples) % self._packet_bytes == 0:
                self.sent_bytes += len(samples)  # as nearly always: nothing to keep, nothing to copy
                return samples
            self._hold(samples)
        else:
            self._resample(audio)
        if more and self._held_bytes < MOST_AT_ONCE * self._packet_bytes:
            return b""
        return self._take(self._held_bytes % self._packet_bytes)

    def flush(self) -> bytes:
        """The rest, a last packet of its true length, b"" for none."""
        if self._resampler is not None:
            for resampled in self._resampler.flush():
                self._hold(resampled.data.tobytes())
        return self._take(0)

    def take_back(self, data: bytes) -> None:
        """It was handed out, but the connection did not take it."""
        self._held.insert(0, data)
        self._held_bytes += len(data)
        self.sent_bytes -= len(data)

    def _resample(self, audio: GatheredAudio) -> None:
        """To one channel, and to the rate that is wanted."""
        data = audio.joined()
        frame = rtc.AudioFrame(data, audio.rate, audio.channels, len(data) // (2 * audio.channels))
        if audio.channels != 1:
            frame = to_mono(frame)
        if audio.rate == self._wanted.sample_rate and self._resampler is None:
            self._hold(frame.data.tobytes())
            return
        if self._resampler is None:
            self._resampler = rtc.AudioResampler(
                audio.rate, self._wanted.sample_rate, quality=rtc.AudioResamplerQuality.HIGH
            )
        for resampled in self._resampler.push(frame):
            self._hold(resampled.data.tobytes())

    def _hold(self, samples: bytes) -> None:
        data = encode(samples, self._wanted)
        self._held.append(data)
        self._held_bytes += len(data)

    def _take(self, rest: int) -> bytes:
        """All but the last `rest` bytes."""
        size = self._held_bytes - rest
        if not size:
            return b""
        data = b"".join(self._held)
        self._held.clear()
        self._held_bytes = rest
        self.sent_bytes += size
        if not rest:
            return data
        self._held.append(data[size:])
        return data[:size]


def encode(samples: bytes, wanted: AudioFormat) -> bytes:
    """16-bit little-endian samples in the encoding that the server was told to expect."""
    if wanted.encoding == "linear16":
        return samples
    if wanted.encoding == "mulaw":
        return g711.mulaw(samples)
    if wanted.encoding == "alaw":
        return g711.alaw(samples)
    assert wanted.encoding == "linear32"  # the options allow no other
    # signed, as nobody says otherwise [asyncapi stt-live]
    wide = bytearray(2 * len(samples))
    wide[2::4], wide[3::4] = samples[0::2], samples[1::2]
    return bytes(wide)


def to_mono(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    """The mean of the channels: the service takes one, and would read two as one of twice the length."""
    import numpy as np  # only here: one channel is what LiveKit's own input has

    samples = np.frombuffer(frame.data.cast("B"), dtype="<i2").reshape(-1, frame.num_channels)
    mono = samples.mean(axis=1).astype("<i2").tobytes()
    return rtc.AudioFrame(mono, frame.sample_rate, 1, len(mono) // 2)
