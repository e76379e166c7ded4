"""Requests as the server sees them: what is reported, what is written, what is refused."""

from __future__ import annotations

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.wire.http import HttpServerWire, wants_upgrade
from smallest_proto.wire.http_events import BodyReceived, ExchangeFailed, RequestEnded, RequestStarted
from smallest_proto.wire.http_states import State
from wire.http_recording import GET, KEY, Server, chunked, events, failure, feed, state_of
from wire.recording import GOOD_REQUEST

POST = b"POST /p HTTP/1.1\r\nHost: h\r\n"
TE = b"Transfer-Encoding: chunked\r\n\r\n"


def asked(data: bytes = GET, limits: Limits | None = None) -> HttpServerWire:
    """A wire that has read this."""
    wire = HttpServerWire(limits=limits or Limits())
    feed(wire, data)
    return wire


# -- requests


def test_a_get() -> None:
    assert events(asked()) == [
        RequestStarted(method="GET", target="/a?b=c", headers=(("host", "h"),)),
        RequestEnded(),
    ]


@pytest.mark.parametrize("body", [b"Content-Length: 5\r\n\r\nhello", TE + chunked(b"he", b"llo")])
def test_a_post(body: bytes) -> None:
    started, received, ended = events(asked(POST + body))
    assert isinstance(started, RequestStarted)
    assert received == BodyReceived(data=b"hello")
    assert ended == RequestEnded()


def test_a_request_shows_neither_values_nor_its_query() -> None:
    head = f"GET /a?token={KEY} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
    (started, _) = events(asked(head))
    assert repr(started) == "RequestStarted(GET '/a', headers=['host', 'authorization'])"


def test_expect_is_answered_at_once() -> None:
    wire = asked(POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert wire.data_to_send() == b"HTTP/1.1 100 Continue\r\n\r\n"
    feed(wire, b"hello")
    wire.respond(200, 0.0, body=b"")
    assert wire.data_to_send() == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


# -- answers


def test_a_whole_answer() -> None:
    wire = asked()
    wire.respond(404, 0.0, [("X-Request-Id", "R")], b"no")
    assert wire.data_to_send() == (
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-Request-Id: R\r\n\r\nno"
    )
    assert not wire.finished


def test_an_unknown_status_has_no_phrase() -> None:
    wire = asked()
    wire.respond(299, 0.0, body=b"")
    assert wire.data_to_send().startswith(b"HTTP/1.1 299 \r\n")


def test_a_streamed_answer() -> None:
    wire = asked()
    wire.respond(200, 0.0, [("Content-Type", "text/event-stream")])
    assert wire.data_to_send() == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    wire.send_body(b"hello", 0.0)
    wire.send_body(b"", 0.0)
    assert wire.data_to_send() == b"5\r\nhello\r\n"
    wire.end_body(0.0)
    assert wire.data_to_send() == b"0\r\n\r\n"
    assert not wire.finished


def test_a_streamed_answer_to_http_1_0_ends_with_the_stream() -> None:
    wire = asked(b"GET / HTTP/1.0\r\n\r\n")
    wire.respond(200, 0.0)
    wire.send_body(b"hello", 0.0)
    wire.end_body(0.0)
    assert wire.data_to_send() == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
    assert wire.finished


@pytest.mark.parametrize("streaming", [False, True])
def test_a_head_is_answered_without_a_body(streaming: bool) -> None:
    wire = asked(GET.replace(b"GET", b"HEAD"))
    wire.respond(200, 0.0, body=None if streaming else b"hello")
    if streaming:
        wire.send_body(b"hello", 0.0)
        wire.end_body(0.0)
    head, body = wire.data_to_send().split(b"\r\n\r\n")
    assert (b"Transfer-Encoding: chunked" if streaming else b"Content-Length: 5") in head
    assert body == b""
    feed(wire, GET)
    wire.respond(200, 0.0, body=b"hello")
    assert wire.data_to_send().endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    wire = asked()
    for body in (None, b"a"):
        with pytest.raises(LocalProtocolError, match=rf"^body: status {status} has none"):
            wire.respond(status, 0.0, body=body)
    wire.respond(status, 0.0, body=b"")
    assert wire.data_to_send() == b"HTTP/1.1 %d \r\n\r\n" % status
    assert state_of(wire) is State.READY


@pytest.mark.parametrize("status", [100, 101, 199, 600, True, "200", None])
def test_what_is_no_status(status: int) -> None:
    wire = asked()
    with pytest.raises(LocalProtocolError, match=r"^status=.*: expected 200 to 599$"):
        wire.respond(status, 0.0, body=b"")
    assert wire.data_to_send() == b""
    wire.respond(200, 0.0, body=b"")
    assert wire.data_to_send()


@pytest.mark.parametrize(
    "header", [("Content-Length", "5"), ("connection", "close"), ("A", "b\nC: d"), ("a b", "")]
)
def test_a_header_that_cannot_be_sent(header: tuple[str, str]) -> None:
    wire = asked()
    with pytest.raises(LocalProtocolError, match=r"^headers"):
        wire.respond(200, 0.0, [header], b"")
    wire.respond(200, 0.0, body=b"")
    assert wire.data_to_send() == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def test_what_is_refused_changes_nothing() -> None:
    wire = HttpServerWire()
    for body in (None, b""):
        with pytest.raises(LocalProtocolError, match=r"^respond.* is not allowed in state ready"):
            wire.respond(200, 0.0, body=body)
    feed(wire, GET)
    with pytest.raises(LocalProtocolError, match=r"^send_body is not allowed in state deciding"):
        wire.send_body(b"a", 0.0)
    with pytest.raises(LocalProtocolError, match=r"^end_body is not allowed in state deciding"):
        wire.end_body(0.0)
    wire.respond(200, 0.0)
    with pytest.raises(LocalProtocolError, match=r"^respond is not allowed in state answering"):
        wire.respond(200, 0.0)
    wire.end_body(0.0)
    assert wire.data_to_send().endswith(b"chunked\r\n\r\n0\r\n\r\n")


# -- one after another


def test_keep_alive() -> None:
    server = Server()
    for number in range(10):
        server.feed(POST + b"Content-Length: 1\r\n\r\n%d" % number)
        assert server.sent.endswith(b"\r\n\r\n/p %d" % number)
    assert state_of(server.wire) is State.READY
    server.eof()
    assert server.wire.finished
    assert not any(isinstance(event, ExchangeFailed) for event in server.events)


@pytest.mark.parametrize("target", [b"/p", b"/stream"])
def test_requests_in_one_read(target: bytes) -> None:
    server = Server()
    one = POST.replace(b"/p", target) + b"Content-Length: 1\r\n\r\n"
    server.feed(one + b"1" + one + b"2" + POST + TE + chunked(b"3") + GET)
    starts = [event for event in server.events if isinstance(event, RequestStarted)]
    assert [start.method for start in starts] == ["POST", "POST", "POST", "GET"]
    assert server.sent.count(b"HTTP/1.1 200 OK") == 4
    assert state_of(server.wire) is State.READY


def test_garbage_behind_a_request() -> None:
    server = Server()
    server.feed(GET + b"\x00garbage")
    assert server.sent.startswith(b"HTTP/1.1 200 OK")
    assert b"HTTP/1.1 400 Bad Request" in server.sent
    assert isinstance(failure(server.events), RemoteProtocolError)


def test_too_much_before_the_answer() -> None:
    wire = asked(limits=Limits(max_handshake_bytes=100))
    feed(wire, b"x" * 100)
    assert not wire.finished
    feed(wire, b"x")
    assert "before the answer" in str(failure(events(wire)))
    assert wire.data_to_send() == b""
    assert wire.finished


@pytest.mark.parametrize(
    "head",
    [GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), GET.replace(b"1.1", b"1.0")],
)
def test_a_client_that_wants_no_more(head: bytes) -> None:
    server = Server()
    server.feed(head + GET)
    assert b"Connection: close\r\n" in server.sent
    assert server.sent.count(b"200 OK") == 1
    assert server.wire.finished
    assert server.wire.next_deadline() is None


# -- answers before the end of the request


def test_an_early_answer_ends_the_connection() -> None:
    wire = asked(POST + b"Content-Length: 9\r\n\r\nhel")
    wire.respond(401, 0.0, body=b"no")
    assert wire.data_to_send() == (
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    )
    assert wire.finished
    assert wire.next_deadline() is None
    feed(wire, b"more")
    assert [type(event) for event in events(wire)] == [RequestStarted, BodyReceived]


def test_an_early_streamed_answer() -> None:
    wire = asked(POST + b"Content-Length: 9\r\n\r\nhel")
    wire.respond(200, 0.0)
    wire.send_body(b"a", 0.0)
    feed(wire, b"lo ", now=1.0)
    assert wire.next_deadline() == 11.0
    feed(wire, b"you")
    assert [type(event) for event in events(wire)] == [RequestStarted, BodyReceived, RequestEnded]
    assert wire.next_deadline() is None
    wire.send_body(b"b", 0.0)
    wire.end_body(0.0)
    sent = wire.data_to_send()
    assert b"Connection: close" in sent
    assert sent.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n")
    assert wire.finished


def test_an_early_streamed_answer_that_ends_early() -> None:
    wire = asked(POST + b"Content-Length: 9\r\n\r\nhel")
    wire.respond(200, 0.0)
    wire.end_body(0.0)
    assert wire.data_to_send().endswith(b"0\r\n\r\n")
    assert wire.finished
    assert wire.next_deadline() is None


def test_a_fault_in_an_early_streamed_answer_is_not_answered() -> None:
    wire = asked(POST + TE + b"2\r\nhi\r\n")
    wire.respond(200, 0.0)
    wire.data_to_send()
    feed(wire, b"zz\r\n")
    assert isinstance(failure(events(wire)), RemoteProtocolError)
    assert wire.data_to_send() == b""


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
