"""Whole frames that do not pass through wsproto mean what wsproto says they mean, in any stream and any cut."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameDecoder, FrameProtocol, ParseFailed

from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseConnection, PulseOptions
from smallest_proto.testing import Cut, bytewise, cut_at, random_cuts, whole
from smallest_proto.wire import frames
from smallest_proto.wire.frame_writer import FrameWriter, mask_bytes
from smallest_proto.wire.frames import FrameReader, Received
from smallest_proto.wire.websocket import WebSocketWire
from wire.recording import GOOD_101, accept_token, close_frame, frame, request

MASK = b"\x01\x80\xfe\x37"
EDGES = [0, 1, 2, 3, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536, 65_537, 70_000]
LIES = [*EDGES, 1 << 22, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 63) + 70_000]
Found = list[tuple[int, Received | tuple[int, str]]]


if TYPE_CHECKING:
    Interpreted = FrameReader
else:  # nothing derives from a compiled reader, and what checks it should not be it
    _spec = spec_from_file_location("interpreted_frames", Path(frames.__file__).with_name("frames.py"))
    _module = module_from_spec(_spec)
    _spec.loader.exec_module(_module)
    Interpreted = _module.FrameReader


class ThroughWsproto(Interpreted):
    """The reader without its short way: wsproto gets every byte, as it comes."""

    receive_bytes = FrameDecoder.receive_bytes

    def next(self) -> Received | None:
        while (read := self.process_buffer()) is not None:
            if (received := self._read(read)) is not None:
                return received
        return None


def run(reader: FrameReader, reads: Iterable[bytes]) -> Found:
    """What is found, each with the number of the read after which it was."""
    found: Found = []
    for number, data in enumerate(reads):
        reader.receive_bytes(data)
        try:
            while (received := reader.next()) is not None:
                found.append((number, received))
                if type(received).__name__ == "Close":  # there are two such classes
                    return found
        except ParseFailed as fault:
            return [*found, (number, (int(fault.code), str(fault)))]
    return found


def long_frame(size: int, announced: int, form: int, mask: bytes | None) -> bytes:
    """A message whose length is written in a form of our choice, and may be a lie."""
    bit = 0x80 if mask else 0
    length = bytes([bit | announced & 0x7F])
    if form:
        length = bytes([bit | {2: 126, 8: 127}[form]]) + (announced % 256**form).to_bytes(form, "big")
    return b"\x82" + length + (mask or b"") + b"x" * size


def streams(mask: bytes | None) -> st.SearchStrategy[bytes]:
    """Whole messages in the main; fragments, control frames, faults and noise between them."""
    masks = st.sampled_from([mask, mask, mask, None, MASK])
    payloads = st.one_of(
        st.text(max_size=60).map(str.encode),
        st.binary(max_size=140),
        st.sampled_from(EDGES).map(bytes),
        st.sampled_from([b"\xed\xa0\x80", "\u20ac".encode() * 42, "\u20ac".encode()[:2], b"x" * 200]),
    )
    messages = st.builds(frame, st.sampled_from([1, 2]), payloads, mask=masks)
    small = st.binary(max_size=20)
    others = st.one_of(
        st.builds(frame, st.sampled_from([0, 1, 2]), small, fin=st.booleans(), mask=masks),
        st.builds(frame, st.sampled_from([9, 10]), st.binary(max_size=125), mask=masks),
        st.builds(frame, st.integers(0, 15), small, fin=st.booleans(), rsv=st.integers(0, 7), mask=masks),
        st.builds(close_frame, st.sampled_from([1000, 1005, 3000]), mask=masks),
        st.builds(
            long_frame,
            st.sampled_from([0, 1, 130, 70_000]),
            st.sampled_from(LIES),
            st.sampled_from([0, 2, 8]),
            masks,
        ),
        st.binary(max_size=20),
    )
    parts = st.lists(st.one_of(messages, messages, others), max_size=8).map(b"".join)

    def damage(stream: bytes, at: int, byte: int) -> bytes:
        at %= len(stream) + 1
        return stream[:at] + bytes([byte]) + stream[at + 1 :]

    return st.one_of(parts, parts, st.builds(damage, parts, st.integers(0, 300), st.integers(0, 255)))


cuts = st.one_of(
    st.just(whole),
    st.builds(random_cuts, st.integers().map(Random), st.sampled_from([4, 60, 5_000])),
    st.integers(0, 300).map(cut_at),
)
limits = st.builds(
    Limits,
    max_message_bytes=st.sampled_from([1, 100, 125, 126, 127, 65_535, 65_536, 1 << 22]),
    max_fragments=st.sampled_from([1, 2, 100]),
)


def check(stream: bytes, cut: Cut, given_limits: Limits, *, client: bool) -> None:
    reads = list(cut(stream))
    short = run(FrameReader(client=client, limits=given_limits), reads)
    assert short == run(ThroughWsproto(client=client, limits=given_limits), reads)


@given(streams(None), cuts, limits)
def test_a_client_reads_what_it_would_through_wsproto(stream: bytes, cut: Cut, given_limits: Limits) -> None:
    check(stream, cut, given_limits, client=True)


@given(streams(MASK), cuts, limits)
def test_a_server_reads_what_it_would_through_wsproto(stream: bytes, cut: Cut, given_limits: Limits) -> None:
    check(stream, cut, given_limits, client=False)


@pytest.mark.parametrize("client", [True, False])
@given(st.binary(max_size=60), st.sampled_from([b"", b"\x81", b"\x82", b"\x81\x7e", b"\x82\x7f"]))
def test_noise(client: bool, noise: bytes, begin: bytes) -> None:
    for cut in (whole, bytewise):
        check(begin + noise, cut, Limits(), client=client)


@pytest.mark.parametrize("client", [True, False])
@pytest.mark.parametrize("second", [0, 1, 2, 3, 125, 126, 127, 128, 130, 253, 254, 255])
def test_every_first_byte(client: bool, second: int) -> None:
    rest = b"\0\x7e" + b"x" * 140 + frame(1, b"next", mask=None if client else MASK)
    for first in range(256):
        for cut in (whole, cut_at(1), cut_at(100)):
            check(bytes([first, second]) + rest, cut, Limits(), client=client)


@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("size", [size for size in EDGES if size < 200])
def test_every_cut_between_messages_of_every_kind(size: int, opcode: int) -> None:
    message = frame(opcode, b"x" * size)
    inside = frame(opcode, b"a", fin=False) + frame(9, b"p") + frame(0, b"b")
    ping = frame(9, frame(1, b"no message") * 2)
    stream = message + ping + message + inside + message + frame(9) + message + close_frame(1000) + message
    for at in range(len(stream)):
        check(stream, cut_at(at), Limits(), client=True)
    check(stream, bytewise, Limits(), client=True)


@pytest.mark.parametrize("size", EDGES)
@pytest.mark.parametrize("form", [0, 2, 8])
@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("limit", [-1, 0, 1])
def test_every_form_of_length_at_its_edges(size: int, form: int, more: int, limit: int) -> None:
    given_limits = Limits(max_message_bytes=max(1, size + limit))
    stream = long_frame(max(0, size + more), size, form, None) + frame(1, b"next")
    for cut in (whole, cut_at(2), cut_at(3), cut_at(len(stream) - 7)):
        check(stream, cut, given_limits, client=True)


@pytest.mark.interpreted
@pytest.mark.parametrize("size", [2, *EDGES[4:]])
def test_the_short_way_is_taken(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else all of this would compare wsproto with itself. Only a header that was cut is wsproto's."""
    reader = FrameReader(client=True, limits=Limits(max_message_bytes=size))
    taken = 0

    def parse_header(self: FrameReader) -> bool:
        nonlocal taken
        taken += 1
        return FrameDecoder.parse_header(self)

    monkeypatch.setattr(FrameReader, "parse_header", parse_header)
    stream = frame(1, b"x" * size) * 3
    assert len(run(reader, [stream])) == 3
    assert taken == 0
    assert len(run(reader, cut_at(len(stream) + 60)(stream * 2))) == 6
    message = stream[: len(stream) // 3]
    head = 4 if size < 1 << 16 else 10
    cuts_behind = [message[:head], message[head : head + 5], message[head + 5 :] + message[: head + 1]]
    assert len(run(reader, [*cuts_behind, message[head + 1 :]])) == 2
    assert taken == 0


MESSAGES = st.one_of(
    st.text(), st.binary(), *(st.sampled_from(EDGES).map(kind) for kind in (bytes, "\u00e9".__mul__))
)


@pytest.mark.parametrize("client", [True, False])
@given(MESSAGES, st.binary(min_size=4, max_size=4))
@example(message="", key=b"\0\0\0\0")
def test_what_is_written_is_what_wsproto_would_write(client: bool, message: str | bytes, key: bytes) -> None:
    """And wsproto reads it as what it was."""
    with mock.patch("os.urandom", side_effect=lambda size: key * (size // 4)) as source:
        ours = FrameWriter(client=client).message(message)
        assert source.call_count == client
        assert ours == FrameProtocol(client, []).send_data(message)
    peer = FrameProtocol(not client, [])
    peer.receive_bytes(bytes(ours))
    (read,) = peer.received_frames()
    assert (read.payload, read.message_finished) == (message, True)


@pytest.mark.parametrize("client", [True, False])
@given(
    st.lists(MESSAGES | st.sampled_from([b"", b"12", b"x" * 126, "text"]), max_size=12),
    st.binary(min_size=4, max_size=4),
)
def test_a_row_of_messages_is_each_of_them(client: bool, messages: list[str | bytes], key: bytes) -> None:
    with mock.patch("os.urandom", side_effect=lambda size: key * (size // 4)):
        codec = FrameProtocol(client, [])
        row = FrameWriter(client=client).row(messages)
        assert row == b"".join(codec.send_data(message) for message in messages)


def test_each_message_of_a_row_has_a_key_of_its_own() -> None:
    """In the order in which they are drawn, and no row has one of another's."""
    drawn = b"".join(number.to_bytes(4) for number in range(40))
    rest = [drawn]

    def urandom(size: int) -> bytes:
        data, rest[0] = rest[0][:size], rest[0][size:]
        return data

    with mock.patch("os.urandom", urandom):
        writer = FrameWriter(client=True)
        rows = writer.row([b""] * 15) + writer.row([b""] * 25)
    assert b"".join(rows[i + 2 : i + 6] for i in range(0, len(rows), 6)) == drawn


@pytest.mark.parametrize("client", [True, False])
@given(st.binary(max_size=125), st.binary(min_size=4, max_size=4))
def test_control_frames_are_those_of_wsproto(client: bool, payload: bytes, key: bytes) -> None:
    with mock.patch("os.urandom", side_effect=lambda size: key * (size // 4)):
        writer, codec = FrameWriter(client=client), FrameProtocol(client, [])
        assert writer.ping() == codec.ping()
        assert writer.pong(payload) == codec.pong(payload)
        assert writer.close(1000, "reason") == codec.close(1000, "reason")
        assert writer.close(1005, "") == codec.close()


def test_every_random_byte_is_asked_for_and_used_once() -> None:
    given_out: list[bytes] = []

    def urandom(size: int) -> bytes:
        given_out.append(bytes((len(given_out) * size + i) % 251 for i in range(size)))
        return given_out[-1]

    with mock.patch("os.urandom", urandom):
        writer = FrameWriter(client=True)
        keys = b"".join(writer.message(b"")[2:] + writer.ping()[2:] for _ in range(20))
    assert len(keys) == 160
    assert b"".join(given_out).startswith(keys)


def test_a_mask_of_the_callers() -> None:
    asked: list[tuple[bytes, bytes]] = []

    def mask(payload: bytes, key: bytes) -> bytes:
        asked.append((payload, key))
        return b"*" * len(payload)

    wire = WebSocketWire(PulseConnection(PulseOptions()), request(), mask=mask)
    wire.connect(0.0)
    wire.receive_data(GOOD_101.format(accept=accept_token(wire.data_to_send())).encode(), 0.0)
    wire.receive_data(frame(9, b"ping") + frame(1, b"{}"), 0.0)
    sent = wire.data_to_send()
    assert [payload for payload, _ in asked] == [b"ping"]
    assert sent == b"\x8a\x84" + asked[0][1] + b"****"
    assert mask_bytes(bytes(mask_bytes(b"payload", MASK)), MASK) == b"payload"


def test_a_read_is_not_kept_alive() -> None:
    """Between reads no more is kept than the beginning of a header, or the part of a message that is there."""
    message = frame(2, b"x" * 1000)
    for kept in (0, 1, 3, 4, 500):
        reader = FrameReader(client=True, limits=Limits())
        for data in (message * 50 + message[:600], message[600:] + message[:kept]):
            reader.receive_bytes(data)
            while reader.next() is not None:
                pass
        assert len(reader._data) + len(reader._begun) + len(reader.buffer) == kept
