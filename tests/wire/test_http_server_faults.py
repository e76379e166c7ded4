"""What goes wrong at the server's end, its deadlines, and one port for two protocols."""

from __future__ import annotations

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.wire.http import HttpServerWire, wants_upgrade
from smallest_proto.wire.http_events import RequestEnded
from wire.http_recording import (
    GET,
    POST,
    TE,
    Server,
    asked,
    chunked,
    events,
    failure,
    feed,
)
from wire.recording import GOOD_REQUEST

# -- what goes wrong


@pytest.mark.parametrize(
    ("data", "status", "why"),
    [
        (b"\x16\x03\x01", 400, "not HTTP"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "not HTTP"),
        (b"nonsense\r\n\r\n", 400, "not HTTP"),
        (POST + b"Content-Length: x\r\n\r\n", 400, "not HTTP"),
        (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "not HTTP"),
        (POST + b"Transfer-Encoding: gzip\r\n\r\n", 400, "not HTTP"),
        (POST + b"Content-Length: 1\r\n" + TE, 400, "both Content-Length and Transfer-Encoding"),
        (POST.replace(b"1.1", b"1.0") + TE, 400, "HTTP/1.0 with Transfer-Encoding"),
        (POST + TE + b"zz\r\n", 400, "not HTTP"),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405, "CONNECT"),
        (POST + b"Content-Length: 101\r\n\r\n", 413, "max_request_body"),
        (POST + b"Expect: 100-continue\r\nContent-Length: 101\r\n\r\n", 413, "max_request_body"),
        (POST + TE + chunked(b"x" * 60, b"x" * 41), 413, "max_request_body"),
        (b"HEAD" + POST[4:] + b"A: b\r\n" * 128 + b"\r\n", 431, "max_headers"),
        (POST + b"A: b\r\n" * 128 + b"\r\n", 431, "max_headers"),
        (POST + b"A: " + b"b" * 17_000, 431, "max_handshake_bytes"),
    ],
)
def test_what_is_answered_by_itself(data: bytes, status: int, why: str) -> None:
    wire = asked(data, Limits(max_request_body=100))
    error = failure(events(wire))
    assert isinstance(error, RemoteProtocolError)
    assert why in str(error)
    head, body = wire.data_to_send().split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in head
    assert (why.encode() in body) is not data.startswith(b"HEAD")
    assert wire.finished


def test_a_body_of_just_the_limit() -> None:
    for body in (b"Content-Length: 100\r\n\r\n" + b"x" * 100, TE + chunked(b"x" * 60, b"y" * 40)):
        assert events(asked(POST + body, Limits(max_request_body=100)))[-1] == RequestEnded()


@pytest.mark.parametrize(
    "data", [GET[:10], POST + b"Content-Length: 5\r\n\r\nhel", POST + TE + b"3\r\nhel\r\n", GET]
)
def test_a_client_that_goes_away(data: bytes) -> None:
    for how in ("eof", "close"):
        wire = asked(data)
        getattr(wire, "receive_eof" if how == "eof" else "close")(1.0)
        found = events(wire)
        assert isinstance(failure(found), ConnectionLost)
        assert wire.finished
        assert wire.data_to_send() == b""
        wire.receive_eof(2.0)
        wire.close(2.0)
        feed(wire, GET)
        assert events(wire) == []
        with pytest.raises(LocalProtocolError, match="state closed"):
            wire.respond(200, 2.0, body=b"")


def test_a_client_that_goes_away_while_it_is_answered() -> None:
    wire = asked()
    wire.respond(200, 0.0)
    wire.receive_eof(0.0)
    assert isinstance(failure(events(wire)), ConnectionLost)
    with pytest.raises(LocalProtocolError, match="state closed"):
        wire.send_body(b"", 0.0)


@pytest.mark.parametrize("how", ["close", "eof"])
def test_the_end_between_requests_is_no_failure(how: str) -> None:
    for wire in (HttpServerWire(), Server().wire):
        getattr(wire, "close" if how == "close" else "receive_eof")(0.0)
        assert events(wire) == []
        assert wire.finished


# -- deadlines


def test_a_slow_head() -> None:
    wire = HttpServerWire()
    assert wire.next_deadline() is None
    feed(wire, GET[:5], now=1.0)
    feed(wire, GET[5:10], now=9.0)
    assert wire.next_deadline() == 11.0
    wire.handle_timeout(10.9)
    assert not wire.finished
    wire.handle_timeout(11.0)
    error = failure(events(wire))
    assert isinstance(error, DeadlineExceeded)
    assert error.code == "request"
    assert wire.data_to_send().startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_slow_body() -> None:
    wire = asked(POST + b"Content-Length: 5\r\n\r\n")
    feed(wire, b"he", now=9.0)
    assert wire.next_deadline() == 19.0
    wire.handle_timeout(19.0)
    error = failure(events(wire))
    assert isinstance(error, DeadlineExceeded)
    assert error.code == "idle"
    assert wire.data_to_send().startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_a_slow_body_that_is_being_answered() -> None:
    wire = asked(POST + b"Content-Length: 5\r\n\r\n")
    wire.respond(200, 0.0)
    wire.data_to_send()
    wire.handle_timeout(10.0)
    assert isinstance(failure(events(wire)), DeadlineExceeded)
    assert wire.data_to_send() == b""


def test_the_caller_may_take_any_time() -> None:
    wire = asked()
    assert wire.next_deadline() is None
    wire.respond(200, 100.0)
    assert wire.next_deadline() is None


@pytest.mark.parametrize("streaming", [False, True])
def test_an_idle_connection(streaming: bool) -> None:
    wire = asked()
    events(wire)
    wire.respond(200, 1.0, body=None if streaming else b"")
    if streaming:
        wire.end_body(1.0)
    assert wire.next_deadline() == 76.0
    wire.handle_timeout(76.0)
    assert wire.finished
    assert events(wire) == []


def test_the_next_request_stops_the_keep_alive_deadline() -> None:
    wire = asked()
    wire.respond(200, 1.0, body=b"")
    feed(wire, GET[:3], now=70.0)
    assert wire.next_deadline() == 80.0
    feed(wire, GET[3:], now=79.0)
    assert wire.next_deadline() is None


def test_no_deadlines() -> None:
    wire = asked(b"GET", Limits(handshake_timeout=None, keep_alive_timeout=None, idle_timeout=None))
    assert wire.next_deadline() is None
    feed(wire, GET[3:])
    wire.respond(200, 0.0, body=b"")
    assert wire.next_deadline() is None


# -- one port for both


def test_wants_upgrade() -> None:
    for data, expected in ((GOOD_REQUEST, True), (GET, False), (POST + b"Upgrade: websocket\r\n\r\n", False)):
        for end in range(len(data)):
            assert wants_upgrade(data[:end]) is None
        assert wants_upgrade(b"!") is None  # a method may begin so
        assert wants_upgrade(data) is expected
        assert wants_upgrade(data + b"whatever") is expected
        assert wants_upgrade(data.replace(b"\r\n", b"\n")) is expected


@pytest.mark.parametrize(
    "data", [b"\x16", b"\r\n", b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"b" * 16_384]
)
def test_what_is_no_request_wants_no_upgrade(data: bytes) -> None:
    assert wants_upgrade(data) is False


def test_a_head_that_is_too_long_wants_no_upgrade() -> None:
    assert wants_upgrade(GOOD_REQUEST, limits=Limits(max_handshake_bytes=len(GOOD_REQUEST))) is True
    assert wants_upgrade(GOOD_REQUEST, limits=Limits(max_handshake_bytes=len(GOOD_REQUEST) - 1)) is False
    for size, expected in ((99, None), (100, False), (101, False)):
        assert wants_upgrade(b"x" * size, limits=Limits(max_handshake_bytes=100)) is expected
