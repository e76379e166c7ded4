"""A session over real wires: the driver's contract is all it takes."""

from __future__ import annotations

from pulse.session.hand import Hand, said
from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import HandshakeRejected
from smallest_proto.events import ConnectionClosed, Role
from smallest_proto.pulse import (
    Audio,
    AudioReceived,
    CloseStream,
    FinalTranscript,
    PulseConnection,
    PulseOptions,
    Reconnecting,
    Resumed,
    SessionConnection,
    TranscriptMessage,
    pulse_request,
)
from smallest_proto.testing import Decide, WiredPair, accept, reject
from smallest_proto.wire import WebSocketServerWire, WebSocketWire

KEY = "sk_secret_0123456789"


def _wired(connection: SessionConnection, decide: Decide, now: float) -> WiredPair:
    request = pulse_request(connection.options, api_key=ApiKey(KEY))
    pair = WiredPair(WebSocketWire(connection, request), WebSocketServerWire(), decide, now=now)
    pair.run()
    return pair


def _heard(pair: WiredPair) -> int:
    return sum(len(event.audio) for event in pair.server_events if isinstance(event, AudioReceived))


def test_a_drop_and_a_refusal_on_the_way() -> None:
    hand = Hand()
    server = PulseConnection(PulseOptions(), Role.SERVER)
    first = _wired(hand.dial(), accept(server), 0.0)
    hand.session.send(Audio(bytes(64_000)), 0.0)
    first.run()
    assert _heard(first) == 64_000
    first.client.receive_eof(1.0)
    assert first.client.finished
    hand.wait()
    _wired(hand.dial(), reject(503, (("retry-after", "2"),), f"busy, {KEY}".encode()), hand.now)
    events = hand.events()
    refused = events[-1]
    assert isinstance(refused, Reconnecting)
    assert refused.delay == 2.0
    assert isinstance(refused.error, HandshakeRejected)
    assert KEY not in repr(refused.error.message) + repr(refused.error.body)
    hand.wait()
    server = PulseConnection(PulseOptions(), Role.SERVER)
    second = _wired(hand.dial(), accept(server), hand.now)
    assert hand.events() == [Resumed(attempt=2, replayed=2.0, start=0.0)]
    assert _heard(second) == 64_000
    hand.session.send(CloseStream(), hand.now)
    second.run()
    server.send(TranscriptMessage(transcript="all", is_final=True, is_last=True), hand.now)
    second.run()
    events = hand.events()
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["all"]
    assert isinstance(events[-1], ConnectionClosed)
    assert second.client.finished


def test_the_key_is_hidden_in_what_a_server_echoes() -> None:
    hand = Hand()
    pair = _wired(hand.dial(), accept(PulseConnection(PulseOptions(), Role.SERVER)), 0.0)
    frame = said("x").replace('"transcription"', '"error"').replace('"transcript"', '"message"')
    message = frame.replace("x", f"bad key {KEY}").encode()
    head = (
        bytes([0x81, len(message)]) if len(message) < 126 else bytes([0x81, 126, *divmod(len(message), 256)])
    )
    pair.client.receive_data(head + message, 0.0)
    (event,) = hand.events()
    assert isinstance(event, Reconnecting)
    assert "bad key" in getattr(event.error, "message", "")
    assert KEY not in getattr(event.error, "message", "")


def test_a_connection_that_is_not_wanted_any_more_closes_once_open() -> None:
    hand = Hand()
    connection = hand.dial()
    hand.session.close(0.0)
    pair = _wired(connection, accept(PulseConnection(PulseOptions(), Role.SERVER)), 0.0)
    assert pair.client.finished
    assert hand.names() == ["StreamEnded", "ConnectionClosed"]
