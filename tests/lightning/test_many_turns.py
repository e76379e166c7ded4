"""One client end over many turns, and at its end: no request id is counted on, no deadline and no frame is lost."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smallest_proto.errors import ConnectionLost, ServerError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, UnknownMessage
from smallest_proto.lightning import (
    AudioChunk,
    ContextComplete,
    ContextFailed,
    FinishContext,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendText,
    Speak,
)

Ids = Literal["one for each turn", "one for each release", "none"]

CLOSED_EXPECTED = ConnectionClosed(code=1006, expected=True)


def events_of(connection: LightningConnection) -> list[Event]:
    events: list[Event] = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def chunk(pcm: bytes, request_id: str = "") -> str:
    data = {"audio": base64.b64encode(pcm).decode()}
    named = {"request_id": request_id} if request_id else {}
    return json.dumps({"status": "chunk", **named, "data": data})


def complete(request_id: str = "") -> str:
    return json.dumps({"status": "complete", **({"request_id": request_id} if request_id else {})})


class Service:
    """Speaks what it was given in releases, each of them audio and then a `complete`."""

    def __init__(self, connection: LightningConnection, ids: Ids) -> None:
        self._connection = connection
        self._ids = ids
        self._turn = self._release = 0
        self.pcm = b""

    def begin_turn(self) -> None:
        self._turn += 1

    def _id(self) -> str:
        names = {"one for each turn": f"t{self._turn}", "one for each release": f"r{self._release}"}
        return names.get(self._ids, "")

    def audio(self) -> None:
        pcm = bytes([self._turn, self._release % 256])
        self.pcm += pcm
        self._connection.receive_message(chunk(pcm, self._id()), 1.0)

    def complete(self) -> None:
        self._connection.receive_message(complete(self._id()), 1.0)
        self._release += 1


@given(
    st.sampled_from(["one for each turn", "one for each release", "none"]),
    st.lists(st.lists(st.booleans(), max_size=3), min_size=1, max_size=3),
    st.booleans(),
)
@example("one for each turn", [[True]], False)
@example("none", [[True], [True]], True)
def test_every_turn_is_heard_and_ends_at_its_last_complete_however_releases_are_named(
    ids: Ids, turns: list[list[bool]], straddles: bool
) -> None:
    """`straddles`: the last release but one begins before the last text was sent, and ends after all was."""
    connection = LightningConnection(LightningOptions())
    service = Service(connection, ids)
    for speaks_at_once in turns:
        service.begin_turn()
        for speaks in speaks_at_once:
            connection.send(SendText("Some. "), 1.0)
            if speaks:
                service.audio()
                service.complete()
        if straddles and speaks_at_once:
            service.audio()
        connection.send(SendText("The last."), 1.0)
        connection.send(FinishContext(), 1.0)
        if straddles and speaks_at_once:
            service.complete()
        service.audio()
        service.complete()
        connection.handle_timeout(1.0 + connection.options.linger)
        *heard, end = events_of(connection)
        assert b"".join(event.pcm for event in heard if isinstance(event, AudioChunk)) == service.pcm
        assert isinstance(end, ContextComplete)
        assert end.confirmed
        assert connection.reusable
        service.pcm = b""


@pytest.mark.parametrize("mode", ["context", "continue", "segment"])
@pytest.mark.parametrize("heard", [True, False])
def test_nothing_is_waited_for_between_turns(mode: Any, heard: bool) -> None:
    connection = LightningConnection(LightningOptions(text_mode=mode))
    for turn in ("t1", "t2"):
        if mode == "segment":
            connection.send(Speak("Hi."), 1.0)
        else:
            connection.send(SendText("Hi."), 1.0)
            connection.send(FinishContext(), 1.0)
        assert connection.next_deadline() is not None
        if heard:
            connection.receive_message(chunk(b"ab", turn), 1.0)
        connection.receive_message(complete(turn), 1.0)
        connection.handle_timeout(1.25)
        assert connection.reusable
        assert connection.next_deadline() is None


@pytest.mark.parametrize("told", [True, False])
def test_a_socket_that_ends_between_turns_is_a_close_whoever_told_of_its_opening(told: bool) -> None:
    """A message shows as well as `receive_open` that it was open."""
    connection = LightningConnection(LightningOptions(text_mode="segment"))
    if told:
        connection.receive_open(0.0)
    connection.send(Speak("Hi."), 0.0)
    connection.receive_message(complete("t"), 1.0)
    events_of(connection)
    connection.receive_close(1006, "", 2.0, error=ConnectionLost("eof", status=1006))
    assert events_of(connection) == [CLOSED_EXPECTED]


@pytest.mark.parametrize("turn", ["before", "opened", "after"])
def test_frames_that_no_turn_asked_for_are_shown_as_they_came(turn: str) -> None:
    connection = LightningConnection(LightningOptions())
    if turn != "before":
        connection.send(OpenContext("firstone"), 0.0)
    if turn == "after":
        connection.send(SendText("Hi."), 0.0)
        connection.close(0.0)
        events_of(connection)
    word = '{"status":"word_timestamp","data":{"word":"hi","start":0,"end":1}}'
    frames = [chunk(b"ab"), word, chunk(b"cd"), chunk(b"ef", "r"), chunk(b"gh", "r")]
    for frame in frames:
        connection.receive_message(frame, 1.0)
    unknown = events_of(connection)
    assert [event.data for event in unknown if isinstance(event, UnknownMessage)] == frames
    # a frame without an id belongs to no request, so none of them is a late one
    reasons = [event.reason for event in unknown if isinstance(event, UnknownMessage)]
    assert len(set(reasons[:4])) == 1
    assert "late" in reasons[4]


def test_what_the_server_says_when_it_closes_is_kept_with_the_error() -> None:
    connection = LightningConnection(LightningOptions(text_mode="segment"))
    connection.send(Speak("Hi."), 0.0)
    connection.receive_close(1008, "too many sessions of yours", 1.0)
    failed, closed = events_of(connection)
    assert isinstance(failed, ContextFailed)
    assert isinstance(closed, ConnectionClosed)
    assert isinstance(failed.error, ServerError)
    assert failed.error.message == "too many sessions of yours"
    assert closed.error == failed.error


@pytest.mark.parametrize(
    "commands", [[], [OpenContext("firstone")], [SendText("Hi.")], [SendText("Hi."), FinishContext()]]
)
@pytest.mark.parametrize("opens", ["before", "late"])
@pytest.mark.parametrize("ends", ["given up", "closed", "both"])
def test_a_connection_that_is_over_is_kept_alive_no_more(commands: list[Any], opens: str, ends: str) -> None:
    connection = LightningConnection(LightningOptions(keepalive_interval=5.0))
    if opens == "before":
        connection.receive_open(0.0)
    for command in commands:
        connection.send(command, 0.0)
    if ends != "closed":
        connection.close(1.0)
    if ends != "given up":
        connection.receive_close(1006, "", 1.0)
    if opens == "late":
        connection.receive_open(2.0)
    connection.messages_to_send()
    assert connection.next_deadline() is None
    connection.handle_timeout(99.0)
    assert connection.messages_to_send() == []


@given(st.lists(st.binary(min_size=1, max_size=30).map(lambda half: half * 2), max_size=5))
def test_a_base64_of_the_callers_decodes_all_audio(pieces: list[bytes]) -> None:
    asked: list[str] = []

    def decode(text: str) -> bytes:
        asked.append(text)
        return base64.b64decode(text, validate=True)

    connection = LightningConnection(LightningOptions(text_mode="segment"), base64=decode)
    connection.send(Speak("Hi."), 0.0)
    for pcm in pieces:
        connection.receive_message(chunk(pcm, "r"), 0.0)
    assert [event.pcm for event in events_of(connection) if isinstance(event, AudioChunk)] == pieces
    assert asked == [base64.b64encode(pcm).decode() for pcm in pieces]
