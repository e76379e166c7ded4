"""A peer cannot make us hold much: peaks measured while it tries."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smallest_proto.errors import RemoteProtocolError, ServerError
from smallest_proto.events import NEED_DATA
from smallest_proto.limits import Limits
from smallest_proto.wire.http import HttpServerWire, wants_upgrade
from smallest_proto.wire.http_events import BodyReceived, ExchangeFailed
from smallest_proto.wire.sse import EventStreamDecoder
from wire.http_recording import GET, events, failure, started

MEGABYTE = 1 << 20
CHUNKED = b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"


@contextmanager
def at_most(limit: int) -> Iterator[None]:
    """Fail if what is allocated inside exceeds `limit` bytes at any moment."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak} bytes"


HUGE = {
    "one line": b"x" * 16 * MEGABYTE,
    "one header": b"HTTP/1.1 200 x\r\nX: " + b"x" * 16 * MEGABYTE,
    "100,000 headers": b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
    "interim answers": b"HTTP/1.1 103 x\r\n\r\n" * 100_000,
    "chunk extension": CHUNKED + b"1;" + b"x" * 16 * MEGABYTE,
    "100,000 trailers": CHUNKED + b"0\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
}


@pytest.mark.parametrize("read", [16 * MEGABYTE, 64 * 1024, 100], ids=["whole", "64 kB", "100 B"])
@pytest.mark.parametrize("data", HUGE.values(), ids=list(HUGE))
def test_a_huge_head(data: bytes, read: int) -> None:
    client, server = started(), HttpServerWire()
    request = data.replace(b"HTTP/1.1 200 x", b"POST / HTTP/1.1\r\nHost: h")
    reads = range(0, min(len(data), 2 * MEGABYTE) if read < 1000 else len(data), read)
    view, other = memoryview(data), memoryview(request)
    with at_most(MEGABYTE):
        for start in reads:
            client.receive_data(view[start : start + read], 0.0)
            server.receive_data(other[start : start + read], 0.0)
    for wire in (client, server):
        assert isinstance(failure(events(wire)), RemoteProtocolError)


def test_a_body_of_tiny_chunks_costs_what_it_holds() -> None:
    data = CHUNKED + b"1\r\nx\r\n" * 20_000
    client = started()
    with at_most(MEGABYTE):
        client.receive_data(data, 0.0)
        events(client)


@pytest.mark.parametrize("framing", [b"", b"Content-Length: 99999999\r\n"])
def test_a_body_that_is_taken_away_is_not_held(framing: bytes) -> None:
    client = started()
    client.receive_data(b"HTTP/1.1 200 x\r\n" + framing + b"\r\n", 0.0)
    client.next_event()
    block = bytes(MEGABYTE)
    with at_most(4 * MEGABYTE):
        for _ in range(50):
            client.receive_data(block, 0.0)
            while (event := client.next_event()) is not NEED_DATA:
                assert isinstance(event, BodyReceived)


def test_an_endless_error_body() -> None:
    client = started()
    client.receive_data(b"HTTP/1.1 500 x\r\n\r\n", 0.0)
    block = bytes(16 * MEGABYTE)
    with at_most(MEGABYTE):
        client.receive_data(block, 0.0)
        assert isinstance(failure(events(client)), ServerError)


def test_a_body_beyond_the_limit() -> None:
    server = HttpServerWire(limits=Limits(max_request_body=MEGABYTE))
    server.receive_data(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", 0.0)
    block = bytes(16 * MEGABYTE)
    with at_most(4 * MEGABYTE):
        server.receive_data(block, 0.0)
        found = events(server)
    assert isinstance(found[-1], ExchangeFailed)


def test_requests_that_do_not_wait_for_answers() -> None:
    server, data = HttpServerWire(), GET * 100_000
    with at_most(MEGABYTE):
        server.receive_data(data, 0.0)
    assert isinstance(failure(events(server)), RemoteProtocolError)


def test_wants_upgrade_byte_by_byte() -> None:
    data = b"GET / HTTP/1.1\r\nA: " + b"b" * 20_000
    with at_most(MEGABYTE):
        found = [wants_upgrade(data[:end]) for end in range(0, 20_000, 7)]
    assert set(found) == {None, False}


@pytest.mark.parametrize(
    "data",
    [b"data: " + b"x" * 16 * MEGABYTE, b": " + b"x" * 16 * MEGABYTE, b"data\n" * (MEGABYTE // 8)],
    ids=["one line", "one comment", "many lines"],
)
def test_a_huge_event(data: bytes) -> None:
    decoder = EventStreamDecoder(limits=Limits(max_message_bytes=MEGABYTE // 32))
    with at_most(MEGABYTE):
        assert decoder.feed(data) == []
        assert decoder.end() == []
    assert isinstance(decoder.error, RemoteProtocolError)


def test_an_endless_row_of_blank_lines() -> None:
    decoder, data = EventStreamDecoder(), b"\n" * (MEGABYTE // 4)
    with at_most(MEGABYTE):
        assert decoder.feed(data) == []
    assert decoder.error is None
