"""Every time that a session tells is on its own clock, and its turns begin and end where they were spoken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.session.hand import SECOND, Hand, said, text, vad
from pulse_strategies import TRANSCRIPTS, VADS
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.pulse import (
    Audio,
    Finalize,
    FinalTranscript,
    InterimTranscript,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    Word,
)

VAD = PulseOptions(vad_events=True)
WORDS = [Word("a", 0.5, 0.75), Word("b", 0.75, 1.25)]


def _events_of(connection: PulseConnection) -> list[Event]:
    events: list[Event] = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def _turns(hand: Hand) -> list[Event]:
    return [event for event in hand.events() if isinstance(event, SpeechStarted | SpeechEnded)]


@given(
    st.sampled_from([0.25, 1.0, 3.7, 50.0]),
    st.lists(TRANSCRIPTS | VADS, max_size=8),
    st.sampled_from([None, True]),
    st.booleans(),
)
def test_when_all_was_final_the_next_connection_tells_what_it_would_alone_only_later(
    before: float, messages: list[dict[str, Any]], vad_events: bool | None, raw: bool
) -> None:
    """As a `PulseConnection` does that follows another one and carries its clock on."""
    options = PulseOptions(vad_events=vad_events, diarize=True, include_raw=raw)
    first = PulseConnection(options)
    first.send(Audio(bytes(2 * round(before * SECOND / 2))), 0.0)
    first.send(Finalize(), 0.0)
    first.close(0.0)
    hand = Hand(options)
    connection = hand.open()
    hand.speak(before)
    hand.session.send(Finalize(), 0.0)
    hand.hear(connection, text("", from_finalize=True))
    connection = hand.again(connection)
    plain = PulseConnection(options, previous=first)
    plain.receive_open(hand.now)
    plain.send(Audio(bytes(2 * SECOND)), hand.now)
    hand.speak(2.0)
    for message in map(json.dumps, messages):
        plain.receive_message(message, hand.now)
        hand.hear(connection, message)
    assert hand.events() == _events_of(plain)


@given(
    st.lists(st.sampled_from([None, 0.5, 1.0, 1.5, 2.0, 2.5]), max_size=4),
    st.booleans(),
    st.sampled_from(["close", "drop", "fail"]),
)
def test_a_turn_that_is_cut_off_ends_with_the_last_word_known_of_it(
    ends: list[float | None], after_another: bool, how: str
) -> None:
    hand = Hand(VAD, max_attempts=int(how == "drop"))
    connection = hand.open()
    hand.speak(10.0)
    if after_another:
        hand.hear(connection, vad("started", 0.0), said("x", at=0.0), vad("ended", 0.5))
    hand.hear(connection, vad("started", 0.5))
    for end in ends:
        hand.hear(connection, text("a") if end is None else said("a", at=end - 0.25, each=0.25))
    hand.events()
    if how == "close":
        hand.session.close(0.0)
    elif how == "fail":
        hand.drop(connection)
    else:
        hand.again(connection)
        hand.wait(10.0)
    known = [end for end in ends if end is not None]
    assert _turns(hand) == [SpeechEnded(time=known[-1] if known else None)]


# -- a turn held back until it is known to be new


def _with_words(*words: Word, final: bool) -> str:
    return said(*(word.word for word in words), words=tuple(words), final=final)


@pytest.mark.parametrize("final", [False, True])
def test_a_turn_that_text_tells_of_begins_with_its_words(final: bool) -> None:
    """The words up to 4.0 s were said before; the second connection hears from 3.5 s on."""
    hand = Hand(overlap=0.5)
    connection = hand.open()
    hand.speak(6.0)
    hand.hear(connection, said("old", at=3.5))
    connection = hand.again(connection)
    hand.hear(connection, said("old", final=False))
    assert hand.events() == []
    hand.hear(connection, _with_words(*WORDS, final=final))
    events = hand.events()
    assert events[0] == SpeechStarted(time=4.0)
    transcript = events[1]
    assert isinstance(transcript, FinalTranscript if final else InterimTranscript)
    assert [word.start for word in transcript.words] == [4.0, 4.25]


def test_a_final_that_is_partly_old_begins_its_turn_with_what_is_new() -> None:
    hand = Hand(overlap=0.5)
    connection = hand.open()
    hand.speak(6.0)
    hand.hear(connection, said("old", at=3.5))
    connection = hand.again(connection)
    hand.hear(connection, said("old", "new", at=0.0))
    assert _turns(hand)[0] == SpeechStarted(time=4.0)


@pytest.mark.parametrize(
    "message",
    [
        text("old", "new"),
        said("old", "new", final=False),
        said("old", "new", at=50.0),  # later than what was sent: that cannot be
    ],
)
def test_a_turn_whose_words_have_no_times_begins_at_none(message: str) -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(6.0)
    hand.hear(connection, text("old"))
    connection = hand.again(connection)
    hand.hear(connection, said("old", final=False))
    assert hand.events() == []
    hand.hear(connection, message)
    assert hand.events()[0] == SpeechStarted(time=None)


@pytest.mark.parametrize(
    "message", [text("old", "new"), said("old", "new", final=False), said("new", at=1.5)]
)
def test_a_turn_that_the_vad_tells_of_begins_when_the_vad_says(message: str) -> None:
    hand = Hand(VAD)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 0.5), text("old"), vad("ended", 1.0))
    connection = hand.again(connection)
    hand.hear(connection, vad("started", 0.55))
    assert hand.events() == []  # the same again, as far as anyone knows
    hand.hear(connection, message)
    assert hand.events()[0] == SpeechStarted(time=0.55, source="vad")


@pytest.mark.parametrize(
    "before",
    [
        (),
        (vad("started", 0.1), vad("ended", 0.3)),
        (vad("started", 0.1).replace("0.1", "null"), vad("ended", 0.3).replace("0.3", "null")),
    ],
)
def test_what_the_vad_has_not_told_before_is_told_at_once(before: tuple[str, ...]) -> None:
    hand = Hand(VAD)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, *before)
    connection = hand.again(connection)
    hand.hear(connection, *before)
    hand.events()
    hand.hear(connection, vad("started", 0.5))
    assert _turns(hand) == [SpeechStarted(time=0.5, source="vad")]


# -- a turn that is open when a connection is lost


@pytest.mark.parametrize("end", [1.5, 1.55])
def test_a_turn_that_was_open_ends_however_short_it_was(end: float) -> None:
    hand = Hand(VAD)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 1.5))
    connection = hand.again(connection)
    hand.hear(connection, vad("started", 1.5), vad("ended", end))
    assert _turns(hand) == [SpeechEnded(time=end, source="vad")]
    hand.wait(10.0)
    assert hand.events() == []


def test_a_start_that_is_told_again_does_not_keep_a_turn_open() -> None:
    hand = Hand(VAD, turn_timeout=3.0)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 1.5))
    connection = hand.again(connection)
    hand.hear(connection, vad("started", 1.55))
    hand.wait(3.0)
    assert _turns(hand) == [SpeechEnded(time=None)]


@pytest.mark.parametrize(
    "goes_on",
    [
        [said("b", final=False)],
        [text("b")],
        [vad("started", 3.0)],
        [vad("started", 1.5), said("b", final=False)],
        [vad("started", 3.0), vad("ended", 3.5)],
    ],
)
def test_a_turn_that_goes_on_does_not_end_by_the_clock(goes_on: list[str]) -> None:
    hand = Hand(VAD, turn_timeout=3.0)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 1.5))
    connection = hand.again(connection)
    hand.hear(connection, *goes_on)
    ended = [event for event in _turns(hand) if isinstance(event, SpeechEnded)]
    hand.wait(10.0)
    assert hand.events() == []
    assert len(ended) == ("ended" in goes_on[-1])


def test_the_end_of_an_old_turn_is_not_that_of_the_one_that_is_open() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, text("a"), said("b", final=False))
    connection = hand.again(connection)
    hand.hear(connection, said("a", final=False), text("a"), said("b", final=False))
    assert hand.names() == ["InterimTranscript"]
    hand.hear(connection, text("b"))
    assert hand.names() == ["FinalTranscript", "SpeechEnded"]


def test_the_wait_for_a_turn_begins_anew_with_every_connection() -> None:
    hand = Hand(VAD, turn_timeout=3.0)
    connection = hand.open()
    hand.speak(1.0)
    hand.hear(connection, vad("started", 0.5))
    connection = hand.again(connection)
    hand.wait(2.0)
    hand.drop(connection)
    connection = hand.dial_later()
    hand.wait(5.0)  # the dial takes long
    connection.receive_open(hand.now)
    hand.wait(2.9)
    assert _turns(hand) == []
    hand.wait(0.2)
    assert _turns(hand) == [SpeechEnded(time=None)]


@pytest.mark.parametrize("first", [0.0, 0.05, 0.1])
def test_a_vad_that_told_nothing_yet_repeats_nothing(first: float) -> None:
    hand = Hand(VAD)
    connection = hand.again(hand.open())
    hand.speak(1.0)
    hand.hear(connection, vad("started", first), vad("ended", 0.5))
    assert hand.events() == [SpeechStarted(time=first, source="vad"), SpeechEnded(time=0.5, source="vad")]


def test_a_turn_begins_with_the_first_word_that_is_new() -> None:
    hand = Hand(overlap=0.5)
    connection = hand.open()
    hand.speak(6.0)
    hand.hear(connection, said("old", at=3.5))
    assert _turns(hand)[-1] == SpeechEnded(time=4.0)
    connection = hand.again(connection)
    old, new = Word("old", 0.0, 0.5), Word("new", 0.5, 1.0)
    hand.hear(connection, said("old", "new", final=False, words=(old, new)))
    assert _turns(hand) == [SpeechStarted(time=4.0)]
