"""However a stream is cut into reads, each fault ends it in the same way, and reads of any size are taken whole."""

from __future__ import annotations

import struct
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, bytewise, cut_at, whole
from smallest_proto.wire.frame_writer import FrameWriter
from smallest_proto.wire.frames import FrameReader
from wire.recording import Client, Frame, Received, close_frame, events, frame, frames, text
from wire.test_frames import CLIENT_FAULTS, LIMITS

SLICE = 256 * 1024
"""Bytes that a wire takes of a read at a time."""

MORE_FAULTS = {
    "text long and cut": frame(1, b"x" * 100 + b"\xff" + b"x" * 100),
    "text in the end": frame(1, b"x" * 200 + b"\xe2\x82"),
    **{f"length 2**{power}": b"\x82\x7f" + struct.pack("!Q", 1 << power) for power in range(10, 64)},
}


def run(stream: bytes, cut: Cut, limits: Limits) -> tuple[list[Event], list[Frame]]:
    """The events and the frames sent, written after each read as transports do."""
    client = Client(limits=limits).open()
    found, sent = events(client.wire), client.wire.data_to_send()
    for read in cut(stream):
        client.wire.receive_data(read, 1.0)
        sent += client.wire.data_to_send()
        found += events(client.wire)
    return found, frames(sent)


@pytest.mark.parametrize(
    "fault",
    [*(data for data, _ in CLIENT_FAULTS.values()), *MORE_FAULTS.values()],
    ids=[*CLIENT_FAULTS, *MORE_FAULTS],
)
def test_a_fault_is_the_same_one_wherever_its_bytes_are_cut(fault: bytes) -> None:
    before = text("before") + frame(9, b"ping")
    expected = run(before + fault, whole, LIMITS)
    assert isinstance(expected[0][-1], ConnectionClosed)
    assert run(before + fault, bytewise, LIMITS) == expected
    for at in range(min(len(fault), 300)):
        assert run(before + fault, cut_at(len(before) + at), LIMITS) == expected


def test_no_part_of_a_length_is_taken_for_the_whole() -> None:
    """The first bytes of a length that is refused are lengths that would be taken."""
    before = text("before")
    for power in range(22, 64):
        stream = before + b"\x82\x7f" + struct.pack("!Q", 1 << power | 1) + b"x" * 20
        expected = run(stream, whole, Limits())
        assert isinstance(expected[0][-1], ConnectionClosed)
        for at in range(len(before), len(before) + 12):
            assert run(stream, cut_at(at), Limits()) == expected


def test_what_comes_after_the_wish_to_close_is_told_but_not_answered_in_one_read_or_many() -> None:
    stream = text("echo a") + text("bye") + text("echo b") + frame(9, b"ping") + text("echo c")
    for cut in (whole, bytewise, *map(cut_at, range(len(stream)))):
        found, sent = run(stream, cut, LIMITS)
        assert found == [Received(message=message) for message in ("echo a", "bye", "echo b", "echo c")]
        assert sent == [Frame(1, b"a", True), Frame(8, b"\x03\xe8bye", True)]


@given(
    st.lists(st.sampled_from([SLICE - 1, SLICE, SLICE + 1, 2 * SLICE, 700_000]), min_size=1, max_size=4),
    st.integers(100, 100_000),
)
def test_a_read_of_any_size_is_taken_whole_and_in_order(sizes: list[int], message: int) -> None:
    numbers = [number.to_bytes(4) * (message // 4) for number in range(1 + 1_000_000 // message)]
    stream = b"".join(frame(2, payload) for payload in numbers)
    ends = [0, *(min(sum(sizes[: i + 1]), len(stream)) for i in range(len(sizes))), len(stream)]
    client = Client().open()
    for start, end in pairwise(ends):
        client.wire.receive_data(memoryview(stream)[start:end], 1.0)
    assert events(client.wire) == [Received(message=payload) for payload in numbers]


@pytest.mark.parametrize(
    "cut_frame",
    [
        text("x" * 20),
        text("x" * 200),
        frame(1, b"x" * 20, fin=False),
        frame(9, b"ping"),
        close_frame(1000, "so long"),
    ],
    ids=["text", "long text", "fragment", "ping", "close"],
)
def test_no_read_is_kept_alive_wherever_its_last_frame_is_cut(cut_frame: bytes) -> None:
    for at in range(len(cut_frame)):
        client = Client().open()
        read = text("x" * 1000) * 3 + cut_frame[:at]
        before = sys.getrefcount(read)
        client.wire.receive_data(read, 1.0)
        assert sys.getrefcount(read) == before
        assert len(events(client.wire)) == 3


@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 70_000])
def test_a_message_of_any_size_is_read_back_by_the_other_end(client: bool, size: int) -> None:
    writer, reader = FrameWriter(client=client), FrameReader(client=not client, limits=Limits())
    for message in ("x" * size, b"y" * size):
        reader.receive_bytes(writer.message(message))
        assert reader.next() == message
        assert reader.next() is None
