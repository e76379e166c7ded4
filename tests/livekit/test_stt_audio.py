"""Samples as they leave the plugin: encodings, channels, counting."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livekit import rtc
from livekit.plugins.smallest import g711
from livekit.plugins.smallest.audio_input import AudioInput, encode, to_mono
from livekit.plugins.smallest.frame_gathering import FrameGathering, GatheredAudio
from livekit_stt import frame
from smallest_proto.audio import AudioFormat
from smallest_proto.pulse import PulseOptions

ALL_SAMPLES = b"".join(value.to_bytes(2, "little", signed=True) for value in range(-32768, 32768))
EXTREMES = (-32768, -32767, -1000, -8, -1, 0, 1, 7, 8, 1000, 32767)


def samples(data: bytes) -> list[int]:
    return [int.from_bytes(data[i : i + 2], "little", signed=True) for i in range(0, len(data), 2)]


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="audioop is gone")
@pytest.mark.filterwarnings("ignore:'audioop' is deprecated")
@pytest.mark.parametrize(("ours", "name"), [(g711.mulaw, "lin2ulaw"), (g711.alaw, "lin2alaw")])
def test_g711_is_the_standard_librarys(ours, name: str) -> None:  # type: ignore[no-untyped-def]
    import audioop

    assert ours(ALL_SAMPLES) == getattr(audioop, name)(ALL_SAMPLES, 2)


def test_linear32_is_the_same_wave_in_wider_samples() -> None:
    data = b"".join(value.to_bytes(2, "little", signed=True) for value in EXTREMES)
    wide = encode(data, AudioFormat("linear32", 16000))
    assert [int.from_bytes(wide[i : i + 4], "little", signed=True) >> 16 for i in range(0, len(wide), 4)] == [
        *EXTREMES
    ]


@given(st.integers(2, 6), st.integers(-32768, 32767))
def test_channels_that_agree_are_unchanged(channels: int, value: int) -> None:
    assert samples(bytes(to_mono(frame(0.01, 8000, channels, value)).data.cast("B"))) == [value] * 80


def gathered(audio: rtc.AudioFrame) -> GatheredAudio:
    return GatheredAudio(audio.sample_rate, audio.num_channels, [audio.data])


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(1, 2000), st.sampled_from((800, 1600))),
            st.sampled_from(("", "more", "flush")),
        ),
        max_size=20,
    )
)
def test_audio_goes_out_in_whole_packets_and_flushed_tails(steps: list[tuple[int, str]]) -> None:
    audio, pushed, sent = AudioInput(PulseOptions()), b"", b""
    for value, (size, then) in enumerate(steps):
        pushed += samples_of(value, size)
        data = audio.push(gathered(frame(size / 16000, value=value)), more=then == "more")
        assert len(data) % 1600 == 0
        sent += data
        if then == "flush":
            sent += audio.flush()
            assert sent == pushed
        elif then == "more":
            assert not data or len(data) >= 20 * 1600
        else:
            assert len(pushed) - len(sent) < 1600
        assert pushed.startswith(sent)
        assert audio.sent_bytes == len(sent)
        assert audio.sent_seconds == pytest.approx(len(sent) / 32000)
    assert sent + audio.flush() == pushed


def test_what_a_connection_did_not_take_goes_first_on_the_next() -> None:
    old = AudioInput(PulseOptions())
    taken = old.push(gathered(frame(0.12, value=1)))
    old.take_back(taken)
    assert (old.sent_bytes, old.waiting) == (0, True)
    new = AudioInput(PulseOptions(), old)
    assert new.push(gathered(frame(0.04, value=2))) == taken + samples_of(1, 320) + samples_of(2, 480)
    assert not new.waiting
    assert not AudioInput(PulseOptions(sample_rate=8000), old).waiting


def samples_of(value: int, count: int) -> bytes:
    return value.to_bytes(2, "little") * count


PACKET = 800
"""Samples of 50 ms."""


@given(
    st.lists(
        st.tuples(st.integers(1, 2000), st.sampled_from(("", "take", "flush"))), min_size=1, max_size=40
    ),
    st.sampled_from((1, 2)),
)
def test_frames_are_gathered_to_packets_in_order(steps: list[tuple[int, str]], channels: int) -> None:
    queue: list[GatheredAudio] = []
    gathering = FrameGathering(50, queue.append)
    pushed, taken, since_flush = [], [], 0
    for value, (size, then) in enumerate(steps):
        one = frame(size / 16000, channels=channels, value=value)
        pushed.append(bytes(one.data.cast("B")))
        gathering.push(one)
        since_flush += size
        if then == "flush":
            gathering.flush()
            since_flush = 0
        if then:
            for item in queue:
                gathering.taken(item)
                assert (item.rate, item.channels) == (16000, channels)
                taken.append(item.joined())
            queue.clear()
            # what is kept back is less than a packet needs
            kept = (len(b"".join(pushed)) - len(b"".join(taken))) // (2 * channels)
            assert kept == 0 if then == "flush" else kept <= since_flush % PACKET
    gathering.flush()
    taken += [item.joined() for item in queue]
    assert b"".join(taken) == b"".join(pushed)


def test_what_nobody_takes_is_joined_up_to_a_second() -> None:
    queue: list[GatheredAudio] = []
    gathering = FrameGathering(50, queue.append)
    for _ in range(250):
        gathering.push(frame(0.01))
    assert [len(item.parts) for item in queue] == [100, 100, 50]


def test_what_was_taken_is_not_added_to() -> None:
    queue: list[GatheredAudio] = []
    gathering = FrameGathering(50, queue.append)
    for _ in range(7):
        gathering.push(frame(0.01))
    gathering.taken(queue[0])
    for _ in range(3):  # which make a packet with the two that were left of the first
        gathering.push(frame(0.01))
    assert [len(item.parts) for item in queue] == [7, 3]


def test_frames_of_two_kinds_are_not_joined() -> None:
    queue: list[GatheredAudio] = []
    gathering = FrameGathering(50, queue.append)
    gathering.push(frame(0.01))
    gathering.push(frame(0.01, channels=2))
    with pytest.raises(ValueError, match=r"frame.sample_rate=8000: expected 16000"):
        gathering.push(frame(0.01, 8000))
    gathering.push(frame(0.01, channels=2))
    gathering.flush()
    assert [(item.channels, len(item.parts)) for item in queue] == [
        (1, 1),
        (2, 2),
    ]  # as if the other had not been
