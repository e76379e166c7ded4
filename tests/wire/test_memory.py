"""A peer cannot make us hold much: peaks measured while it tries."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from smallest_proto.errors import RemoteProtocolError
from smallest_proto.events import ConnectionClosed
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketServerWire
from wire.recording import GOOD_REQUEST, Client, Server, events, frame, frames

MEGABYTE = 1 << 20


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
    "one header": b"HTTP/1.1 101 x\r\nX: " + b"x" * 16 * MEGABYTE,
    "100,000 headers": b"HTTP/1.1 101 x\r\n" + b"A: b\r\n" * 100_000 + b"\r\n",
    "interim answers": b"HTTP/1.1 103 x\r\n\r\n" * 100_000,
}


@pytest.mark.parametrize("read", [16 * MEGABYTE, 64 * 1024, 100], ids=["whole", "64 kB", "100 B"])
@pytest.mark.parametrize("data", HUGE.values(), ids=list(HUGE))
def test_a_huge_handshake(data: bytes, read: int) -> None:
    client, server = Client(), WebSocketServerWire()
    server.connect(0.0)
    request = data.replace(b"HTTP/1.1 101 x", b"GET / HTTP/1.1").replace(b"HTTP/1.1 103 x", b"nonsense")
    reads = range(0, min(len(data), 2 * MEGABYTE) if read < 1000 else len(data), read)
    view, other = memoryview(data), memoryview(request)
    with at_most(MEGABYTE):
        for start in reads:
            client.wire.receive_data(view[start : start + read], 0.0)
            server.receive_data(other[start : start + read], 0.0)
    for found in (events(client.wire), events(server)):
        (event,) = found
        assert isinstance(event, ConnectionClosed)
        assert isinstance(event.error, RemoteProtocolError)


def test_a_20_mb_text_message() -> None:
    client = Client().open()
    data = b"\x81\x7f" + struct.pack("!Q", 20 * MEGABYTE) + b"x" * (20 * MEGABYTE)
    view = memoryview(data)
    with at_most(MEGABYTE):
        client.wire.receive_data(view, 0.0)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert event.code == 1009
    assert frames(client.wire.data_to_send())[0].payload[:2] == struct.pack("!H", 1009)


def test_a_20_mb_message_in_fragments() -> None:
    client = Client().open()
    piece = frame(0, b"x" * 65_000, fin=False)
    client.wire.receive_data(frame(1, b"x", fin=False), 0.0)
    with at_most(12 * MEGABYTE):
        for _ in range(20 * MEGABYTE // 65_000):
            client.wire.receive_data(piece, 0.0)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert event.code == 1009


def test_an_endless_row_of_empty_fragments() -> None:
    client = Client().open()
    client.wire.receive_data(frame(1, fin=False), 0.0)
    with at_most(MEGABYTE):
        client.wire.receive_data(frame(0, fin=False) * 20_000, 0.0)
    assert isinstance(events(client.wire)[0], ConnectionClosed)


def test_a_message_one_byte_at_a_time() -> None:
    client = Client().open()
    data = frame(2, b"x" * 100_000)
    with at_most(2 * MEGABYTE):
        for start in range(len(data)):
            client.wire.receive_data(data[start : start + 1], 0.0)
    assert len(events(client.wire)) == 1


def test_many_pings_in_one_read() -> None:
    server = Server().open()
    data = frame(9, b"p" * 100, mask=b"mask") * 10_000
    with at_most(2 * len(data)):
        server.wire.receive_data(data, 0.0)
    assert len(server.wire.data_to_send()) < len(data)


def test_nothing_is_kept_after_the_end() -> None:
    server = Server()
    server.feed(GOOD_REQUEST + b"\xff" * 10)
    assert server.wire.state is State.CLOSED
    block = bytes(MEGABYTE)
    with at_most(MEGABYTE):
        for _ in range(50):
            server.wire.receive_data(block, 0.0)
