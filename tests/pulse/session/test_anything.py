"""Whatever servers, sockets and callers do, in whatever order: no stray exception, and the promises hold."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pulse.session.hand import SECOND, Hand, said, text, vad
from pulse.session.simulator import check_turns
from smallest_proto.errors import ConnectFailed, HandshakeRejected, LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event
from smallest_proto.pulse import (
    Audio,
    AudioDropped,
    CloseStream,
    Finalize,
    Flush,
    KeepAlive,
    PulseOptions,
    SessionConnection,
)

LETTERS = st.lists(st.sampled_from("abcdef"), max_size=4)
TIMES = st.floats(0.0, 8.0)
MESSAGES = st.one_of(
    st.builds(
        lambda words, at, final, flag, last: said(
            *words, at=at, final=final, from_finalize=flag, is_last=last
        ),
        LETTERS,
        TIMES | st.just(1e12),
        st.booleans(),
        st.sampled_from((None, None, True, False)),
        st.sampled_from((False, False, False, True)),
    ),
    st.builds(lambda words: text(*words), LETTERS),
    st.builds(vad, st.sampled_from(("started", "ended")), TIMES),
    st.sampled_from(('{"type":"error","message":"no"}', '{"type":"pong"}', "nonsense", "[]")),
)
COMMANDS = st.one_of(
    st.builds(lambda seconds: Audio(bytes(2 * round(seconds * SECOND / 2) + 2)), st.floats(0, 3)),
    st.sampled_from((Flush(), Finalize(), KeepAlive(), CloseStream(), Audio(b"1"))),
)
ERRORS = st.sampled_from((None, ConnectFailed("no"), HandshakeRejected("no", status=503, retry_after=1.0)))
STEPS = st.one_of(
    st.tuples(st.just("send"), COMMANDS),
    st.tuples(st.just("send"), COMMANDS),
    st.tuples(st.just("hear"), st.integers(0, 2), MESSAGES),
    st.tuples(st.just("hear"), st.integers(0, 2), MESSAGES),
    st.tuples(st.just("open"), st.integers(0, 2)),
    st.tuples(st.just("open"), st.integers(0, 2)),
    st.tuples(st.just("drop"), st.integers(0, 2), st.sampled_from((1000, 1001, 1006, 1006)), ERRORS),
    st.tuples(st.just("shut"), st.integers(0, 2)),
    st.tuples(st.just("wait"), st.floats(0.0, 5.0)),
    st.tuples(st.just("late"), st.floats(0.0, 100.0)),
    st.tuples(st.just("migrate")),
    st.tuples(st.just("update"), st.sampled_from(("en", "hi", "de"))),
)


def _act(hand: Hand, connections: list[SessionConnection], step: tuple[Any, ...]) -> None:
    """One thing that somebody does; connections count from the newest."""
    kind, *rest = step
    if kind == "send":
        hand.session.send(rest[0], hand.now)
    elif kind == "migrate":
        hand.session.migrate(hand.now)
    elif kind == "update":
        hand.session.update_options(PulseOptions(language=rest[0], vad_events=True), hand.now)
    elif kind == "wait":
        hand.wait(rest[0])
    elif kind == "late":
        hand.now += rest[0]
        hand.session.handle_timeout(hand.now)
    elif rest[0] < len(connections):
        connection = connections[-1 - rest[0]]
        if kind == "open" and connection.opened_at is None and connection.closed is None:
            connection.receive_open(hand.now)
        elif kind == "hear":
            connection.receive_message(rest[1], hand.now)
        elif kind == "drop":
            connection.receive_close(rest[1], "", hand.now, error=rest[2])
        elif kind == "shut":
            connection.close(hand.now)
        connection.messages_to_send()
        connection.handle_timeout(hand.now)


@given(
    st.lists(STEPS, max_size=60), st.booleans(), st.sampled_from((None, 2.0)), st.sampled_from((None, True))
)
def test_the_promises_hold(
    steps: list[tuple[Any, ...]], words: bool, pace: float | None, vad_events: bool | None
) -> None:
    options = PulseOptions(word_timestamps=words, vad_events=vad_events)
    hand = Hand(options, keep_seconds=4.0, retry_first=True, replay_pace=pace, max_attempts=4)
    connections: list[SessionConnection] = []
    events: list[Event] = []
    for step in [*steps, None]:
        try:
            if step is None:
                hand.session.close(hand.now)
            else:
                _act(hand, connections, step)
        except LocalProtocolError:
            assert step is not None
            assert step[0] in ("send", "migrate", "update")
        while (connection := hand.session.next_connection()) is not None:
            connections.append(connection)
        while (event := hand.session.next_event()) is not NEED_DATA:
            events.append(event)
        assert hand.session.kept_seconds <= 4.0
    assert [e for e in events if isinstance(e, ConnectionClosed)] == events[-1:] == [hand.session.closed]
    assert hand.session.next_deadline() is None
    check_turns(events)
    spans = [event for event in events if isinstance(event, AudioDropped)]
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == sorted(edges)
