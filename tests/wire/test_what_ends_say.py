"""What refusals, faults and deadlines tell, and the edges of what may be answered."""

from __future__ import annotations

import json

import pytest

from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    ServerError,
)
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.limits import Limits
from smallest_proto.wire.http import HttpServerWire, HttpWire
from smallest_proto.wire.http_events import ExchangeFailed
from smallest_proto.wire.http_head import tokens
from smallest_proto.wire.http_server import wants_upgrade
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire
from wire import http_recording
from wire.http_recording import answered, asked, failure, started
from wire.recording import (
    GOOD_101,
    GOOD_REQUEST,
    Client,
    RecordingLayer,
    Server,
    close_frame,
    events,
    frame,
    request,
)


def error_of(wire: WebSocketWire | WebSocketServerWire) -> ProtocolError:
    event = events(wire)[-1]
    assert isinstance(event, ConnectionClosed)
    assert event.error is not None
    return event.error


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (frame(0, b"x"), "a continuation frame without a message"),
        (frame(1, b"x", fin=False) + frame(1, b"x"), "a new message inside an unfinished one"),
        (frame(1, b"\xff"), "a text message that is not UTF-8"),
        (frame(8, b"\x03\xe8\xff"), "a close reason that is not UTF-8"),
        (frame(2, bytes(2000)), "a message of more than 1024 bytes"),
    ],
)
def test_faults_of_frames_are_named(data: bytes, text: str) -> None:
    client = Client(limits=Limits(max_message_bytes=1024)).open()
    client.wire.receive_data(data, 0.0)
    assert text in str(error_of(client.wire))


@pytest.mark.parametrize("code", [1000, 3000, 4999])
def test_close_codes_have_no_sign(code: int) -> None:
    client = Client().open()
    client.wire.receive_data(close_frame(code, "bye"), 0.0)
    assert client.conn.closes[-1][:2] == (code, "bye")


def test_the_highest_close_code() -> None:
    client = Client().open()
    client.wire.receive_data(frame(8, b"\xff\xff"), 0.0)
    assert "a close frame with a code that must not be sent" in str(error_of(client.wire))


def test_deadlines_are_named() -> None:
    client = Client()
    client.wire.handle_timeout(1e6)
    error = error_of(client.wire)
    assert isinstance(error, DeadlineExceeded)
    assert (str(error), error.code) == ("the upgrade was not complete in time", "handshake")
    client = Client(heartbeat=5.0).open()
    client.wire.handle_timeout(5.0)
    client.wire.handle_timeout(100.0)
    error = error_of(client.wire)
    assert (str(error), error.code, error.status) == ("the peer was silent after a ping", "pong", 1006)


def test_what_the_end_of_the_stream_says() -> None:
    for client, text in (
        (Client(), "the connection ended before the upgrade was complete"),
        (Client().open(), "the connection was lost: it ended without a close frame"),
    ):
        client.wire.receive_eof(0.0)
        error = error_of(client.wire)
        assert isinstance(error, ConnectionLost)
        assert (str(error), error.status) == (text, 1006)


def test_times_before_the_first_call_are_not_needed() -> None:
    wire = WebSocketWire(RecordingLayer(), request())
    assert wire.next_deadline() is None
    wire.connect(50.0)
    assert wire.next_deadline() == 50.0 + (Limits().handshake_timeout or 0.0)


def test_a_refused_upgrade_says_so() -> None:
    client = Client()
    client.answer('HTTP/1.1 403 x\r\nContent-Length: 16\r\n\r\n{"error": "no!"}')
    error = error_of(client.wire)
    assert isinstance(error, ServerError)
    assert (str(error), error.message) == ("the upgrade was refused with HTTP status 403", "no!")


@pytest.mark.parametrize(("status", "redirects"), [(300, True), (399, True), (400, False)])
def test_only_redirects_are_told_as_such(status: int, redirects: bool) -> None:
    head = f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n"
    client = Client()
    client.answer(head)
    for error, start in (
        (error_of(client.wire), "the upgrade was refused"),
        (failure(answered(head.encode())), "the server answered"),
    ):
        assert str(error).startswith(f"{start} with HTTP status {status}")
        assert ("redirects are not followed" in str(error)) == redirects


def test_a_wrong_101_is_named() -> None:
    for line, text in (
        ("Connection: Upgrade\r\n", "Connection: Upgrade is missing"),
        ("Upgrade: websocket\r\n", "Upgrade"),
    ):
        client = Client()
        client.answer(GOOD_101.replace(line, ""))
        assert text in str(error_of(client.wire))


def refused(data: bytes) -> tuple[bytes, ProtocolError]:
    wire = WebSocketServerWire()
    wire.connect(0.0)
    wire.receive_data(data, 0.0)
    return wire.data_to_send(), error_of(wire)


@pytest.mark.parametrize(
    ("old", "new", "text", "header"),
    [
        (b"GET", b"PUT", "its method is not GET", b"Allow: GET"),
        (b"HTTP/1.1", b"HTTP/1.0", "it is not HTTP/1.1", b"Upgrade: websocket"),
        (b"Upgrade: websocket", b"A: b", "it does not ask for an upgrade", b"Upgrade: websocket"),
        (b"Version: 13", b"Version: 12", "its version is not 13", b"Sec-WebSocket-Version: 13"),
        (b"Host: h", b"Host: h\r\nContent-Length: 1", "it has a body", b""),
    ],
)
def test_what_is_no_upgrade_is_told_why(old: bytes, new: bytes, text: str, header: bytes) -> None:
    sent, error = refused(GOOD_REQUEST.replace(old, new))
    assert f"the request is no WebSocket upgrade: {text}" in str(error)
    assert header in sent


def test_what_is_no_http_is_told_so() -> None:
    assert str(refused(b"\x16\x03\r\n\r\n")[1]) == "the request is not HTTP"


@pytest.mark.parametrize("status", [300, 599])
def test_the_edges_of_a_rejections_status(status: int) -> None:
    wire = WebSocketServerWire()
    wire.connect(0.0)
    wire.receive_data(GOOD_REQUEST, 0.0)
    events(wire)
    wire.reject(status, 0.0)
    sent = wire.data_to_send()
    assert sent.startswith(b"HTTP/1.1 %d " % status)
    assert sent.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [200, 599])
def test_the_edges_of_an_answers_status(status: int) -> None:
    wire = asked()
    wire.respond(status, 0.0, body=b"")
    assert wire.data_to_send().startswith(b"HTTP/1.1 %d " % status)


def test_what_a_server_answers_by_itself_is_json() -> None:
    head, _, body = asked(b"\x16\x03\x01\r\n\r\n").data_to_send().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"error": "the head is not HTTP"}


def test_more_than_may_wait_for_an_answer_is_told() -> None:
    wire = asked(limits=Limits(max_handshake_bytes=1024))
    wire.receive_data(b"GET /later HTTP/1.1\r\nHost: h\r\nA: " + b"x" * 2000, 0.0)
    assert "max_handshake_bytes before the answer" in str(failure(http_recording.events(wire)))


def failed(wire: HttpWire | HttpServerWire) -> str:
    found: list[Event] = http_recording.events(wire)
    assert isinstance(found[-1], ExchangeFailed)
    assert isinstance(found[-1].error, ConnectionLost)
    return str(found[-1].error)


def test_what_ends_an_exchange_early_is_told() -> None:
    wire = started()
    wire.receive_eof(0.0)
    assert failed(wire) == "the connection ended before the exchange was complete"
    wire = started()
    wire.close(0.0)
    assert failed(wire) == "the connection was closed from this side before the exchange was complete"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_that_may_be_empty_has_a_length(method: str) -> None:
    wire = HttpWire()
    wire.start(http_recording.request(method), 0.0)
    assert b"content-length: 0\r\n" in wire.data_to_send().lower()


def test_lists_in_headers_are_split_at_commas() -> None:
    assert tokens((("connection", "keep-alive, Upgrade"), ("connection", "a")), "connection") == [
        "keep-alive",
        "Upgrade",
        "a",
    ]


@pytest.mark.parametrize(("head", "wanted"), [(b"", None), (b" ", False), (b"\x16", False), (b"G", None)])
def test_an_upgrade_is_asked_for_in_words(head: bytes, wanted: bool | None) -> None:
    assert wants_upgrade(head) is wanted


def test_a_long_head_asks_within_the_limit_only() -> None:
    head = GOOD_REQUEST.replace(b"Host: h", b"Host: h\r\nA: " + b"x" * 20_000)
    assert wants_upgrade(head, limits=Limits(max_handshake_bytes=30_000)) is True
    assert wants_upgrade(head, limits=Limits(max_handshake_bytes=10_000)) is False


def test_a_server_closes_as_asked_at_the_end_of_the_stream() -> None:
    server = Server().open()
    server.wire.receive_eof(0.0)
    (closed,) = events(server.wire)
    assert isinstance(closed, ConnectionClosed)
    assert isinstance(closed.error, ConnectionLost)
