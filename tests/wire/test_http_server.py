"""Requests as the server sees them, and its answers."""

from __future__ import annotations

import pytest

from smallest_proto.errors import LocalProtocolError, RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.wire.http import HttpServerWire
from smallest_proto.wire.http_events import BodyReceived, ExchangeFailed, RequestEnded, RequestStarted
from smallest_proto.wire.http_states import State
from wire.http_recording import (
    GET,
    KEY,
    POST,
    TE,
    Server,
    asked,
    body_of,
    chunked,
    events,
    failure,
    feed,
    state_of,
)

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
    found = events(wire)
    assert [type(event) for event in found] == [RequestStarted, BodyReceived, RequestEnded]
    assert body_of(found) == b"hello you"
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
