"""Both wires talking to each other, through the public pair of `smallest_proto.testing`."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import HandshakeRejected
from smallest_proto.events import ConnectionClosed
from smallest_proto.testing import (
    Cut,
    Decide,
    WiredPair,
    accept,
    bytewise,
    cut_at,
    random_cuts,
    reject,
    whole,
)
from smallest_proto.wire.events import HandshakeCompleted, UpgradeReceived
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire
from wire.recording import Opened, Received, RecordingLayer, Ticked, comparable, frames, request

CUTS = [whole, bytewise, cut_at(1, 5, 9), random_cuts(Random(1)), random_cuts(Random(2), 3)]


class Ends:
    """A pair of recording layers, wired."""

    def __init__(self, *, cut: Cut = whole, heartbeat: float | None = None, decide: Decide | None = None):
        self.a, self.b = RecordingLayer(heartbeat), RecordingLayer()
        self.pair = WiredPair(
            WebSocketWire(self.a, request()), WebSocketServerWire(), decide or accept(self.b), cut=cut
        )


@pytest.mark.parametrize("cut", CUTS)
def test_a_conversation(cut: Cut) -> None:
    ends = Ends(cut=cut)
    ends.a.send("echo hello", b"\x00\x01")
    ends.b.send("welcome")
    ends.pair.run()
    ends.a.send("bye")
    ends.pair.run()
    assert [type(event) for event in ends.pair.client_events[:2]] == [HandshakeCompleted, Opened]
    assert ends.pair.client_events[2:] == [
        Received(message="welcome"),
        Received(message="hello"),
        ConnectionClosed(code=1000, reason="bye", expected=False),
    ]
    assert isinstance(ends.pair.server_events[0], UpgradeReceived)
    assert ends.pair.server_events[1:] == [
        Opened(),
        Received(message="echo hello"),
        Received(message=b"\x00\x01"),
        Received(message="bye"),
        ConnectionClosed(code=1000, reason="bye", expected=True),
    ]
    assert ends.pair.client.state is State.CLOSED
    assert ends.pair.server.state is State.CLOSED


messages = st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=200)), max_size=10)


@given(messages, messages, st.integers().map(Random))
def test_every_message_arrives_once_and_in_order(
    up: list[str | bytes], down: list[str | bytes], r: Random
) -> None:
    plain = [m for m in up + down if isinstance(m, str) and (m == "bye" or m.startswith("echo "))]
    ends, other = Ends(cut=random_cuts(r, 40)), Ends()
    for one in (ends, other):
        one.a.send(*up)
        one.b.send(*down)
        one.pair.run()
    if not plain:
        assert [e.message for e in ends.pair.server_events if isinstance(e, Received)] == up
        assert [e.message for e in ends.pair.client_events if isinstance(e, Received)] == down
    assert comparable(ends.pair.client_events) == comparable(other.pair.client_events)
    assert ends.pair.server_events[1:] == other.pair.server_events[1:]


def test_a_rejection() -> None:
    ends = Ends(decide=reject(401, (("X-Request-Id", "r1"),), b'{"error":"unauthorized"}'), cut=bytewise)
    ends.pair.run()
    (event,) = ends.pair.client_events
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, HandshakeRejected)
    assert (event.error.status, event.error.message) == (401, "unauthorized")
    assert event.error.request_id == "r1"
    assert ends.pair.server_events[1:] == [ConnectionClosed(code=1006, expected=True)]


def test_the_clock_runs_deadline_by_deadline() -> None:
    ends = Ends(heartbeat=5.0)
    ends.pair.run()
    ends.b.tick_at(7.0)
    ends.pair.advance(21.0)
    assert ends.pair.now == 21.0
    sent = bytes(ends.pair.client_sent).partition(b"\r\n\r\n")[2]
    assert [f.opcode for f in frames(sent)] == [9, 9, 9, 9]
    assert ends.pair.server_events[-1] == Ticked()
    assert not ends.pair.client.finished


def test_close_over_the_pair() -> None:
    ends = Ends()
    ends.pair.run()
    ends.pair.server.close(ends.pair.now)
    ends.pair.advance(0.0)
    assert ends.pair.client_events[-1] == ConnectionClosed(code=1000, reason="bye", expected=False)
    assert ends.pair.server_events[-1] == ConnectionClosed(code=1000, reason="bye", expected=True)
