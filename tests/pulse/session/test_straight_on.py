"""Audio that goes straight on to the live connection, past the log, is what it would be by way of the log."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pulse.session.hand import SECOND, Hand, said, text, vad
from smallest_proto.errors import LocalProtocolError
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    Flush,
    KeepAlive,
    PulseOptions,
    SessionConnection,
)
from smallest_proto.pulse.commands import ClientCommand
from smallest_proto.pulse.replay import ReplayLog
from smallest_proto.pulse.session_feed import Feed

commands = st.one_of(
    st.sampled_from([320, 1600, 1602, 48_000, 48_000, 0, 3]).map(lambda size: Audio(bytes(size))),
    st.just(Audio(bytearray(b"ab" * 700))),  # type: ignore[arg-type]  # bytes-like
    st.sampled_from([Flush(), Finalize(), KeepAlive()]),
)
messages = st.one_of(
    st.builds(said, st.just("one"), st.just("two"), at=st.floats(0, 5), final=st.booleans()),
    st.builds(text, st.just("one two"), from_finalize=st.sampled_from([None, True, False])),
    st.builds(vad, st.sampled_from(["started", "ended"]), st.floats(0, 5)),
    st.just(said("last", is_last=True)),
)
steps = st.lists(
    st.one_of(
        commands,
        commands,
        commands,
        messages,
        messages,
        st.floats(0.0, 6.0),
        st.sampled_from(["open", "drop", "redial", "redial", "update", "migrate", "end"]),
    ),
    max_size=40,
)
policies = st.fixed_dictionaries(
    {
        "keep_seconds": st.sampled_from([1.0, 2.0, 60.0]),
        "replay_pace": st.sampled_from([None, 2.0]),
        "retry_first": st.just(True),
    }
)


class Driven:
    """A session, and all that it did."""

    def __init__(self, policy: dict[str, object]) -> None:
        self.hand = Hand(PulseOptions(keepalive_interval=2.0), **policy)
        self.connections: list[SessionConnection] = []
        self.done: list[object] = []

    def take(self, step: object) -> None:
        for part in ("drop", 0.5, "open") if step == "redial" else (step,):
            self._take(part)

    def _take(self, step: object) -> None:
        session, now = self.hand.session, self.hand.now
        try:
            if isinstance(step, float):
                self.hand.wait(step)
                for connection in self.connections:
                    connection.handle_timeout(self.hand.now)
            elif step == "open" and (dialled := session.next_connection()) is not None:
                self.connections.append(dialled)
                dialled.receive_open(now)
            elif step == "drop" and self.connections:
                self.connections.pop(0).receive_close(1006, "", now)
            elif step == "update":
                session.update_options(PulseOptions(language="de"), now)
            elif step == "migrate":
                session.migrate(now)
            elif step == "end":
                session.send(CloseStream(), now)
            elif isinstance(step, ClientCommand):
                session.send(step, now)
            elif isinstance(step, str) and self.connections:
                self.connections[-1].receive_message(step, now)
        except LocalProtocolError as error:
            self.done.append(str(error))
        self.done.append([repr(event) for event in self.hand.events()])
        self.done.append((session.state, session.room, session.kept_seconds, session.next_deadline()))
        for connection in self.connections:
            self.done.append((connection.messages_to_send(), connection.next_deadline(), connection.sent))


def _by_the_log(feed: Feed, audio: bytes, now: float) -> None:
    feed.log.append(audio)
    feed._pump(now)
    feed._stay_within_bounds(now)


@settings(max_examples=300)
@given(steps, policies)
def test_nothing_tells_the_two_ways_apart(steps: list[object], policy: dict[str, object]) -> None:
    straight, by_the_log = Driven(policy), Driven(policy)
    for step in ["open", Audio(bytes(SECOND)), *steps]:
        straight.take(step)
        with mock.patch.object(Feed, "_take_audio", _by_the_log):
            by_the_log.take(step)
        assert straight.done == by_the_log.done


def test_the_straight_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a replay, too; else all of this would compare the log with itself."""

    def read(self: ReplayLog, begin: int, end: int) -> bytes:
        raise AssertionError("by the log")

    hand = Hand()
    for _ in range(2):
        connection = hand.open()
        with monkeypatch.context() as patch:
            patch.setattr(ReplayLog, "read", read)
            hand.speak(1.0)
            hand.session.send(Finalize(), hand.now)
            hand.speak(1.0)
            hand.hear(connection, said("word", at=0.5))
            hand.speak(1.0)
        assert len(b"".join(m for m in connection.messages_to_send() if isinstance(m, bytes))) >= 3 * SECOND
        hand.drop(connection)
        hand.wait()
