"""A response as the client reads it: heads, bodies, and what is wrong with them."""

from __future__ import annotations

import pytest

from smallest_proto.errors import (
    ConnectionLost,
    RemoteProtocolError,
)
from smallest_proto.events import NEED_DATA
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, bytewise, whole
from smallest_proto.wire.http_events import BodyReceived, ExchangeEnded, ExchangeFailed, ResponseStarted
from wire.http_recording import (
    TE,
    answered,
    body_of,
    chunked,
    events,
    failure,
    feed,
    started,
)


def test_a_sized_response() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\nX-Request-Id: R\r\nContent-Length: 5\r\n\r\nhello") == [
        ResponseStarted(status=200, headers=(("x-request-id", "R"), ("content-length", "5"))),
        BodyReceived(data=b"hello"),
        ExchangeEnded(reusable=True),
    ]


def test_the_bytes_of_a_body_come_as_they_arrive() -> None:
    wire = started()
    feed(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    assert events(wire)[1:] == [BodyReceived(data=b"he")]
    feed(wire, b"l")
    assert wire.next_event() == BodyReceived(data=b"l")
    assert wire.next_event() is NEED_DATA
    assert (wire.reusable, wire.finished) == (False, False)
    feed(wire, b"lo")
    assert events(wire) == [BodyReceived(data=b"lo"), ExchangeEnded(reusable=True)]
    assert (wire.reusable, wire.finished) == (True, False)


def test_a_body_shows_only_its_size() -> None:
    assert repr(BodyReceived(data=b"secret")) == "BodyReceived(6 bytes)"


@pytest.mark.parametrize(
    ("response", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n" + TE + chunked(b"he", b"llo"), True),
        (b"HTTP/1.1 200 OK\r\n" + TE + chunked(b"hello", trailer=b"A: b\r\n"), True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    ],
)
def test_kinds_of_bodies(response: bytes, reusable: bool) -> None:
    found = answered(response)
    assert [type(event) for event in found] == [ResponseStarted, BodyReceived, ExchangeEnded]
    assert body_of(found) == b"hello"
    assert found[-1] == ExchangeEnded(reusable=reusable)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_that_ends_with_the_stream(version: bytes) -> None:
    wire = started()
    feed(wire, b"HTTP/" + version + b" 200 OK\r\n\r\nhel", bytewise)
    feed(wire, b"lo")
    assert not any(isinstance(event, ExchangeEnded) for event in events(wire))
    wire.receive_eof(0.0)
    assert events(wire) == [ExchangeEnded(reusable=False)]
    assert wire.finished


def test_a_body_that_the_stream_ends_is_not_whole_when_the_stream_broke_off() -> None:
    wire = started()
    feed(wire, b"HTTP/1.1 200 OK\r\n\r\nhello")
    wire.receive_eof(0.0, clean=False)
    *_, body, last = events(wire)
    assert body == BodyReceived(data=b"hello")
    assert isinstance(last, ExchangeFailed)
    assert isinstance(last.error, ConnectionLost)
    assert wire.finished


@pytest.mark.parametrize("coding", [b"gzip", b"Identity, br", b"gzip\r\nContent-Encoding: br"])
def test_a_compressed_body_is_refused_by_its_name(coding: bytes) -> None:
    (last,) = answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: " + coding + b"\r\nContent-Length: 1\r\n\r\nx")
    assert isinstance(last, ExchangeFailed)
    assert isinstance(last.error, RemoteProtocolError)
    name = coding.decode().replace("\r\nContent-Encoding:", ",").replace("Identity, ", "")
    assert str(last.error) == f"the answer is compressed with {name!r}, and only 'identity' is read here"
    assert last.error.status == 200


def test_a_body_said_not_to_be_compressed() -> None:
    found = answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: IDENTITY\r\nContent-Length: 5\r\n\r\nhello")
    assert body_of(found) == b"hello"


def test_no_body() -> None:
    assert answered(b"HTTP/1.1 204 No Content\r\n\r\n") == [
        ResponseStarted(status=204),
        ExchangeEnded(reusable=True),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + TE + b"5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n" + TE + b"5\r\nhello\r\n0\r\n",
    ],
)
def test_truncated(data: bytes) -> None:
    found = answered(data, eof=True)
    error = failure(found)
    assert type(error) is ConnectionLost
    assert error.retryable
    assert b"hello".startswith(body_of(found))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01", "not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"\r\n", "not HTTP"),
        (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 1\r\n" + TE, "both Content-Length and Transfer-Encoding"),
        (b"HTTP/1.0 200 x\r\n" + TE, "HTTP/1.0 with Transfer-Encoding"),
        (b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 129 + b"\r\n", "max_headers"),
        (b"HTTP/1.1 200 x\r\nA: " + b"b" * 20_000, "max_handshake_bytes"),
        (b"HTTP/1.1 103 x\r\n\r\n" * 2_000, "max_handshake_bytes"),
    ],
)
def test_a_head_that_is_wrong(data: bytes, why: str) -> None:
    (event,) = answered(data)
    assert isinstance(event, ExchangeFailed)
    assert isinstance(event.error, RemoteProtocolError)
    assert why in str(event.error)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"2\r\nhiXX",
        b"2\r\nhi\r\n2;" + b"x" * 17_000,
        b"2\r\nhi\r\n0\r\n" + b"A: b\r\n" * 17_000,
        b"2\r\nhi\r\n0\r\nno colon\r\n\r\n",
    ],
)
def test_a_body_that_is_wrong(body: bytes) -> None:
    found = answered(b"HTTP/1.1 200 x\r\n" + TE + body)
    error = failure(found)
    assert isinstance(error, RemoteProtocolError)
    assert "not HTTP" in str(error)
    assert body_of(found) in (b"", b"hi")


@pytest.mark.parametrize("size", [399, 400, 401])
def test_the_head_is_bounded_to_the_byte(size: int) -> None:
    head = b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nX: PAD\r\n\r\n"
    padded = head.replace(b"PAD", b"x" * (size - len(head) + 3))
    assert len(padded) == size
    found = answered(padded + b"hi", Limits(max_handshake_bytes=400))
    assert isinstance(found[0], ResponseStarted if size <= 400 else ExchangeFailed)


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("size", [399, 400, 401])
def test_what_surrounds_a_body_is_bounded_to_the_byte(size: int, cut: Cut) -> None:
    for before, after in ((b"2;", b"\r\nhi\r\n0\r\n\r\n"), (b"2\r\nhi\r\n2;", b"\r\nhi\r\n0\r\n\r\n")):
        framing = len(before.removeprefix(b"2\r\nhi")) + 2
        body = before + b"x" * (size - framing) + after
        found = answered(b"HTTP/1.1 200 x\r\n" + TE + body, Limits(max_handshake_bytes=400), cut=cut)
        assert isinstance(found[-1], ExchangeEnded if size <= 400 else ExchangeFailed)


@pytest.mark.parametrize("count", [5, 6])
def test_headers_are_counted(count: int) -> None:
    head = b"HTTP/1.1 204 x\r\n" + b"A: b\r\n" * count + b"\r\n"
    found = answered(head, Limits(max_headers=5))
    assert isinstance(found[0], ResponseStarted if count <= 5 else ExchangeFailed)
