"""Bytes and seconds, and packets cut from any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import SAMPLE_RATES, AudioFormat
from smallest_proto.chunker import Chunker


@pytest.mark.parametrize(
    ("rate", "packet"),
    [(8000, 800), (16000, 1600), (22050, 2204), (24000, 2400), (44100, 4410), (48000, 4800)],
)
def test_fifty_milliseconds(rate: int, packet: int) -> None:
    assert rate in SAMPLE_RATES
    assert AudioFormat("linear16", rate).packet_bytes() == packet
    assert AudioFormat("linear32", rate).packet_bytes() == 2 * packet
    assert (
        AudioFormat("mulaw", rate).packet_bytes() == AudioFormat("alaw", rate).packet_bytes() == packet // 2
    )
    assert AudioFormat("opus", rate).packet_bytes() == AudioFormat("ogg_opus", rate).packet_bytes() == 0


def test_seconds() -> None:
    assert AudioFormat().seconds(32000) == 1.0
    assert AudioFormat("linear32", 8000).seconds(32000) == 1.0
    assert AudioFormat("mulaw", 8000).seconds(4000) == 0.5
    assert AudioFormat("opus", 48000).seconds(4000) == 0.0
    assert AudioFormat("opus").sample_width == 0


@given(st.integers(1, 50), st.binary(max_size=300), st.lists(st.integers(0, 300)), st.binary(max_size=120))
def test_any_cut_gives_the_same_packets(size: int, data: bytes, cuts: list[int], held: bytes) -> None:
    chunker = Chunker(size, held)
    packets = []
    start = 0
    for end in [*sorted(cuts), len(data)]:
        packets += chunker.push(data[start:end])
        start = max(start, end)
    assert all(len(packet) == size for packet in packets)
    rest = chunker.flush()
    whole = held + data
    assert packets + rest == [whole[i : i + size] for i in range(0, len(whole), size)]
    assert chunker.flush() == []


@given(st.lists(st.binary()))
def test_size_zero_cuts_nothing(pieces: list[bytes]) -> None:
    chunker = Chunker(0)
    assert [packet for piece in pieces for packet in chunker.push(piece)] == pieces
    assert chunker.flush() == []
    assert Chunker(0, b"ab").push(b"c") == [b"ab", b"c"]


def test_packets_are_copies() -> None:
    (packet,) = Chunker(4).push(memoryview(bytearray(b"abcd")))
    assert type(packet) is bytes
