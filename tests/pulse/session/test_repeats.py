"""What is heard twice is said once: by word times, and by the words themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.session.hand import Hand, said, text
from smallest_proto.pulse import FinalTranscript, InterimTranscript, PulseOptions, Utterance, Word
from smallest_proto.pulse.repeats import Repeats

WORDLESS = PulseOptions(word_timestamps=False)


def _final(text: str, *words: Word, **fields: object) -> FinalTranscript:
    return FinalTranscript(text=text, words=words, **fields)  # type: ignore[arg-type]  # as given


def _words(*names: str, at: float) -> list[Word]:
    return [Word(name, at + i * 0.4, at + (i + 1) * 0.4) for i, name in enumerate(names)]


def test_words_before_the_covered_position_are_left_out() -> None:
    repeats = Repeats(1.0, ["one", "two"])
    assert repeats.fresh_part(_final("One two.", *_words("one", "two", at=0.1)), timed=True) is None
    final = _final(
        "Two, three, four.",
        *_words("two", "three", "four", at=0.7),
        start=0.7,
        end=1.9,
        utterances=(Utterance("Two.", 0.5, 1.1), Utterance("Three, four.", 1.1, 1.9)),
    )
    fresh = repeats.fresh_part(final, timed=True)
    assert fresh is not None
    assert fresh.text == "three, four."
    assert [word.word for word in fresh.words] == ["three", "four"]
    assert (fresh.start, fresh.end) == (1.1, 1.9)
    assert [utterance.text for utterance in fresh.utterances] == ["Three, four."]
    later = _final("five", *_words("five", at=2.0))
    assert repeats.fresh_part(later, timed=True) is later


def test_where_the_text_has_other_words_than_those_with_times_these_make_the_text() -> None:
    repeats = Repeats(1.0, ["old"])
    fresh = repeats.fresh_part(_final("Old twenty one.", *_words("old", "21", at=0.7)), timed=True)
    assert fresh is not None
    assert fresh.text == "21"


def test_text_is_compared_without_case_and_punctuation() -> None:
    repeats = Repeats(0.0, ["How", "are", "you?", "I", "am"])
    assert repeats.fresh_part(_final("how are"), timed=False) is None
    assert repeats.left == 3
    fresh = repeats.fresh_part(_final("you i am fine"), timed=False)
    assert fresh is not None
    assert fresh.text == "fine"
    assert repeats.left == 0
    again = _final("how are you")
    assert repeats.fresh_part(again, timed=False) is again


def test_text_without_spaces_is_compared_by_character() -> None:
    repeats = Repeats(0.0, list("今天天气"))
    fresh = repeats.fresh_part(_final("今天天气很好", language="zh"), timed=False)
    assert fresh is not None
    assert fresh.text == "很好"


def test_what_does_not_match_is_passed_on() -> None:
    repeats = Repeats(0.0, ["one", "two", "three", "the", "four"])
    final = _final("hello in the morning")
    assert repeats.fresh_part(final, timed=False) is final
    assert repeats.left == 0
    assert Repeats(0.0, ["one"]).fresh_part(_final("two"), timed=False) is not None


def test_words_that_may_have_been_before_need_not_come() -> None:
    expected = ["maybe", "it", "was", "before", "this", "is", "expected"]
    final = _final("this is expected indeed")
    assert Repeats(0.0, expected).fresh_part(final, timed=False) is final
    fresh = Repeats(0.0, expected, doubtful=4).fresh_part(final, timed=False)
    assert fresh is not None
    assert fresh.text == "indeed"


@given(
    st.lists(st.sampled_from("abcdefghijklmnop"), max_size=40),
    st.lists(st.sampled_from("abcdefghijklmnop"), max_size=20),
    st.lists(st.integers(1, 9), max_size=60),
)
def test_the_same_words_in_other_finals_are_said_once(
    old: list[str], new: list[str], cuts: list[int]
) -> None:
    """However the second connection cuts them, as long as something was new in the last cut only."""
    repeats = Repeats(0.0, old)
    heard, told = old + new, []
    while heard:
        size = cuts.pop() if cuts else len(heard)
        fresh = repeats.fresh_part(_final(" ".join(heard[:size])), timed=False)
        told += fresh.text.split() if fresh is not None else []
        heard = heard[size:]
    # words that agree by chance may be taken for one another, but no new one is lost beyond those
    assert len(told) <= len(new)
    assert told == new[len(new) - len(told) :]
    assert not old or len(told) >= len(new) - sum(word in old for word in new)


def test_an_interim_is_new_when_it_says_more() -> None:
    repeats = Repeats(1.0, ["one", "two"])
    assert repeats.is_old_interim(InterimTranscript(text="one two"))
    assert not repeats.is_old_interim(InterimTranscript(text="one two three"))


def test_the_tail_of_an_old_word_makes_no_turn() -> None:
    hand = Hand(overlap=0.25)
    first = hand.open()
    hand.speak(4.0)
    hand.hear(first, said("long", "words", at=1.0))
    hand.drop(first)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.events()
    # it hears from 1.75 s on, and what was said before ended at 2.0 s
    hand.hear(second, said("ords", final=False), said("ords", at=0.0, each=0.25))
    assert hand.events() == []
    hand.hear(second, said("now", final=False))
    assert hand.names() == ["SpeechStarted", "InterimTranscript"]


@pytest.mark.parametrize("start", [0.0, 1e9])
def test_times_that_cannot_be_are_no_times(start: float) -> None:
    hand = Hand(overlap=0.0)
    first = hand.open()
    hand.speak(4.0)
    hand.hear(first, said("a", at=start, each=0.0))
    hand.drop(first)
    assert hand.session.kept_seconds == 4.0
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.events()
    hand.hear(second, said("a", "b", at=start, each=0.0))
    (final,) = (event for event in hand.events() if isinstance(event, FinalTranscript))
    assert final.text == "b"


def test_without_times_the_text_is_known_again_over_several_drops() -> None:
    hand = Hand(WORDLESS)
    connection = hand.open()
    texts: list[str] = []
    told: list[str] = []
    for word in ["one", "two", "three", "four", "five", "six"]:
        hand.speak(1.0)
        texts.append(word)
        hand.hear(connection, text(*texts))
        hand.drop(connection)
        connection = hand.dial_later()
        connection.receive_open(hand.now)
        told += [event.text for event in hand.events() if isinstance(event, FinalTranscript)]
    assert told == texts
