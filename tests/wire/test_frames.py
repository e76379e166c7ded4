"""Frames: what is taken, what is answered, and how each fault ends the connection."""

from __future__ import annotations

import struct

import pytest

from smallest_proto.errors import RemoteProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.limits import Limits
from smallest_proto.wire.states import State
from wire.recording import Client, Frame, Received, Server, close_frame, events, frame, frames, state_of, text

MASK = b"\x01\x02\x03\x04"
LIMITS = Limits(max_message_bytes=1000, max_fragments=3)


def through_client(data: bytes) -> tuple[list[Event], list[Frame], State]:
    client = Client(limits=LIMITS).open()
    client.wire.receive_data(data, 1.0)
    assert len(client.conn.closes) <= 1
    return events(client.wire), frames(client.wire.data_to_send()), client.wire.state


def through_server(data: bytes) -> tuple[list[Event], list[Frame], State]:
    server = Server(limits=LIMITS).open()
    server.feed(data, now=1.0)
    assert len(server.conn.closes) <= 1
    return server.events, frames(server.sent), server.wire.state


def test_text_and_binary_in_every_length_form() -> None:
    for size in (0, 1, 125, 126, 999):
        assert through_client(text("x" * size))[0] == [Received(message="x" * size)]
        assert through_server(frame(2, b"x" * size, mask=MASK))[0] == [Received(message=b"x" * size)]
    client = Client().open()
    client.wire.receive_data(frame(2, b"x" * 70_000), 1.0)
    assert events(client.wire) == [Received(message=b"x" * 70_000)]


def test_fragments_with_control_frames_between_them() -> None:
    euro = "€".encode()
    pieces = [frame(1, euro[:1], fin=False), frame(9, b"p"), frame(0, euro[1:2], fin=False), frame(10, b"q")]
    found, sent, state = through_client(b"".join(pieces) + frame(0, euro[2:]) + text("next"))
    assert found == [Received(message="€"), Received(message="next")]
    assert [(f.opcode, f.payload) for f in sent] == [(10, b"p")]
    assert state is State.OPEN


def test_empty_fragments() -> None:
    found, _, _ = through_client(frame(2, fin=False) + frame(0, fin=False) + frame(0))
    assert found == [Received(message=b"")]


def test_a_ping_is_answered_with_its_payload() -> None:
    assert through_client(frame(9) + frame(9, b"x" * 125))[1] == [
        Frame(10, b"", True),
        Frame(10, b"x" * 125, True),
    ]
    assert through_server(frame(9, b"abc", mask=MASK))[1] == [Frame(10, b"abc", False)]


def test_pongs_are_ignored() -> None:
    assert through_client(frame(10) + frame(10, b"unasked")) == ([], [], State.OPEN)


CLIENT_FAULTS = {
    "rsv1": (frame(1, b"x", rsv=4), 1002),
    "rsv2": (frame(1, b"x", rsv=2), 1002),
    "rsv3": (frame(1, b"x", rsv=1), 1002),
    "masked": (frame(1, b"x", mask=MASK), 1002),
    "reserved data opcode": (frame(3, b"x"), 1002),
    "reserved control opcode": (frame(11, b"x"), 1002),
    "long ping": (frame(9, b"x" * 126), 1002),
    "fragmented ping": (frame(9, b"x", fin=False), 1002),
    "close with half a code": (frame(8, b"\x03"), 1002),
    **{
        f"close {code}": (close_frame(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    },
    "close reason": (frame(8, b"\x03\xe8\xff"), 1007),
    "long close": (frame(8, b"\x03\xe8" + b"x" * 124), 1002),
    "text": (frame(1, b"\xff"), 1007),
    "text cut in a character": (frame(1, "€".encode()[:2]), 1007),
    "text surrogate": (frame(1, b"\xed\xa0\x80"), 1007),
    "text over fragments": (frame(1, b"\xe2", fin=False) + frame(0, b"x"), 1007),
    "continuation of nothing": (frame(0, b"x"), 1002),
    "continuation after the end": (text("") + frame(0, b"x"), 1002),
    "message in a message": (frame(1, b"x", fin=False) + frame(2, b"y"), 1002),
    "length in more bytes than needed": (b"\x82\x7e\x00\x01x", 1002),
    "length in far more bytes": (b"\x82\x7f" + struct.pack("!Q", 1) + b"x", 1002),
    "negative length": (b"\x82\xff" + b"\xff" * 8 + MASK, 1002),
    "too long": (frame(2, b"x" * 1001), 1009),
    "too long by its header alone": (b"\x82\x7f" + struct.pack("!Q", 1 << 40), 1009),
    "too long over fragments": (frame(2, b"x" * 600, fin=False) + frame(0, b"x" * 401), 1009),
    "too many fragments": (frame(2, fin=False) + frame(0, fin=False) * 3, 1009),
}


@pytest.mark.parametrize(("data", "code"), CLIENT_FAULTS.values(), ids=list(CLIENT_FAULTS))
def test_faults_end_the_connection(data: bytes, code: int) -> None:
    found, sent, state = through_client(text("before") + data + text("after") + close_frame(1000))
    first, *others, end = found
    assert first == Received(message="before")
    assert others in ([], [Received(message="")])
    assert isinstance(end, ConnectionClosed)
    assert (end.code, end.expected, state) == (code, False, State.CLOSED)
    assert isinstance(end.error, RemoteProtocolError)
    assert end.error.status == code
    assert end.reason in str(end.error)
    (close,) = sent
    assert (close.opcode, close.payload, close.masked) == (
        8,
        struct.pack("!H", code) + end.reason.encode(),
        True,
    )


def test_an_unmasked_frame_at_the_server() -> None:
    found, sent, _ = through_server(text("after this", MASK) + text("x"))
    assert found[0] == Received(message="after this")
    assert isinstance(found[1], ConnectionClosed)
    assert isinstance(found[1].error, RemoteProtocolError)
    assert (sent[0].opcode, sent[0].payload[:2]) == (8, struct.pack("!H", 1002))


def test_the_limits_are_inclusive_and_per_message() -> None:
    data = frame(2, b"x" * 500, fin=False) + frame(0, fin=False) + frame(0, b"x" * 500)
    found, _, state = through_client(data * 3 + frame(2, b"y" * 1000))
    assert found == [Received(message=b"x" * 1000)] * 3 + [Received(message=b"y" * 1000)]
    assert state is State.OPEN


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1008, 1011, 1012, 1013, 1014, 3000, 4999])
def test_the_peers_close_is_echoed(code: int) -> None:
    client = Client().open()
    client.wire.receive_data(text("last") + close_frame(code, "grüß") + text("ignored"), 3.0)
    assert state_of(client.wire) is State.REMOTE_CLOSING
    assert client.wire.finished
    client.wire.close(3.0)
    assert client.conn.close_requested is None  # it has heard the end already
    client.wire.receive_data(b"\xff" * 100, 3.0)
    client.wire.receive_eof(3.0)
    last, end = events(client.wire)
    assert last == Received(message="last")
    assert end == ConnectionClosed(code=code, reason="grüß", expected=False)
    assert client.conn.closes == [(code, "grüß", 3.0)]
    assert frames(client.wire.data_to_send()) == [Frame(8, struct.pack("!H", code) + "grüß".encode(), True)]
    assert state_of(client.wire) is State.CLOSED
    assert client.wire.data_to_send() == b""


def test_a_close_frame_without_a_code() -> None:
    server = Server().open()
    server.feed(frame(8, mask=MASK))
    assert server.events == [ConnectionClosed(code=1005, expected=False)]
    assert frames(server.sent) == [Frame(8, b"", False)]


def test_a_client_masks_with_fresh_keys_and_a_server_does_not() -> None:
    client, server = Client().open(), Server().open()
    client.conn.send(*["same"] * 50)
    data = client.wire.data_to_send()
    assert len({data[i + 2 : i + 6] for i in range(0, len(data), 10)}) == 50
    assert frames(data) == [Frame(1, b"same", True)] * 50
    server.conn.send("same", b"bin", "x" * 126, b"y" * 70_000)
    assert frames(server.wire.data_to_send()) == [
        *(Frame(1, b"same", False), Frame(2, b"bin", False)),
        *(Frame(1, b"x" * 126, False), Frame(2, b"y" * 70_000, False)),
    ]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes(kind: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    client = Client().open()
    client.wire.receive_data(kind(text("a")), 0.0)
    assert events(client.wire) == [Received(message="a")]
