"""How connections of a session end, what is told of it, how often another is tried, and how the session ends."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.session.hand import LAST, NO, SECOND, Hand, audio_in, said
from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import (
    ConnectionLost,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
)
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    DEFAULT_RESUME,
    CloseStream,
    Failure,
    FinalTranscript,
    PulseConnection,
    PulseOptions,
    PulseSession,
    Reconnecting,
    Resumed,
    ResumePolicy,
    SessionState,
    StreamEnded,
)

CODES = st.sampled_from([1000, 1001, 1005, 1006, 1008, 1011, 1012, 1013, 4000])


def _attempts(hand: Hand) -> list[int]:
    return [event.attempt for event in hand.events() if isinstance(event, Reconnecting)]


# -- the end


def test_the_end_is_confirmed() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(CloseStream(), 0.0)
    hand.hear(connection, LAST)
    events = hand.events()
    assert isinstance(events[2], FinalTranscript)
    assert events[2].is_last
    assert events[-2:] == [StreamEnded(confirmed=True), ConnectionClosed(code=1000, expected=True)]
    assert hand.session.next_deadline() is None


def test_the_wait_for_the_end_is_bounded_across_connections() -> None:
    hand = Hand(max_attempts=1000, end_timeout=10.0, first_delay=0.5, longest_delay=0.5)
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(CloseStream(), 0.0)
    hand.now = 5.0
    hand.hear(connection, said("a"))  # progress: the wait begins anew
    while hand.session.closed is None:
        hand.drop(connection)
        hand.wait()
        connection = hand.session.next_connection() or connection
        connection.receive_open(hand.now)
        hand.now += 1.0
    assert hand.now <= 16.0
    events = hand.events()
    assert events[-2] == StreamEnded(confirmed=False, reason="drain_timeout")
    endless = Hand(end_timeout=None)
    endless.open()
    endless.session.send(CloseStream(), 0.0)
    assert endless.session.next_deadline() is None


def test_giving_up_ends_everything() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.hear(connection, said("a", final=False))
    hand.session.migrate(0.0)
    following = hand.dial()
    hand.events()
    hand.session.close(0.0)
    assert hand.names() == ["Usage", "SpeechEnded", "StreamEnded", "ConnectionClosed"]
    assert connection.close_requested
    assert following.close_requested
    hand.session.close(0.0)
    assert hand.events() == []


def test_giving_up_before_the_dial() -> None:
    hand = Hand()
    hand.session.close(0.0)
    assert hand.names() == ["StreamEnded", "ConnectionClosed"]
    assert hand.session.next_connection() is None


# -- what is told


@given(
    CODES,
    st.text(max_size=20),
    st.sampled_from([None, NO, HandshakeRejected("no", status=403)]),
    st.booleans(),
    st.sampled_from(["en", "ja"]),
)
def test_a_session_that_does_not_resume_closes_as_its_connection_did(
    code: int, reason: str, error: ProtocolError | None, heard: bool, language: str
) -> None:
    options = PulseOptions(language=language)
    plain = PulseConnection(options)
    hand = Hand(options, resume=frozenset())
    connection = hand.open()
    for end in (plain, connection):
        if heard:
            end.receive_message(said("a", final=False), 0.0)
        end.receive_close(code, reason, 0.0, error=error)
    events: list[Event] = []
    while (event := plain.next_event()) is not NEED_DATA:
        events.append(event)
    assert hand.session.closed == events[-1]
    assert hand.events()[-1] == events[-1]


def test_an_end_that_nobody_asked_for_is_a_failure_of_its_own() -> None:
    ended = Failure.ENDED_UNASKED
    hand = Hand(resume=DEFAULT_RESUME - {ended})
    hand.hear(hand.open(), LAST)
    closed = hand.session.closed
    assert closed is not None
    assert (closed.code, closed.reason, closed.expected) == (1000, "", False)
    assert isinstance(closed.error, ConnectionLost)
    assert closed.error.status == 1000
    assert "without being asked" in str(closed.error)
    hand = Hand(resume=frozenset({ended}))
    hand.hear(hand.open(), LAST)
    reconnecting = hand.events()[-1]
    assert isinstance(reconnecting, Reconnecting)
    assert reconnecting.error == closed.error


def _waiting(hand: Hand) -> None:
    hand.drop(hand.open())


def _live(hand: Hand) -> None:
    hand.open()


def _warming(hand: Hand) -> None:
    hand.open()
    hand.session.migrate(hand.now)


def _changing(hand: Hand) -> None:
    hand.open()
    hand.session.update_options(PulseOptions(language="hi"), hand.now)


def _switching(hand: Hand) -> None:
    _changing(hand)
    hand.open()


@pytest.mark.parametrize(
    ("bring", "state"),
    [
        (lambda hand: None, SessionState.DIALLING),
        (_waiting, SessionState.WAITING),
        (_live, SessionState.LIVE),
        (_warming, SessionState.WARMING),
        (_changing, SessionState.CHANGING),
        (_switching, SessionState.SWITCHING),
    ],
)
def test_giving_up_is_told_as_such_in_every_state(bring: object, state: SessionState) -> None:
    hand = Hand()
    assert callable(bring)
    bring(hand)
    assert hand.session.state is state
    hand.events()
    hand.session.close(hand.now)
    assert hand.events() == [
        StreamEnded(confirmed=False, reason="abandoned"),
        ConnectionClosed(code=1000, expected=True),
    ]
    assert hand.session.session_id == ""
    assert not hand.session.is_heard
    assert hand.session.next_deadline() is None


@pytest.mark.parametrize("code", [1006, 1011])
def test_what_broke_is_told_when_the_next_connection_is_under_way_already(code: int) -> None:
    hand = Hand()
    connection = hand.open()
    hand.session.migrate(hand.now)
    hand.drop(connection, code)
    assert hand.events() == [Reconnecting(attempt=1, delay=0.0, error=error_for_close(code))]


def test_a_planned_change_is_no_attempt_whatever_failed_before() -> None:
    hand = Hand()
    hand.drop(hand.open())
    for _ in range(2):
        hand.drop(hand.dial_later(), error=NO)
    connection = hand.dial_later()
    connection.receive_open(hand.now)
    assert hand.events()[-1] == Resumed(attempt=3, replayed=0.0, start=0.0)
    hand.session.migrate(hand.now)
    hand.open()
    hand.hear(connection, said("", is_last=True))
    assert hand.events() == [Resumed(attempt=0, replayed=0.0, start=0.0)]


def test_a_refusal_suggests_nothing_that_is_not_the_callers_to_do() -> None:
    hand = Hand()
    hand.session.close(0.0)
    for refused in (hand.session.migrate, partial(hand.session.update_options, PulseOptions())):
        with pytest.raises(LocalProtocolError, match="not allowed in state ended; allowed there: nothing"):
            refused(0.0)


# -- how often, and when


def test_every_new_final_is_progress() -> None:
    hand = Hand()
    connection = hand.open()
    for second in range(1, 5):
        hand.speak(1.0)
        hand.hear(connection, said("word", at=0.25))
        hand.drop(connection)
        assert _attempts(hand) == [1], f"after {second} finals"
        connection = hand.dial_later()
        connection.receive_open(hand.now)


@pytest.mark.parametrize("at", [0.0, 100.0])
def test_only_a_connection_that_held_is_progress_whenever_it_was_open(at: float) -> None:
    hand = Hand(stable_after=10.0)
    hand.now = at
    connection = hand.open()
    for attempt in (1, 2, 3):
        hand.now += 9.0
        hand.drop(connection)
        assert _attempts(hand) == [attempt]
        connection = hand.dial_later()
        connection.receive_open(hand.now)
    hand.now += 10.0
    hand.drop(connection)
    assert _attempts(hand) == [1]


def test_the_wait_doubles_up_to_the_longest() -> None:
    hand = Hand(first_delay=0.25, longest_delay=3.0, retry_first=True)
    connection, delays = hand.dial(), list[float]()
    for _ in range(7):
        hand.drop(connection, error=NO)
        (reconnecting,) = hand.events()
        assert isinstance(reconnecting, Reconnecting)
        delays.append(reconnecting.delay)
        dropped = hand.now
        connection = hand.dial_later()
        assert hand.now == dropped + delays[-1]
    # half of it, as the random number is
    assert delays == [0.125, 0.25, 0.5, 1.0, 1.5, 1.5, 1.5]


@pytest.mark.parametrize("longest", [0.0, 0.5])
def test_a_server_that_names_no_wait_asks_for_none(longest: float) -> None:
    hand = Hand(longest_retry_after=longest)
    hand.drop(hand.open())
    assert hand.session.state is SessionState.WAITING


@pytest.mark.parametrize("pace", [1.001, 1.5, 2.0, 100.0])
def test_every_pace_above_real_time_will_do(pace: float) -> None:
    assert ResumePolicy(replay_pace=pace).replay_pace == pace


# -- how long the old connection has


@pytest.mark.parametrize("by_the_next", [False, True])
@pytest.mark.parametrize(
    ("drain", "handover"), [(2.0, 50.0), (None, 50.0), (50.0, 2.0), (None, 2.0), (2.0, 2.0)]
)
def test_the_old_connection_has_as_long_as_limits_and_policy_both_allow(
    drain: float | None, handover: float, by_the_next: bool
) -> None:
    """A driver that runs wires asks their connections only: their deadlines are the session's, too."""
    hand = Hand()
    limits, policy = Limits(drain_timeout=drain), ResumePolicy(handover_timeout=handover)
    hand.session = PulseSession(PulseOptions(), policy=policy, limits=limits, random=lambda: 0.5)
    first = hand.open()
    hand.speak(1.0)
    hand.session.update_options(PulseOptions(language="hi"), hand.now)
    second = hand.dial()
    second.receive_open(hand.now)
    due = min(drain or handover, handover)
    assert first.next_deadline() == due
    assert second.next_deadline() == handover
    hand.now = due - 0.125
    first.handle_timeout(hand.now)
    assert audio_in(second) == 0
    hand.now = due
    asked = second if by_the_next and due == handover else first
    asked.handle_timeout(hand.now)
    assert audio_in(second) == SECOND
    assert hand.session.state is SessionState.LIVE
