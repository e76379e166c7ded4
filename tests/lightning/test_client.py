"""The client end beyond the vectors: what it refuses, and what it survives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smallest_proto.errors import ConnectionLost, HandshakeRejected, LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event
from smallest_proto.lightning import (
    CancelContext,
    ContextFailed,
    FinishContext,
    FlushText,
    KeepAlive,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendAudio,
    SendText,
    Speak,
)
from smallest_proto.lightning.completion import REMEMBERED
from snapshots import snapshot

CHUNK = '{"status":"chunk","request_id":"t","data":{"audio":"AAAA"}}'
COMPLETE = '{"status":"complete","request_id":"t"}'


def client(mode: Any = "context", **options: Any) -> LightningConnection:
    connection = LightningConnection(LightningOptions(text_mode=mode, **options))
    connection.receive_open(0.0)
    return connection


def drain(connection: LightningConnection) -> list[Event]:
    events: list[Event] = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def in_state(state: str) -> LightningConnection:
    connection = client()
    if state == "idle":
        return connection
    connection.send(OpenContext("firstone"), 0.0)
    if state == "pending":
        return connection
    connection.send(SendText("Hi."), 0.0)
    if state == "open":
        return connection
    if state == "spent":
        connection.send(CancelContext(), 0.0)
        return connection
    connection.send(FinishContext(), 0.0)
    if state == "closed":
        connection.receive_close(1000, "", 0.0)
    if state == "lingering":
        connection.receive_message(COMPLETE, 0.0)
    if state == "ended":
        connection.receive_message(COMPLETE, 0.0)
        connection.handle_timeout(9.0)
    return connection


OVER = ("draining", "lingering")
EVERY = ("idle", "pending", "open", "draining", "lingering", "spent", "closed", "ended")
REFUSED: list[tuple[Any, tuple[str, ...]]] = [
    (SendText(""), EVERY),
    (SendText(None), EVERY),  # type: ignore[arg-type]  # misuse on purpose
    (SendText(b"x"), EVERY),  # type: ignore[arg-type]
    (SendText("\ud800"), EVERY),
    (SendText("x", "short"), EVERY),
    (SendText("x", "x" * 65), EVERY),
    (SendText("x", "with space"), EVERY),
    (SendText("x", "abcdefgé"), EVERY),
    (SendText("x", 12345678), EVERY),  # type: ignore[arg-type]
    (OpenContext(None), ("pending", "open", *OVER, "spent", "closed")),  # type: ignore[arg-type]
    (OpenContext("secondone"), ("pending", "open", *OVER, "spent", "closed")),
    (SendText("x", "secondone"), ("pending", "open", *OVER, "spent", "closed")),
    (SendText("x", "firstone"), (*OVER, "spent", "closed", "ended")),
    (SendText("x"), (*OVER, "spent", "closed")),
    (SendText(" "), (*OVER, "spent", "closed")),
    (FinishContext(), ("idle", *OVER, "spent", "closed", "ended")),
    (FinishContext("firstone"), ("idle", *OVER, "spent", "closed", "ended")),
    (CancelContext(), ("idle", "spent", "closed", "ended")),
    (KeepAlive(), ("spent", "closed")),
    (FlushText(), EVERY),
    (Speak("x"), EVERY),
    (SendAudio(b"ab"), EVERY),
    (None, EVERY),
    ("text", EVERY),
]


@pytest.mark.parametrize(
    ("command", "state"), [(command, state) for command, states in REFUSED for state in states]
)
def test_a_refused_command_changes_nothing(command: Any, state: str) -> None:
    connection = in_state(state)
    before = snapshot(connection)
    with pytest.raises(LocalProtocolError, match=r"expected|allowed"):
        connection.send(command, 1.0)
    assert snapshot(connection) == before


@pytest.mark.parametrize("command", [SendText("x"), FinishContext(), FlushText(), OpenContext("abcdefgh")])
def test_segments_are_spoken_whole(command: Any) -> None:
    with pytest.raises(LocalProtocolError, match="segment"):
        client("segment").send(command, 0.0)


def test_speaking_before_the_end_of_the_last_is_refused() -> None:
    connection = client("segment")
    connection.send(Speak("One.", "abcdefgh"), 0.0)
    assert connection.context_id == "abcdefgh"
    assert not connection.reusable
    for context_id in (None, "abcdefgh", "other000"):
        with pytest.raises(LocalProtocolError):
            connection.send(Speak("Two.", context_id), 0.0)


@pytest.mark.parametrize("state", ["spent", "closed"])
def test_a_refusal_names_what_the_caller_may_do(state: str) -> None:
    with pytest.raises(LocalProtocolError, match=f"not allowed in state {state}; allowed there: abandon$"):
        in_state(state).send(OpenContext("another0"), 0.0)


def test_ids_that_were_taken_are_not_given_again() -> None:
    connection = client()
    ids = []
    for context_id in ("context00002", None, None):
        connection.send(SendText(" ", context_id), 0.0)
        ids.append(connection.context_id)
        connection.send(FinishContext(), 0.0)
    assert ids == ["context00002", "context00003", "context00004"]


def test_what_is_remembered_of_taken_ids_is_bounded() -> None:
    connection = client()
    taken = [f"context{number:05d}" for number in range(REMEMBERED + 1)]
    for context_id in taken:
        connection.send(OpenContext(context_id), 0.0)
        connection.send(FinishContext(), 0.0)
    with pytest.raises(LocalProtocolError, match=f"{taken[1]}.*expected an id that was not used before"):
        connection.send(OpenContext(taken[1]), 0.0)
    connection.send(OpenContext(taken[0]), 0.0)
    connection.send(FinishContext(), 0.0)
    connection.send(SendText("Hi."), 0.0)
    assert connection.context_id == f"context{REMEMBERED + 3:05d}"


def test_a_refused_upgrade() -> None:
    rejected = HandshakeRejected("401", status=401)
    for text in (None, SendText("Hi.")):
        connection = LightningConnection(LightningOptions())
        if text:
            connection.send(text, 0.0)
        connection.receive_close(1006, "", 1.0, error=rejected)
        *failed, closed = drain(connection)
        assert closed == ConnectionClosed(code=1006, expected=False, error=rejected)
        assert [type(e) for e in failed] == ([ContextFailed] if text else [])
        assert connection.messages_to_send() == []


def test_a_socket_that_ends_is_a_close() -> None:
    connection = client()
    connection.receive_close(1006, "", 1.0, error=ConnectionLost("eof", status=1006))
    assert drain(connection) == [ConnectionClosed(code=1006, expected=True)]
    unopened = LightningConnection(LightningOptions())
    unopened.receive_close(1006, "", 1.0, error=ConnectionLost("eof", status=1006))
    (closed,) = drain(unopened)
    assert isinstance(closed, ConnectionClosed)
    assert not closed.expected


def test_only_the_deadline_in_force_is_asked_for() -> None:
    connection = in_state("draining")
    deadlines = [connection.next_deadline()]
    for message in (CHUNK, COMPLETE, CHUNK, COMPLETE):
        connection.receive_message(message, 1.0)
        deadlines.append(connection.next_deadline())
    assert deadlines == [10.0, 6.0, 1.25, 6.0, 1.25]
    connection.handle_timeout(1.25)
    assert connection.next_deadline() is None


def test_the_heartbeat_is_the_clients() -> None:
    assert client().heartbeat is None
    assert client(heartbeat=5.0).heartbeat == 5.0


AFTER: list[Callable[[LightningConnection], None]] = [
    lambda c: c.receive_message(CHUNK, 9.0),
    lambda c: c.receive_message("?", 9.0),
    lambda c: c.receive_message('{"status":"error"}', 9.0),
    lambda c: c.receive_close(1000, "", 9.0),
    lambda c: c.receive_close(1006, "", 9.0, error=ConnectionLost()),
    lambda c: c.close(9.0),
    lambda c: c.handle_timeout(99.0),
]


@pytest.mark.parametrize("act", AFTER)
def test_nothing_follows_the_last_event(act: Callable[[LightningConnection], None]) -> None:
    connection = in_state("closed")
    drain(connection)
    act(connection)
    assert connection.next_event() is NEED_DATA
    assert connection.messages_to_send() == []
    assert connection.next_deadline() is None
