"""The same bytes, cut in any way, give the same events and the same bytes out: for both ends of HTTP."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Event
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, bytewise, cut_at, random_cuts, whole
from smallest_proto.wire.http_events import ExchangeEnded, ExchangeFailed
from smallest_proto.wire.http_states import State
from wire.http_recording import GET, OK, POST, TE, Server, chunked, events, feed, started, state_of

LIMITS = Limits(max_handshake_bytes=400, max_headers=10, max_error_body=24, max_request_body=100)

ONE = b"HTTP/1.1 200 OK\r\n"
RESPONSES = [
    OK,
    OK.replace(b"\r\n", b"\n"),
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK,
    OK + OK,
    OK + b"garbage",
    ONE + TE + chunked(b"hello", b"x" * 70, b"y"),
    ONE + TE + b"5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n" + b"more",
    ONE + TE + b"5\r\nhelloXX",
    ONE + TE + b"5\r\nhello\r\nzz\r\n",
    ONE + TE + b"5\r\nhello\r\n5;" + b"x" * 400 + b"\r\nhello\r\n0\r\n\r\n",
    ONE + TE + b"5\r\nhello\r\n0\r\n" + b"a: b\r\n" * 80 + b"\r\n",
    ONE + TE + b"5\r\nhel",
    ONE + b"\r\nto the end of the stream",
    ONE + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc",
    ONE + b"Content-Length: 10\r\n\r\nshort",
    ONE + b"Content-Length: 1\r\n" + TE + chunked(b"a"),
    ONE + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\na",
    ONE + b"Transfer-Encoding: gzip\r\n\r\na",
    ONE + b"X: " + b"x" * 400 + b"\r\n\r\n",
    ONE + b"A: b\r\n" * 11 + b"\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nto the end of the stream",
    b"HTTP/1.0 200 OK\r\n" + TE + chunked(b"a"),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 302 x\r\nLocation: /b\r\nContent-Length: 2\r\n\r\nno",
    b'HTTP/1.1 401 No\r\nContent-Length: 25\r\n\r\n{"message":"Unauthorized"}',
    b"HTTP/1.1 503 No\r\n" + TE + chunked(b"hello", b"b" * 64),
    b"HTTP/1.1 503 No\r\n" + TE + b"5\r\nhello\r\nzz",
    b"HTTP/1.1 500 No\r\n\r\n<html>",
    b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n<html>",
    b"\x16\x03\x01 TLS",
    b"\r\n\r\n",
    b"HTTP/1.1 x\r\n\r\n",
    b"",
]

REQUESTS = [
    GET,
    GET.replace(b"\r\n", b"\n"),
    GET.replace(b"/a", b"/stream"),
    GET.replace(b"/a", b"/404"),
    GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    GET.replace(b"/a", b"/stream").replace(b"HTTP/1.1", b"HTTP/1.0"),
    GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    GET.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
    GET.replace(b"GET", b"HEAD"),
    GET.replace(b"GET /a", b"HEAD /stream"),
    POST + b"Content-Length: 5\r\n\r\nhello",
    POST + b"Content-Length: 0\r\n\r\n",
    POST + TE + chunked(b"hello", b"there"),
    POST + b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    POST + b"Content-Length: 101\r\n\r\n" + b"x" * 101,
    POST + TE + chunked(b"x" * 60, b"y" * 60),
    POST + TE + b"5\r\nhello\r\nzz\r\n",
    POST + b"Content-Length: 5\r\n" + TE + chunked(b"hello"),
    POST.replace(b"HTTP/1.1", b"HTTP/1.0") + TE + chunked(b"hello"),
    b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    POST + b"X: " + b"x" * 400 + b"\r\n\r\n",
    POST + b"A: b\r\n" * 10 + b"\r\n",
    b"\n\n",
    b"\x16\x03\x01 TLS",
    b"",
]

cuts = st.one_of(
    st.just(bytewise),
    st.builds(random_cuts, st.integers().map(Random), st.integers(1, 60)),
    st.integers(0, 400).map(cut_at),
)


def client_run(stream: bytes, cut: Cut, *, eof: bool) -> tuple[list[Event], State, bytes]:
    wire = started(LIMITS)
    feed(wire, stream, cut)
    if eof:
        wire.receive_eof(0.0)
    return events(wire), wire.state, wire.data_to_send()


def server_run(stream: bytes, cut: Cut, *, eof: bool) -> tuple[list[Event], State, bytes]:
    server = Server(LIMITS)
    server.feed(stream, cut)
    if eof:
        server.eof()
    return server.events, server.wire.state, server.sent


def mangled(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    """Some of them, now and then with something written over or cut out."""

    def mangle(data: bytes, at: int, over: bytes, gap: int) -> bytes:
        return data[:at] + over + data[at + gap :]

    parts = st.sampled_from(seeds)
    broken = st.builds(mangle, parts, st.integers(0, 200), st.binary(max_size=4), st.integers(0, 8))
    return st.lists(st.one_of(parts, parts, broken), max_size=3).map(b"".join)


@given(mangled(RESPONSES), cuts, st.booleans())
def test_client_events_do_not_depend_on_the_cuts(stream: bytes, cut: Cut, eof: bool) -> None:
    assert client_run(stream, cut, eof=eof) == client_run(stream, whole, eof=eof)


@given(mangled(REQUESTS), cuts, st.booleans())
def test_server_events_and_bytes_do_not_depend_on_the_cuts(stream: bytes, cut: Cut, eof: bool) -> None:
    stream = stream[:400]  # what comes before the answer is bounded, and an answer takes a call
    assert server_run(stream, cut, eof=eof) == server_run(stream, whole, eof=eof)


@pytest.mark.parametrize("stream", RESPONSES)
def test_client_at_every_position(stream: bytes) -> None:
    expected = client_run(stream, whole, eof=True)
    for position in range(len(stream)):
        assert client_run(stream, cut_at(position), eof=True) == expected
    assert client_run(stream, bytewise, eof=True) == expected


@pytest.mark.parametrize("stream", REQUESTS)
def test_server_at_every_position(stream: bytes) -> None:
    stream += GET  # as far as it comes
    expected = server_run(stream, whole, eof=True)
    for position in range(len(stream)):
        assert server_run(stream, cut_at(position), eof=True) == expected
    assert server_run(stream, bytewise, eof=True) == expected


@given(st.one_of(mangled(RESPONSES), st.binary(max_size=300)))
def test_whatever_a_server_sends_one_end_comes_and_nothing_raises(data: bytes) -> None:
    wire = started(LIMITS)
    feed(wire, data)
    wire.receive_eof(0.0)
    found = events(wire)
    ends = [event for event in found if isinstance(event, ExchangeEnded | ExchangeFailed)]
    assert ends == found[-1:]
    assert isinstance(getattr(ends[0], "error", ProtocolError()), ProtocolError)
    assert wire.finished
    assert wire.next_deadline() is None


@given(st.one_of(mangled(REQUESTS), st.binary(max_size=300)))
def test_whatever_a_client_sends_nothing_raises_and_a_failure_is_the_last(data: bytes) -> None:
    server = Server(LIMITS)
    server.feed(data)
    server.eof()
    failures = [event for event in server.events if isinstance(event, ExchangeFailed)]
    assert failures in ([], server.events[-1:])
    assert state_of(server.wire) is State.CLOSED
    assert server.wire.next_deadline() is None
