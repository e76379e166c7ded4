"""Ten times the work costs ten times as much, and leaves nothing more behind: counted, not timed."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from smallest_proto.events import NEED_DATA, Event
from smallest_proto.lightning import (
    ContextComplete,
    FinishContext,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendText,
)
from smallest_proto.message_layer import MessageLayer
from smallest_proto.pulse import Audio, PulseConnection, PulseOptions, PulseSession
from smallest_proto.wire.websocket import WebSocketWire
from wire.recording import GOOD_101, accept_token, frame, request

OPTIONS = PulseOptions()
FINAL = (
    '{"type":"transcription","transcript":"two","is_final":true,'
    '"words":[{"word":"two","start":0.0,"end":0.05,"confidence":0.5}]}'
)
PACKET = bytes(1600)
SECOND = 20
"""Packets in a second of audio."""


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, those written in C included."""
    found = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def held(root: object) -> int:
    """Bytes of everything that the object keeps alive, but for classes, functions and modules."""
    seen: dict[int, object] = {}
    todo = [root]
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, type) or callable(value):
            continue
        seen[id(value)] = value
        todo += gc.get_referents(value)
        if isinstance(value, dict):
            todo += value  # the collector has no interest in keys that are strings
    return sum(map(sys.getsizeof, seen.values()))


def opened(conn: MessageLayer) -> WebSocketWire:
    wire = WebSocketWire(conn, request())
    wire.connect(0.0)
    wire.receive_data(GOOD_101.format(accept=accept_token(wire.data_to_send())).encode(), 0.0)
    drain(wire)
    return wire


def drain(wire: WebSocketWire) -> list[Event]:
    wire.data_to_send()
    events = []
    while (event := wire.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def text(message: str) -> bytes:
    return frame(1, message.encode())


class Listening:
    """A stream that sends audio and hears an interim each second, a final every tenth."""

    def __init__(self, packet: int) -> None:
        self.conn = PulseConnection(PulseOptions())
        self.wire = opened(self.conn)
        self._packet = packet
        self._now = 0.0

    def run(self, seconds: int) -> None:
        for second in range(seconds):
            for _ in range(SECOND * len(PACKET) // self._packet):
                self._now += self._packet / 32_000
                self.conn.send(Audio(PACKET[: self._packet]), self._now)
                drain(self.wire)
            final = "true" if second % 10 == 9 else "false"
            words = '[{"word":"two","start":0.25,"end":0.5,"confidence":0.5}]'
            heard = f'{{"type":"transcription","transcript":"two","is_final":{final},"words":{words}}}'
            self.wire.receive_data(text(heard), self._now)
            self.wire.handle_timeout(self._now)
            drain(self.wire)


class Speaking:
    """A connection that speaks one context after the other, each in a few chunks."""

    def __init__(self) -> None:
        self.conn = LightningConnection(LightningOptions(text_mode="continue", max_buffer_flush_ms=0))
        self.wire = opened(self.conn)
        self._numbers: Iterator[int] = count(10_000_000)
        self._now = 0.0

    def run(self, contexts: int, chunks: int = 3) -> None:
        for _ in range(contexts):
            name = str(next(self._numbers))
            self.conn.send(OpenContext(name), self._now)
            self.conn.send(SendText("two words", name), self._now)
            self.conn.send(FinishContext(name), self._now)
            drain(self.wire)
            for _ in range(chunks):
                self._now += 0.1
                chunk = f'{{"status":"chunk","request_id":"r{name}","data":{{"audio":"AAAA"}}}}'
                self.wire.receive_data(text(chunk), self._now)
                drain(self.wire)
            self.wire.receive_data(text(f'{{"status":"complete","request_id":"r{name}"}}'), self._now)
            assert any(isinstance(event, ContextComplete) for event in drain(self.wire))


@pytest.mark.parametrize("packet", [320, 1600], ids=["10 ms frames", "50 ms frames"])
def test_a_longer_stream(packet: int) -> None:
    stream = Listening(packet)
    stream.run(20)
    kept = held(stream.wire)
    short = calls(lambda: stream.run(20))
    long = calls(lambda: stream.run(200))
    assert long == pytest.approx(10 * short, rel=0.01)
    assert held(stream.wire) == pytest.approx(kept, abs=200)


def test_a_longer_speech() -> None:
    speech = Speaking()
    speech.run(1, chunks=10)
    short = calls(lambda: speech.run(1, chunks=100))
    kept = held(speech.wire)
    long = calls(lambda: speech.run(1, chunks=1000))
    assert long == pytest.approx(10 * short, rel=0.1)
    assert held(speech.wire) == pytest.approx(kept, abs=400)


@pytest.mark.interpreted
def test_more_contexts_on_a_connection() -> None:
    """Of the latest a bounded memory is kept."""
    speech = Speaking()
    speech.run(800)  # by then it is full
    kept = held(speech.wire)
    short = calls(lambda: speech.run(40))
    long = calls(lambda: speech.run(400))
    assert long == pytest.approx(10 * short, rel=0.01)
    assert held(speech.wire) == pytest.approx(kept, abs=1000)


def test_more_streams() -> None:
    """Each that has nothing to do holds little: here under 8 kB on Python 3.11, the wire included."""

    def stream() -> object:
        session = PulseSession(OPTIONS, random=lambda: 0.5)
        connection = session.next_connection()
        assert connection is not None
        wire = opened(connection)
        session.send(Audio(PACKET), 0.0)
        drain(wire)
        connection.receive_message(FINAL, 0.0)  # what it covers is let go of
        return session, wire

    streams = [stream()]
    gc.collect()
    tracemalloc.start()
    try:
        streams += [stream() for _ in range(100)]
        gc.collect()
        each = tracemalloc.get_traced_memory()[0] / 100
    finally:
        tracemalloc.stop()
    assert each < 12_000


@pytest.mark.parametrize("fragments", [1, 8])
@pytest.mark.parametrize("read", [1000, 100_000])
def test_a_longer_message(read: int, fragments: int) -> None:
    """However it is cut and fragmented, and nothing of it stays."""

    def receive(size: int) -> int:
        wire = opened(PulseConnection(PulseOptions()))
        kept = held(wire)
        piece = b"x" * (size // fragments)
        stream = b"".join(frame(0 if at else 1, piece, fin=at == fragments - 1) for at in range(fragments))

        def feed() -> None:
            for at in range(0, len(stream), read):
                wire.receive_data(stream[at : at + read], 0.0)

        found = calls(feed)
        assert len(drain(wire)) == 1
        assert held(wire) == pytest.approx(kept, abs=400)
        return found

    assert receive(4_000_000) < 11 * receive(400_000)
