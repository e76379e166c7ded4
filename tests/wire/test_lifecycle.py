"""Heartbeat, deadlines, the close handshake, the end of the stream, and calls at the wrong time."""

from __future__ import annotations

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, RemoteProtocolError
from smallest_proto.events import ConnectionClosed
from smallest_proto.limits import Limits
from smallest_proto.wire.states import CLIENT, EXTERNAL, SERVER, Input, State
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire
from wire.recording import (
    GOOD_101,
    Client,
    Frame,
    Opened,
    Received,
    RecordingLayer,
    Server,
    Ticked,
    close_frame,
    events,
    frame,
    frames,
    request,
    state_of,
    text,
)

PING, PONG = Frame(9, b"", True), 10
CLOSE = Frame(8, b"\x03\xe8bye", True)


def test_silence_is_pinged_and_a_pong_ends_it() -> None:
    client = Client(heartbeat=5.0).open()
    assert client.wire.next_deadline() == 5.0
    client.wire.handle_timeout(4.9)
    assert client.wire.data_to_send() == b""
    client.wire.handle_timeout(5.1)
    assert frames(client.wire.data_to_send()) == [PING]
    assert client.wire.next_deadline() == 5.1 + 2.5
    client.wire.handle_timeout(6.0)
    assert client.wire.data_to_send() == b""
    client.wire.receive_data(frame(PONG), 7.0)
    assert client.wire.next_deadline() == 12.0
    assert events(client.wire) == []


def test_any_byte_puts_the_ping_off() -> None:
    client = Client(heartbeat=5.0).open()
    for at, byte in enumerate(text("abcdef"), start=1):
        client.wire.receive_data(bytes([byte]), float(at))
        assert client.wire.next_deadline() == at + 5.0
    client.wire.receive_data(b"", 9.0)
    assert client.wire.next_deadline() == 13.0


def test_whoever_plays_dead_answers_no_ping() -> None:
    client = Client().open()
    client.wire.answers_pings = False
    client.wire.receive_data(frame(9, b"alive?"), 1.0)
    assert client.wire.data_to_send() == b""
    client.wire.answers_pings = True
    client.wire.receive_data(frame(9, b"alive?"), 2.0)
    assert frames(client.wire.data_to_send()) == [Frame(PONG, b"alive?", True)]


def test_what_we_send_does_not() -> None:
    client = Client(heartbeat=5.0).open()
    client.conn.send("busy")
    client.wire.data_to_send()
    assert client.wire.next_deadline() == 5.0


@pytest.mark.parametrize(("limit", "due"), [(None, 7.5), (1.0, 6.0)])
def test_silence_after_a_ping(limit: float | None, due: float) -> None:
    client = Client(heartbeat=5.0, limits=Limits(pong_timeout=limit)).open()
    client.wire.handle_timeout(5.0)
    client.wire.data_to_send()
    assert client.wire.next_deadline() == due
    client.wire.handle_timeout(due)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.expected) == (1006, False)
    assert isinstance(event.error, DeadlineExceeded)
    assert event.error.code == "pong"
    assert client.wire.finished
    assert client.wire.data_to_send() == b""
    assert client.wire.next_deadline() is None


def test_a_long_absence_pings_before_it_gives_up() -> None:
    client = Client(heartbeat=5.0).open()
    client.wire.handle_timeout(1000.0)
    assert frames(client.wire.data_to_send()) == [PING]
    assert client.wire.next_deadline() == 1002.5


def test_a_peer_may_be_given_only_so_long() -> None:
    client = Client(limits=Limits(websocket_idle_timeout=8.0)).open()
    client.wire.receive_data(frame(PONG), 3.0)
    assert client.wire.next_deadline() == 11.0
    client.conn.send("busy")
    client.wire.data_to_send()
    client.wire.handle_timeout(11.0)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, DeadlineExceeded)
    assert (event.error.code, event.error.status, event.expected) == ("idle", 1006, False)
    assert str(event.error) == "the peer was silent for too long"
    assert client.wire.finished


@pytest.mark.parametrize("idle", [5.0, 7.5])
def test_two_deadlines_in_the_same_moment_end_it_once(idle: float) -> None:
    client = Client(heartbeat=5.0, limits=Limits(websocket_idle_timeout=idle)).open()
    client.wire.handle_timeout(5.0)
    client.wire.handle_timeout(7.5)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert client.wire.next_deadline() is None


def test_whether_a_pong_is_awaited_can_be_asked() -> None:
    client = Client(heartbeat=5.0).open()
    assert not client.wire.awaits_pong
    client.wire.handle_timeout(5.0)
    assert client.wire.awaits_pong
    client.wire.receive_data(frame(PONG), 6.0)
    assert not client.wire.awaits_pong


def test_no_heartbeat() -> None:
    assert Client().open().wire.next_deadline() is None


def test_a_server_has_a_heartbeat_too() -> None:
    server = Server(heartbeat=1.0).open()
    server.wire.handle_timeout(1.0)
    assert frames(server.wire.data_to_send()) == [Frame(9, b"", False)]


def test_the_message_layers_deadlines_are_kept() -> None:
    client = Client(heartbeat=5.0).open()
    client.conn.tick_at(3.0)
    assert client.wire.next_deadline() == 3.0
    client.wire.handle_timeout(3.0)
    assert events(client.wire) == [Ticked()]
    assert client.wire.next_deadline() == 5.0


def test_messages_wait_for_the_upgrade_and_events_for_its_report() -> None:
    client = Client()
    client.conn.send("early", b"bytes")
    client.conn.emit(Ticked())
    assert client.wire.data_to_send() == b""
    assert events(client.wire) == []
    client.answer(GOOD_101)
    found = events(client.wire)
    assert [type(event).__name__ for event in found] == ["HandshakeCompleted", "Ticked", "Opened"]
    assert [f.payload for f in frames(client.wire.data_to_send())] == [b"early", b"bytes"]


def test_messages_and_events_made_between_calls() -> None:
    client = Client().open()
    client.conn.send("x")
    client.conn.emit(Ticked())
    assert events(client.wire) == [Ticked()]
    assert frames(client.wire.data_to_send()) == [Frame(1, b"x", True)]
    assert client.wire.data_to_send() == b""


def test_close_writes_the_last_messages_then_the_close_frame() -> None:
    client = Client(heartbeat=1.5).open()
    client.conn.send("last")
    client.wire.close(1.0)
    assert frames(client.wire.data_to_send()) == [Frame(1, b"last", True), CLOSE]
    assert state_of(client.wire) is State.LOCAL_CLOSING
    assert client.wire.next_deadline() == 3.0
    client.wire.close(2.0)
    client.conn.send("too late")
    assert client.wire.data_to_send() == b""
    assert client.wire.next_deadline() == 3.0
    assert not client.wire.finished
    client.wire.receive_data(text("under way") + frame(9) + close_frame(1000, "ok"), 2.5)
    assert events(client.wire) == [
        Received(message="under way"),
        ConnectionClosed(code=1000, reason="ok", expected=True),
    ]
    assert client.wire.data_to_send() == b""
    assert state_of(client.wire) is State.CLOSED


def test_the_message_layers_wish_to_close() -> None:
    client = Client().open()
    client.wire.receive_data(text("bye") + text("more"), 1.0)
    assert frames(client.wire.data_to_send()) == [CLOSE]
    assert events(client.wire) == [Received(message="bye"), Received(message="more")]


def test_a_wish_found_by_data_to_send_starts_the_deadline_with_the_next_call() -> None:
    client = Client().open()
    client.conn.want_close()
    assert frames(client.wire.data_to_send()) == [CLOSE]
    assert client.wire.next_deadline() == 0.0  # the last known moment: ask again at once
    client.wire.handle_timeout(100.0)
    assert client.wire.next_deadline() == 102.0
    assert not client.wire.finished


def test_a_wish_from_before_the_upgrade() -> None:
    client = Client()
    client.conn.send("hello")
    client.conn.want_close()
    client.answer(GOOD_101)
    assert [f.opcode for f in frames(client.wire.data_to_send())] == [1, 8]


def test_nobody_answers_our_close() -> None:
    client = Client().open()
    client.wire.close(1.0)
    client.wire.handle_timeout(2.9)
    assert not client.wire.finished
    client.wire.handle_timeout(3.0)
    assert events(client.wire) == [ConnectionClosed(code=1006, expected=True)]
    assert client.wire.finished


def test_no_close_deadline() -> None:
    client = Client(limits=Limits(close_timeout=None)).open()
    client.wire.close(1.0)
    assert client.wire.next_deadline() is None


def test_the_peer_hangs_up_on_our_close() -> None:
    client = Client().open()
    client.wire.close(1.0)
    client.wire.receive_eof(1.5)
    assert events(client.wire) == [ConnectionClosed(code=1000, reason="bye", expected=True)]
    assert client.conn.closes == [(1000, "bye", 1.5)]


def test_nonsense_after_our_close() -> None:
    client = Client().open()
    client.wire.close(1.0)
    client.wire.data_to_send()
    client.wire.receive_data(frame(1, b"\xff"), 1.5)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, RemoteProtocolError)
    assert client.wire.data_to_send() == b""


def test_a_close_code_that_is_never_sent_is_not() -> None:
    for code, payload in ((1005, b""), (1006, b"\x03\xe8bye"), (4000, b"\x0f\xa0bye")):
        client = Client().open()
        client.conn.want_close(code)
        assert frames(client.wire.data_to_send()) == [Frame(8, payload, True)]


def test_a_long_close_reason_is_cut_to_fit() -> None:
    client = Client().open()
    client.conn.close_requested = (1000, "ü" * 100)
    (close,) = frames(client.wire.data_to_send())
    assert close.payload[2:].decode() == "ü" * 61


@pytest.mark.parametrize("rest", [b"", text("cut")[:3], frame(1, b"x", fin=False)])
def test_the_end_of_the_stream_without_a_close_frame(rest: bytes) -> None:
    client = Client().open()
    client.wire.receive_data(text("got this") + rest, 1.0)
    client.wire.receive_eof(2.0)
    first, end = events(client.wire)
    assert first == Received(message="got this")
    assert isinstance(end, ConnectionClosed)
    assert (end.code, end.expected) == (1006, False)
    assert isinstance(end.error, ConnectionLost)
    assert end.error.status == 1006
    assert client.wire.data_to_send() == b""


def test_close_during_the_handshake_ends_at_once() -> None:
    client = Client()
    client.wire.close(1.0)
    assert events(client.wire) == [ConnectionClosed(code=1006, expected=True)]
    assert client.wire.finished


def test_close_before_connect() -> None:
    wire = WebSocketWire(RecordingLayer(), request())
    wire.close(0.0)
    assert events(wire) == [ConnectionClosed(code=1006, expected=True)]
    with pytest.raises(LocalProtocolError, match="closed"):
        wire.connect(0.0)
    server = WebSocketServerWire()
    server.close(0.0)
    assert server.finished


def test_calls_at_the_wrong_time_change_nothing() -> None:
    wires = (WebSocketWire(RecordingLayer(), request()), WebSocketServerWire())
    for wire in wires:
        with pytest.raises(LocalProtocolError, match="receive_data is not allowed before connect"):
            wire.receive_data(b"x", 1.0)
        with pytest.raises(LocalProtocolError, match="receive_eof is not allowed before connect"):
            wire.receive_eof(1.0)
        wire.handle_timeout(1.0)
        assert wire.data_to_send() == b""
        assert wire.next_deadline() is None
        assert events(wire) == []
        wire.connect(0.0)
        with pytest.raises(LocalProtocolError, match="connect is not allowed in state"):
            wire.connect(1.0)
        assert wire.next_deadline() == 10.0
    assert wires[0].data_to_send().count(b"GET ") == 1
    assert events(Client().open().wire) == []


def test_opened_once() -> None:
    client = Client()
    client.answer(GOOD_101 + "".join(map(chr, text("x"))))
    assert events(client.wire).count(Opened()) == 1


@pytest.mark.parametrize("table", [CLIENT, SERVER], ids=["client", "server"])
def test_the_tables_have_a_row_for_everything_that_can_come(table: dict[tuple[State, Input], object]) -> None:
    states = {state for state, _ in table}
    for state in states - {State.CONNECTING}:
        for given in (*EXTERNAL, Input.CLOSE):
            assert (state, given) in table, (state, given)
    open_half = {key for key in table if key[0] in (State.OPEN, State.LOCAL_CLOSING)}
    for state in (State.OPEN, State.LOCAL_CLOSING):
        assert (state, Input.PEER_CLOSE) in open_half


def test_every_state_can_be_reached_and_left_only_to_states_of_its_table() -> None:
    for table in (CLIENT, SERVER):
        sources = {state for state, _ in table}
        targets = {row.state for row in table.values()}
        assert targets | {State.CONNECTING} == sources
    assert {state for state, _ in CLIENT} | {state for state, _ in SERVER} == set(State)
    assert {given for _, given in CLIENT} | {given for _, given in SERVER} == set(Input)
