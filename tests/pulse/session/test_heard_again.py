"""What a later connection hears again is not told again, however it says it; what is new is told whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulse.session.hand import Hand, said, text, vad
from smallest_proto.pulse import (
    Finalize,
    FinalTranscript,
    InterimTranscript,
    PulseOptions,
    Utterance,
)
from smallest_proto.pulse.repeats import Repeats

WORDLESS = PulseOptions(word_timestamps=False)
VAD = PulseOptions(vad_events=True, word_timestamps=False)
EACH = 0.125
SPOKEN = {"en": ("how", "are", "you", "this", "fine", "day"), "zh": tuple("今天气很好吗")}
FRESH = {"en": ("indeed", "sir"), "zh": tuple("真的")}


def _told(hand: Hand) -> list[str]:
    """The transcripts that came since the last time."""
    return [event.text for event in hand.events() if isinstance(event, FinalTranscript | InterimTranscript)]


class Speaker:
    """Says words one after the other, as a server of this language does, with or without their times."""

    def __init__(self, language: str, *, timed: bool, at: float, style: str = "{}") -> None:
        self.language, self.timed, self.at, self.style = language, timed, at, style

    def write(self, *words: str) -> tuple[list[str], str]:
        if self.language == "zh":
            return list(words), "".join(words)
        written = [self.style.format(word if self.style == "{}" else word.title()) for word in words]
        return written, " ".join(written)

    def say(self, *words: str, final: bool) -> str:
        written, transcript = self.write(*words)
        message = said(
            *written,
            at=self.at,
            each=EACH,
            final=final,
            transcript=transcript,
            language=self.language,
            utterances=tuple(
                Utterance(word, self.at + i * EACH, self.at + (i + 1) * EACH)
                for i, word in enumerate(written)
            ),
            **({} if self.timed and final else {"words": ()}),
        )
        self.at += len(words) * EACH * final
        return message


@given(
    st.sampled_from(["en", "zh"]),
    st.booleans(),
    st.integers(1, 6),
    st.integers(0, 5),
    st.lists(st.booleans(), min_size=5, max_size=5),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from(["{}", "{},", "«{}…»"]),
)
@example("en", True, 6, 5, [False, True, False, True, False], True, 1, "{}")
def test_what_was_final_is_silent_however_it_is_cut_and_written_the_next_time(
    language: str, timed: bool, count: int, split: int, cuts: list[bool], interims: bool, new: int, style: str
) -> None:
    """The words end at 4.0 s; by their times a replay begins at 3.0 s, without them at 0.0 s."""
    hand = Hand(overlap=1.0)
    connection = hand.open()
    hand.speak(8.0)
    left, fresh = list(SPOKEN[language][:count]), FRESH[language][:new]
    start = 4.0 - count * EACH
    first = Speaker(language, timed=timed, at=start)
    hand.hear(connection, *(first.say(*part, final=True) for part in (left[:split], left[split:]) if part))
    connection = hand.again(connection)
    again = Speaker(language, timed=timed, at=start - (3.0 if timed else 0.0), style=style)
    ends = [i for i, cut in enumerate(cuts[: count - 1], 1) if cut]
    for begin, end in pairwise([0, *ends]):
        for partial in range(begin + 1, end + 1) if interims else ():
            hand.hear(connection, again.say(*left[begin:partial], final=False))
        hand.hear(connection, again.say(*left[begin:end], final=True))
        assert hand.events() == []
    del left[: ends[-1] if ends else 0]
    hand.hear(connection, again.say(*left, *fresh, final=True))
    finals = [event for event in hand.events() if isinstance(event, FinalTranscript)]
    if not fresh:
        assert finals == []
        return
    (final,) = finals
    expected, transcript = again.write(*fresh)
    assert final.text == transcript
    if timed:
        assert [word.word for word in final.words] == expected
        assert [utterance.text for utterance in final.utterances] == expected
        assert (final.start, final.end) == (4.0, 4.0 + new * EACH)
        assert (final.words[0].start, final.utterances[0].start) == (4.0, 4.0)


def test_a_long_text_of_few_words_is_known_again() -> None:
    words = [("yes", "no", "well", "so", "and")[i * i % 11 % 5] for i in range(300)]
    hand = Hand(WORDLESS)
    connection = hand.open()
    hand.speak(9.0)
    hand.hear(connection, text(*words))
    connection = hand.again(connection)
    hand.hear(connection, text("hm", *words[1:], "indeed"))
    assert _told(hand) == ["indeed"]


@pytest.mark.parametrize(
    ("before", "again", "told"),
    [
        # recognition varies from run to run
        ("a b c d e f", ["a b X d e f new"], ["new"]),
        ("a b c d e f", ["b c d", "e f new"], ["new"]),
        # single words agree by chance
        ("x y", ["y new"], ["y new"]),
        ("a b c", ["c new"], ["c new"]),
        # once there was something new, all is
        ("a b c d", ["a b X", "c d"], ["X", "c d"]),
        ("a b c d", ["X", "a b c d"], ["X", "a b c d"]),
    ],
)
def test_most_of_the_words_must_agree(before: str, again: list[str], told: list[str]) -> None:
    hand = Hand(WORDLESS)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, text(*before.split()))
    connection = hand.again(connection)
    for words in again:
        hand.hear(connection, text(*words.split()))
    assert _told(hand) == told


def test_what_has_come_again_is_doubtful_no_more() -> None:
    repeats = Repeats(0.0, ["before", "a", "b", "c"], doubtful=1)
    assert repeats.fresh_part(FinalTranscript(text="before a"), timed=False) is None
    final = FinalTranscript(text="c new")
    assert repeats.fresh_part(final, timed=False) is final


def test_times_tell_that_words_without_them_were_before() -> None:
    hand = Hand(overlap=0.5)
    connection = hand.open()
    hand.speak(6.0)
    hand.hear(connection, text("some", "words", "without", "times"), said("one", at=3.5))
    connection = hand.again(connection)
    hand.hear(connection, said("one", final=False))
    assert _told(hand) == []
    hand.hear(connection, said("one", "two", final=False))
    assert _told(hand) == ["one two"]


def test_words_whose_audio_is_gone_are_not_expected() -> None:
    hand = Hand(WORDLESS, keep_seconds=10.0)
    connection = hand.open()
    words = [f"w{i}" for i in range(40)]
    for word in words:
        hand.speak(1.0)
        hand.hear(connection, text(word))
    kept = int(hand.session.kept_seconds)
    connection = hand.again(connection)
    hand.hear(connection, text(*words[-kept:], "new"))
    assert _told(hand) == ["new"]


def test_a_word_said_where_the_audio_that_is_kept_begins_is_not_expected() -> None:
    hand = Hand(WORDLESS, keep_seconds=16.0)
    connection = hand.open()
    for second in range(1, 18):
        hand.speak(1.0)
        if second in (2, 15):
            hand.hear(connection, text(f"w{second}"))
    assert hand.session.kept_seconds == 15.0
    connection = hand.again(connection)
    hand.hear(connection, text("w15", "new"))
    assert _told(hand) == ["new"]


# -- a finalize in the middle of a replay


@pytest.mark.parametrize(("count", "come"), [(n, k) for n in (1, 4) for k in range(n + 1)])
def test_what_lies_behind_a_finalize_is_known_again_by_the_third_connection(count: int, come: int) -> None:
    """The second answers the finalize with the words before it, and drops before it says the rest."""
    words = ("one", "two", "three", "four")[:count]
    hand = Hand(WORDLESS)
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(Finalize(), hand.now)
    hand.speak(2.0)
    hand.hear(connection, text(*words, from_finalize=False))
    connection = hand.again(connection)
    hand.hear(connection, text(*words[:come], from_finalize=True))
    assert _told(hand) == []
    assert hand.session.kept_seconds == 2.0
    connection = hand.again(connection)
    hand.hear(connection, text(*words[come:], "new"))
    assert _told(hand) == ["new"]


@pytest.mark.parametrize("heard", ["one two", "one too"])
def test_behind_a_finalize_that_found_something_new_all_is_new(heard: str) -> None:
    hand = Hand(overlap=1.0)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, said("one", "two", "three", at=2.5, each=0.25))
    hand.session.send(Finalize(), hand.now)
    connection = hand.again(connection)  # hears from 2.25 s on
    first, second = heard.split()
    hand.hear(connection, said(first, at=0.25, each=0.25, from_finalize=False))
    hand.hear(connection, said(second, "new", at=0.75, each=0.625, from_finalize=False))
    assert _told(hand) == [f"{second} new"]  # up to 4.25 s, as times are not exact
    hand.hear(connection, text("", from_finalize=True))
    assert hand.session.kept_seconds == 0.0
    connection = hand.again(connection)
    hand.speak(1.0)
    hand.hear(connection, said("and", final=False))
    assert _told(hand) == ["and"]


def test_a_finalize_that_was_answered_is_not_sent_again() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(Finalize(), hand.now)
    hand.hear(connection, text("a", from_finalize=True))
    hand.speak(1.0)
    connection = hand.again(connection)
    assert all(isinstance(message, bytes) for message in connection.messages_to_send())


# -- pauses


def test_words_before_a_pause_that_is_covered_are_not_expected() -> None:
    hand = Hand(VAD)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(
        connection, vad("started", 0.0), text("yes"), vad("ended", 1.0), vad("started", 2.0), text("go")
    )
    assert hand.session.kept_seconds == 3.0
    connection = hand.again(connection)
    hand.hear(connection, text("go", "yes"))
    assert _told(hand) == ["yes"]


def test_words_since_a_pause_that_is_covered_are_expected() -> None:
    hand = Hand(VAD)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 0.0), text("a"), vad("ended", 1.0), text("b"), text("c"))
    assert hand.session.kept_seconds == 3.0
    connection = hand.again(connection)
    hand.hear(connection, text("b", "c", "new"))
    assert _told(hand) == ["new"]


def test_a_pause_is_covered_by_a_new_final_after_one_that_was_told_before() -> None:
    hand = Hand(VAD)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 0.0), text("a"))
    connection = hand.again(connection)
    hand.hear(connection, vad("started", 0.0), vad("ended", 1.0), text("a"))
    assert _told(hand) == []
    assert hand.session.kept_seconds == 4.0
    hand.hear(connection, text("b"))
    assert hand.session.kept_seconds == 3.0
