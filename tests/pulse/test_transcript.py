"""Figures taken from a transcript: confidence, speaker, joined text, times on one clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.pulse import Utterance, Word, join_finals
from smallest_proto.pulse.transcript import (
    first_confidence,
    has_words,
    majority_speaker,
    mean_confidence,
    seed_speaker_label,
    shift_utterances,
    shift_words,
    speaker_label,
)


def words(*confidences: float | None) -> list[Word]:
    return [Word(word="w", confidence=c) for c in confidences]


@pytest.mark.parametrize(
    ("confidences", "first", "mean"),
    [
        ((0.9, 0.8, 0.4), 0.9, 0.6604),
        ((0.91, 0.98, 0.99, 0.97), 0.91, 0.9620),
        ((None, 0.25), 0.0, 0.25),
        ((0.5, None), 0.5, 0.5),
        ((0.0, 1.0), 0.0, 1e-5),
        ((-3.0,), -3.0, 1e-10),
        ((2.0, 2.0), 2.0, 1.0),
        ((None,), 0.0, 0.0),
        ((), 0.0, 0.0),
    ],
)
def test_confidence(confidences: tuple[float | None, ...], first: float, mean: float) -> None:
    assert first_confidence(words(*confidences)) == pytest.approx(first)
    assert mean_confidence(words(*confidences)) == pytest.approx(mean, abs=5e-5, rel=0.01)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.none()))
def test_the_mean_is_a_probability(confidences: list[float | None]) -> None:
    mean = mean_confidence(words(*confidences))
    assert 0.0 <= mean <= 1.0
    known = [min(1.0, max(0.0, c)) for c in confidences if c is not None]
    if known and all(1e-10 < c <= 1.0 for c in confidences if c is not None):
        assert min(known) * (1 - 1e-9) <= mean <= max(known) * (1 + 1e-9)
        assert mean == pytest.approx(math.prod(c ** (1 / len(known)) for c in known))


@pytest.mark.parametrize(
    ("speakers", "majority"),
    [
        ((1, 1, 0, 0, 1), 1),
        ((1, 1, 0, 0), 1),
        ((0, 1, 1, 0), 0),
        ((None, 2, None), 2),
        ((None, None), None),
        ((), None),
        (("a", "b", "b"), "b"),
    ],
)
def test_majority_speaker(speakers: tuple[int | str | None, ...], majority: int | str | None) -> None:
    assert majority_speaker([Word(word="w", speaker=s) for s in speakers]) == majority


@pytest.mark.parametrize(
    ("speaker", "label", "seed"),
    [
        (0, "S0", "S0"),
        ("0", "S0", "S0"),
        ("speaker_0", "S0", "Sspeaker_0"),
        ("SPEAKER_07", "S7", "SSPEAKER_07"),
        ("speaker_00", "S0", "Sspeaker_00"),
        ("Anna", "SAnna", "SAnna"),
        ("speaker_", "Sspeaker_", "Sspeaker_"),
        (None, None, None),
    ],
)
def test_speaker_labels(speaker: int | str | None, label: str | None, seed: str | None) -> None:
    assert speaker_label(speaker) == label
    assert seed_speaker_label(speaker) == seed


def test_what_is_a_word() -> None:
    assert all(map(has_words, ("a", "_", "7", "٣", "你", "ठ", "[FIRSTNAME_1]", "...a")))
    assert not any(map(has_words, ("", " ", ".", "।", "⁇", "😀", "\u094d", "-!?")))


def test_joined_finals() -> None:
    assert (
        join_finals(["Should I do it? ", "My order", "", " ", " 4471. "]) == "Should I do it? My order 4471."
    )
    rollover = ["I would like to book a table for four people", "on Friday evening."]
    assert join_finals(rollover) == "I would like to book a table for four people on Friday evening."
    assert join_finals(["你好 ", "世界"], language="zh") == "你好世界"
    assert join_finals([]) == ""


@given(st.floats(0, 1000), st.floats(0, 1000), st.floats(-10, 1000))
def test_times_are_moved(start: float, end: float, offset: float) -> None:
    word = Word(word="w", start=start, end=end, confidence=0.5)
    sentence = Utterance(text="w", start=start, end=end, speaker=3)
    (moved,) = shift_words((word,), offset)
    assert (moved.start, moved.end) == (start + offset, end + offset)
    assert (moved.word, moved.confidence) == ("w", 0.5)
    (said,) = shift_utterances((sentence,), offset)
    assert (said.start, said.end, said.text, said.speaker) == (start + offset, end + offset, "w", 3)
    assert shift_words((word,), 0.0) == (word,)
    assert shift_utterances((sentence,), 0.0) == (sentence,)
