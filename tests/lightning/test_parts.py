"""The small parts alone: samples, word times, and what is remembered of requests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.lightning import LightningOptions
from smallest_proto.lightning.completion import REMEMBERED, CompletionPolicy, Verdict
from smallest_proto.lightning.contexts import LatestIds
from smallest_proto.lightning.pcm import SampleJoiner
from smallest_proto.lightning.word_clock import WordClock


@given(st.lists(st.tuples(st.binary(max_size=6), st.sampled_from("ab"))))
def test_only_whole_samples_leave(pieces: list[tuple[bytes, str]]) -> None:
    joiner = SampleJoiner()
    for audio, request in pieces:
        pcm = joiner.push(audio, request)
        assert len(pcm) % 2 == 0
        assert abs(len(pcm) - len(audio)) <= 1
        assert audio[: len(pcm) - 1] in pcm


@given(st.binary(), st.lists(st.integers(0, 40)))
def test_cut_samples_are_joined(audio: bytes, cuts: list[int]) -> None:
    """Pieces of one request, odd ones in pairs: nothing is lost and nothing moves."""
    pcm = audio[: len(audio) // 2 * 2]
    joiner, out, rest = SampleJoiner(), b"", pcm
    for cut in cuts:
        first, middle = rest[: 2 * cut + 1], rest[2 * cut + 1 :]
        if len(first) % 2 == 0 or len(middle) % 2 == 0:
            break
        out += joiner.push(first, "a") + joiner.push(middle[:1], "a")
        rest = middle[1:]
    assert out + joiner.push(rest, "a") == pcm


def test_word_times_survive_either_clock() -> None:
    for restarts in (True, False):
        clock = WordClock(2 * 8000)
        for turn in range(2):
            clock.begin_context()
            clock.frame(f"{turn}a")
            clock.audio(16000)
            assert clock.place(0.1, 0.9) == (0.1, 0.9)
            clock.frame(f"{turn}b")
            clock.frame("")
            start = 0.1 if restarts else 1.1
            assert clock.place(start, start + 0.5) == (1.1, 1.6)
            clock.audio(8000)
            clock.frame(f"{turn}c")
            start = 0.1 if restarts else 1.6
            assert clock.place(start, start + 0.5) == (1.6, 2.1)


def test_which_clock_a_server_has_is_decided_once() -> None:
    clock = WordClock(2 * 8000)
    for request, start, shift in (("a", 0.1, 0.0), ("b", 0.1, 1.0), ("c", 1.9, 2.0)):
        clock.frame(request)
        clock.audio(16000)
        assert clock.place(start, start) == (start + shift, start + shift)


def test_what_is_remembered_of_requests_is_bounded() -> None:
    policy, ended = CompletionPolicy(LightningOptions()), LatestIds()
    for number in range(REMEMBERED + 10):
        policy.frame(str(number))
        ended.add(str(number))
    ended.add("", str(number))
    assert not policy.knows("9")
    assert policy.knows("10")
    assert "9" not in ended
    assert "10" in ended
    assert "" not in ended
    assert ended.count == REMEMBERED + 10
    policy.text_sent()
    policy.released("10")
    assert policy.verdict("11") is Verdict.RELEASE
    assert policy.verdict("9") is Verdict.PROBABLE
