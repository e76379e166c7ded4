"""What is kept is bounded, and what had to go is told to the sample."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.session.day import run
from pulse.session.hand import SECOND, Hand, audio_in, said
from smallest_proto.pulse import AudioDropped, CloseStream, PulseOptions, Resumed


def _dropped(hand: Hand) -> list[AudioDropped]:
    return [event for event in hand.events() if isinstance(event, AudioDropped)]


def _check_spans(spans: list[AudioDropped], start: float, end: float) -> None:
    """They cover this span, each beginning exactly where the one before ended."""
    assert spans[0].start == start
    assert spans[-1].end == end
    assert all(a.end == b.start for a, b in pairwise(spans))
    assert all(span.start < span.end for span in spans)


@given(st.lists(st.floats(0.01, 7.0), min_size=1, max_size=60), st.booleans())
def test_spans_add_up_while_no_connection_is_there(pieces: list[float], in_bytes: bool) -> None:
    hand = Hand(keep_seconds=600.0, keep_bytes=10 * SECOND) if in_bytes else Hand(keep_seconds=10.0)
    total = 0
    for seconds in pieces:
        size = 2 * round(seconds * SECOND / 2)
        hand.speak(size / SECOND)
        total += size
    spans = _dropped(hand)
    connection = hand.open()
    rest = audio_in(connection)
    rest_held = total - round(sum(span.end - span.start for span in spans) * SECOND)
    # what fills no packet waits in the connection
    assert rest_held - 1600 < rest <= rest_held <= 10 * SECOND
    assert hand.session.kept_seconds == pytest.approx(rest_held / SECOND)
    if total <= 10 * SECOND:
        assert not spans
    else:
        _check_spans(spans, 0.0, (total - rest_held) / SECOND)


def test_what_a_lost_connection_heard_beyond_the_bound_is_told_when_it_is_lost() -> None:
    hand = Hand(keep_seconds=10.0, overlap=0.0)
    connection = hand.open()
    hand.speak(5.0)
    hand.hear(connection, said("one", "two", at=1.0))
    for _ in range(20):
        hand.speak(1.0)
    assert not _dropped(hand)
    hand.drop(connection)
    (span,) = _dropped(hand)
    assert (span.start, span.end) == (2.0, 25.0 - hand.session.kept_seconds)
    hand.speak(9.0)
    _check_spans([span, *_dropped(hand)], 2.0, 34.0 - hand.session.kept_seconds)
    hand.dial_later().receive_open(hand.now)
    (resumed,) = (event for event in hand.events() if isinstance(event, Resumed))
    assert resumed.start == 34.0 - hand.session.kept_seconds
    assert resumed.start + resumed.replayed == 34.0


def test_later_finals_without_times_have_covered_what_must_go() -> None:
    hand = Hand(PulseOptions(word_timestamps=False), keep_seconds=10.0)
    connection = hand.open()
    for _ in range(25):
        hand.speak(1.0)
        hand.hear(connection, said("word", words=()))
    hand.drop(connection)
    assert not _dropped(hand)


def test_a_slow_replay_loses_nothing() -> None:
    hand = Hand(keep_seconds=10.0, replay_pace=2.0, retry_first=True)
    hand.speak(8.0)
    connection = hand.open()
    assert audio_in(connection) == 0.1 * SECOND
    hand.speak(8.0)
    assert audio_in(connection) >= 6.0 * SECOND - 1600
    assert not _dropped(hand)


def test_what_is_left_when_the_session_fails_is_told() -> None:
    hand = Hand(max_attempts=0, overlap=0.0)
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, said("one", "two", at=1.0))
    hand.drop(connection)
    (span,) = _dropped(hand)
    assert (span.start, span.end) == (2.0, 4.0)


@pytest.mark.parametrize("words", [True, False])
def test_an_hour_with_a_drop_a_minute_stays_within_bounds(words: bool) -> None:
    """`python -m pulse.session.day 24` in tests/ runs the whole day."""
    report = run(hours=1, words=words)
    assert report.drops == 60
    assert report.finals > 800
    assert 55.0 < report.most_kept <= 60.0
    assert report.grown < 1024 * 1024
    assert report.peak < 4 * 1024 * 1024


def test_what_is_covered_is_given_back() -> None:
    hand = Hand()
    connection = hand.open()
    for _ in range(20):
        hand.speak(0.05)
    hand.hear(connection, said("one", at=0.1))
    kept = round(hand.session.kept_seconds * SECOND)
    assert 0 < kept < 0.7 * SECOND
    assert sys.getsizeof(hand.session._log._audio) < kept + 100


def test_the_end_of_the_input_survives_the_loss_of_all_audio() -> None:
    hand = Hand(keep_seconds=1.0)
    connection = hand.open()
    hand.speak(2.0)
    hand.session.send(CloseStream(), hand.now)
    hand.drop(connection)
    again = hand.dial_later()
    again.receive_open(hand.now)
    assert '{"type":"close_stream"}' in again.messages_to_send()


def test_the_room_that_is_left_is_told_while_nobody_hears() -> None:
    hand = Hand(keep_seconds=2.0, retry_first=True)
    assert hand.session.room == 2 * SECOND
    hand.speak(1.5)
    assert hand.session.room == SECOND // 2
    assert not hand.events()
    hand.open()
    assert hand.session.room is None
