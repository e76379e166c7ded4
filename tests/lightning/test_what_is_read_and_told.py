"""Odd messages read field by field, and what the server end tells its user and its client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import ConnectionLost, LocalProtocolError, ServerError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role, UnknownMessage
from smallest_proto.lightning import (
    LightningConnection,
    LightningOptions,
    SendAudio,
    SendComplete,
    SendError,
    SendWord,
    SynthesisRequested,
    voices_request,
)
from smallest_proto.lightning.decode import Chunk, Complete, TimedWord, parse
from smallest_proto.lightning.http_audio import invalid_audio
from smallest_proto.lightning.http_request import speech_request, speech_stream_request
from smallest_proto.lightning.requests import Request, parse_request
from smallest_proto.lightning.word_clock import WordClock

V = {"voice_id": "meher"}
WORD = {"word": "hi", "start": 1.0, "end": 2.0}


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ({"status": "chunk", "request_id": "r", "data": {"audio": "YWI=", "id": "x"}}, Chunk("r", b"ab")),
        ({"status": "complete", "request_id": "r", "data": 5}, Complete("r")),
        ({"status": "complete", "request_id": 7, "data": 5}, Complete("")),
        (
            {"status": "word_timestamp", "request_id": "r", "data": {**WORD, "id": 4, "audio": 5}},
            TimedWord("r", "hi", 1.0, 2.0, 4),
        ),
        (
            {"status": "word_timestamp", "request_id": "r", "data": {**WORD, "id": "4", "audio": 5}},
            TimedWord("r", "hi", 1.0, 2.0, None),
        ),
        # the status of the message itself goes before that of a payload
        ({"status": "complete", "data": 5, "payload": {"status": "chunk"}}, Complete("")),
        ({"payload": {"status": "complete", "request_id": "p"}}, Complete("p")),
    ],
)
def test_odd_messages_are_read_field_by_field(message: dict[str, Any], read: object) -> None:
    assert parse(json.dumps(message)) == read


@pytest.mark.parametrize("missing", WORD)
@pytest.mark.parametrize("more", [{}, {"audio": 5}])
def test_a_word_needs_all_of_its_fields(missing: str, more: dict[str, object]) -> None:
    data = {key: value for key, value in WORD.items() if key != missing} | more
    read = parse(json.dumps({"status": "word_timestamp", "data": data}))
    assert isinstance(read, UnknownMessage)
    assert read.reason == "word_timestamp without word, start or end"


@pytest.mark.parametrize("key", ["error", "errors", "error_code"])
def test_any_word_of_an_error_makes_one(key: str) -> None:
    assert isinstance(parse(json.dumps({key: "x"})), ServerError)


def test_a_request_to_cancel_has_no_text() -> None:
    read = parse_request(json.dumps({**V, "context_id": "c", "cancel_request": True, "text": "x"}))
    assert isinstance(read, Request)
    assert (read.context_id, read.text, read.setup.voice_id) == ("c", "", "meher")


class Server:
    def __init__(self) -> None:
        self.connection = LightningConnection(LightningOptions(), Role.SERVER)

    def hear(self, message: object) -> list[Event]:
        self.connection.receive_message(json.dumps(message), 0.0)
        return self.events()

    def events(self) -> list[Event]:
        events: list[Event] = []
        while (event := self.connection.next_event()) is not NEED_DATA:
            events.append(event)
        return events

    def say(self, command: Any) -> Any:
        self.connection.send(command, 0.0)
        (message,) = self.connection.messages_to_send()
        return json.loads(message)


@pytest.mark.parametrize(
    "command",
    [
        SendAudio(b"ab", "mine"),
        SendWord("a", 0.0, 1.0, request_id="mine"),
        SendComplete("mine"),
        *(SendError("no", "X", request_id="mine", shape=shape) for shape in ("flat", "nested", "string")),
    ],
)
def test_the_callers_request_id_is_written(command: Any) -> None:
    server = Server()
    server.hear({**V, "text": "Hi."})
    assert server.say(command)["request_id"] == "mine"


def test_the_servers_own_id() -> None:
    server = Server()
    server.hear({**V, "text": "Hi."})
    assert server.say(SendComplete())["session_id"] == "ws_1"


def test_what_a_server_cannot_send_is_named() -> None:
    server = Server()
    with pytest.raises(
        LocalProtocolError, match=r"cannot send int; expected SendAudio, SendWord, SendComplete"
    ):
        server.say(5)
    server.hear({**V, "text": "Hi."})
    with pytest.raises(LocalProtocolError, match="SendError"):
        server.say(SendError(5))  # type: ignore[arg-type]  # that is the point


def test_a_message_out_of_place_is_shown_whole() -> None:
    server = Server()
    (event,) = server.hear({**V, "context_id": "c", "cancel_request": True})
    assert isinstance(event, UnknownMessage)
    assert event.reason == "cancel request: not expected now"
    assert json.loads(event.data)["context_id"] == "c"


@pytest.mark.parametrize("code", [1000, 1001, 1006, 4000])
@pytest.mark.parametrize("busy", [False, True])
def test_how_the_client_left(code: int, busy: bool) -> None:
    server = Server()
    server.connection.receive_open(0.0)
    if busy:
        server.hear({**V, "text": "Hi."})
    server.connection.receive_close(code, "bye", 0.0)
    (event,) = server.events()
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.reason) == (code, "bye")
    if event.expected:
        assert (busy, event.error) == (False, None)
    else:
        assert isinstance(event.error, ConnectionLost)
        assert (str(event.error), event.error.status) == ("the client left before the end", code)
    assert event.expected or busy or code not in (1000, 1001)


def test_a_client_keeps_what_the_close_said() -> None:
    client = LightningConnection(LightningOptions())
    client.receive_open(0.0)
    client.receive_close(4000, "go away", 0.0)
    event = client.next_event()
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.reason) == (4000, "go away")


def test_http_requests_carry_the_key() -> None:
    key = ApiKey("sk_1")
    for request in (
        speech_request("Hi.", api_key=key),
        speech_stream_request("Hi.", api_key=key),
        voices_request(api_key=key),
    ):
        assert ("Authorization", "Bearer sk_1") in request.headers
    assert json.loads(speech_request("Hi.", api_key=key).body)["output_format"] == "pcm"


def test_damaged_audio_may_come_whole_next_time() -> None:
    error = invalid_audio("x")
    assert (str(error), error.code, error.retryable) == ("x", "INVALID_AUDIO", True)


def test_sizes_of_one_request_add_up() -> None:
    clock = WordClock(100)
    clock.frame("a")
    for _ in range(3):
        clock.audio(100)
    clock.frame("b")
    assert clock.place(0.5, 1.0) == (3.5, 4.0)


def test_half_way_counts_as_the_connections_clock() -> None:
    clock = WordClock(100)
    clock.frame("a")
    clock.audio(200)
    clock.frame("b")
    assert clock.place(1.0, 1.5) == (1.0, 1.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pronunciation_dicts": "d1"}, "pronunciation_dicts='d1': expected a tuple of dictionary ids"),
        ({"extra": [1]}, r"extra=\[1\]: expected a mapping of names to JSON values"),
        ({"extra": {"speed": 7}}, r"extra\['speed'\]=7: expected the field or command for speed instead"),
    ],
)
def test_refused_options_name_field_value_and_what_is_accepted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        LightningOptions(**options)


@pytest.mark.parametrize(("speed", "accepted"), [(0.5, True), (2.0, True), (0.49, False), (2.01, False)])
def test_the_edges_of_speed(speed: float, accepted: bool) -> None:
    (event,) = Server().hear({**V, "text": "Hi.", "speed": speed})
    assert isinstance(event, SynthesisRequested) == accepted


def test_only_audio_without_a_header_is_named_as_such() -> None:
    with pytest.raises(ValueError, match=r"^extra\['output_format'\]='wav': expected 'pcm'"):
        LightningOptions(extra={"output_format": "wav"})


def test_headers_of_the_caller_are_sent() -> None:
    for request in (
        speech_request("Hi.", api_key=None, headers={"X-A": "b"}),
        speech_stream_request("Hi.", api_key=None, headers={"X-A": "b"}),
        voices_request(api_key=None, headers={"X-A": "b"}),
    ):
        assert ("X-A", "b") in request.headers


@pytest.mark.parametrize("shape", ["flat", "nested", "string"])
def test_the_code_of_a_failure_is_written(shape: Any) -> None:
    server = Server()
    server.hear({**V, "text": "Hi."})
    error = parse(json.dumps(server.say(SendError("no", "X", shape=shape))))
    assert isinstance(error, ServerError)
    assert (error.code, error.message) == ("X", "no")


def test_connections_show_their_role_and_only_clients_ping() -> None:
    options = LightningOptions(heartbeat=5.0)
    for role, heartbeat in ((Role.CLIENT, 5.0), (Role.SERVER, None)):
        connection = LightningConnection(options, role)
        assert (connection.role, connection.heartbeat) == (role, heartbeat)
