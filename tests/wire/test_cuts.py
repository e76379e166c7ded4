"""The same bytes, cut in any way, give the same events and the same bytes out: for both ends."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, bytewise, cut_at, random_cuts, whole
from wire.recording import (
    GOOD_101,
    GOOD_REQUEST,
    Client,
    Frame,
    Server,
    close_frame,
    comparable,
    events,
    frame,
    frames,
    text,
)

LIMITS = Limits(max_handshake_bytes=400, max_error_body=24, max_message_bytes=200, max_fragments=4)
MASK = b"\x01\x80\xfe\x37"


def client_run(head: str, stream: bytes, cut: Cut) -> tuple[list[Event], list[Frame]]:
    client = Client(heartbeat=5.0, limits=LIMITS)
    client.conn.send("first", b"\x00")
    client.answer(head, stream, cut=cut)
    client.wire.receive_eof(1.0)
    return comparable(events(client.wire)), frames(client.wire.data_to_send())


def server_run(head: bytes, stream: bytes, cut: Cut) -> tuple[list[Event], bytes]:
    server = Server(limits=LIMITS)
    server.conn.send("first", b"\x00")
    server.feed(head + stream, cut=cut)
    server.wire.receive_eof(1.0)
    server.drain()
    return server.events, server.sent


HEADS = [
    GOOD_101,
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + GOOD_101,
    GOOD_101.replace("\r\n", "\n"),
    GOOD_101.replace("{accept}", "wrong"),
    GOOD_101.replace("\r\n\r\n", "\r\nX: " + "x" * 400 + "\r\n\r\n"),
    'HTTP/1.1 401 No\r\nContent-Length: 25\r\n\r\n{"message":"Unauthorized"}',
    "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n40;x=y\r\n"
    + "b" * 64
    + "\r\n0\r\n\r\n",
    "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5;" + "x" * 400,
    "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.0 404 No\r\n\r\nto the end of the stream",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "\x16\x03\x01 TLS",
    "\r\n\r\n",
    "HTTP/1.1 x\r\n\r\n",
    "",
]
REQUESTS = [
    GOOD_REQUEST,
    GOOD_REQUEST.replace(b"\r\n", b"\n"),
    GOOD_REQUEST.replace(b"Version: 13", b"Version: 8"),
    GOOD_REQUEST.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * 400 + b"\r\n\r\n"),
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    b"\n\n",
    b"",
]


def streams(mask: bytes | None) -> st.SearchStrategy[bytes]:
    """Frames, legal in the main, with something wrong now and then."""
    payloads = st.one_of(
        st.sampled_from(["", "echo hi", "bye", "ünïcödé", "x" * 190]).map(str.encode),
        st.binary(max_size=140),
    )
    controls = st.one_of(
        st.builds(frame, st.sampled_from([9, 10]), st.binary(max_size=125), mask=st.just(mask)),
        st.sampled_from([b"", frame(9, b"again", mask=mask)]),
    )

    def fragmented(opcode: int, pieces: list[bytes], control: bytes) -> bytes:
        last = len(pieces) - 1
        return control.join(
            frame(0 if i else opcode, piece, fin=i == last, mask=mask) for i, piece in enumerate(pieces)
        )

    parts = st.one_of(
        st.builds(frame, st.sampled_from([1, 2]), payloads, mask=st.just(mask)),
        st.builds(fragmented, st.sampled_from([1, 2]), st.lists(payloads, min_size=1, max_size=6), controls),
        controls,
        st.builds(close_frame, st.sampled_from([1000, 1008, 1005, 3000, 999]), mask=st.just(mask)),
        st.builds(
            frame, st.integers(0, 15), st.binary(max_size=3), rsv=st.integers(0, 7), mask=st.just(mask)
        ),
        st.binary(max_size=20),
    )
    return st.lists(parts, max_size=8).map(b"".join)


cuts = st.one_of(
    st.just(bytewise),
    st.builds(random_cuts, st.integers().map(Random), st.integers(1, 60)),
    st.integers(0, 400).map(cut_at),
)


@given(st.one_of(st.just(GOOD_101), st.sampled_from(HEADS)), streams(None), cuts)
def test_client_events_and_bytes_do_not_depend_on_the_cuts(head: str, stream: bytes, cut: Cut) -> None:
    assert client_run(head, stream, cut) == client_run(head, stream, whole)


@given(st.one_of(st.just(GOOD_REQUEST), st.sampled_from(REQUESTS)), streams(MASK), cuts)
def test_server_events_and_bytes_do_not_depend_on_the_cuts(head: bytes, stream: bytes, cut: Cut) -> None:
    assert server_run(head, stream, cut) == server_run(head, stream, whole)


def rich(mask: bytes | None) -> bytes:
    return b"".join(
        [
            text("echo ünï", mask),
            frame(9, b"p", mask=mask),
            frame(1, "ü".encode()[:1], fin=False, mask=mask),
            frame(9, b"q", mask=mask),
            frame(0, "ü".encode()[1:], mask=mask),
            frame(2, b"b" * 130, mask=mask),
            text("bye", mask),
            close_frame(1000, "so long", mask),
            b"ignored",
        ]
    )


@pytest.mark.parametrize("head", [GOOD_101, *HEADS[3:9]])
def test_client_at_every_position(head: str) -> None:
    expected = client_run(head, rich(None), whole)
    size = len(head) + 28 + len(rich(None))
    for position in range(size):
        assert client_run(head, rich(None), cut_at(position)) == expected
    assert client_run(head, rich(None), bytewise) == expected


@pytest.mark.parametrize("head", [GOOD_REQUEST, *REQUESTS[2:5]])
def test_server_at_every_position(head: bytes) -> None:
    expected = server_run(head, rich(MASK), whole)
    for position in range(len(head) + len(rich(MASK))):
        assert server_run(head, rich(MASK), cut_at(position)) == expected
    assert server_run(head, rich(MASK), bytewise) == expected


def test_the_rich_stream_means_what_it_should() -> None:
    found, sent = client_run(GOOD_101, rich(None), bytewise)
    assert [type(event).__name__ for event in found] == [
        *("HandshakeCompleted", "Opened", "Received", "Received", "Received", "Received", "ConnectionClosed")
    ]
    assert [(f.opcode, f.payload) for f in sent] == [
        *((1, b"first"), (2, b"\x00"), (1, "ünï".encode()), (10, b"p"), (10, b"q"), (8, b"\x03\xe8bye"))
    ]
    assert all(f.masked for f in sent)


@given(st.binary(max_size=300), st.booleans())
def test_whatever_comes_nothing_raises_and_one_closed_event_is_the_last(data: bytes, opened: bool) -> None:
    client, server = Client(limits=LIMITS), Server(limits=LIMITS)
    if opened:
        client.open()
        server.open()
    for cut in (whole, bytewise):
        for piece in cut(data):
            client.wire.receive_data(piece, 0.0)
            server.wire.receive_data(piece, 0.0)
    client.wire.receive_eof(0.0)
    server.wire.receive_eof(0.0)
    server.drain()
    for found in (events(client.wire), server.events):
        closed = [event for event in found if isinstance(event, ConnectionClosed)]
        assert closed == found[-1:]
        assert closed[0].error is None or isinstance(closed[0].error, ProtocolError)
    assert client.wire.finished
    assert server.wire.finished
