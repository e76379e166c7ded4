"""The upgrade as the server sees it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, RemoteProtocolError
from smallest_proto.events import ConnectionClosed
from smallest_proto.limits import Limits
from smallest_proto.wire.events import UpgradeReceived
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketServerWire
from wire.recording import GOOD_REQUEST, KEY, Opened, Received, RecordingLayer, Server, events, text

MASK = b"mask"


def connected(limits: Limits | None = None) -> WebSocketServerWire:
    wire = WebSocketServerWire(limits=limits or Limits())
    wire.connect(0.0)
    return wire


def asked(request: bytes = GOOD_REQUEST, limits: Limits | None = None) -> WebSocketServerWire:
    """A wire that waits for a decision."""
    wire = connected(limits)
    wire.receive_data(request, 0.0)
    (event,) = events(wire)
    assert isinstance(event, UpgradeReceived)
    return wire


def closed(wire: WebSocketServerWire) -> ConnectionClosed:
    (event,) = events(wire)
    assert isinstance(event, ConnectionClosed)
    assert wire.finished
    assert wire.next_deadline() is None
    return event


def test_a_request_and_its_acceptance() -> None:
    wire = connected()
    assert wire.next_deadline() == 10.0
    wire.receive_data(GOOD_REQUEST, 1.0)
    (event,) = events(wire)
    assert isinstance(event, UpgradeReceived)
    assert event.target == "/x?a=1"
    assert ("sec-websocket-version", "13") in event.headers
    assert wire.state is State.DECIDING
    assert wire.next_deadline() is None
    conn = RecordingLayer(heartbeat=5.0)
    conn.send("hello")
    wire.accept(conn, 2.0, [("X-Session-Id", "s1")])
    assert wire.data_to_send() == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\nX-Session-Id: s1\r\n\r\n\x81\x05hello"
    )
    assert events(wire) == [Opened()]
    assert wire.next_deadline() == 7.0


def test_a_key_in_the_request_is_not_shown() -> None:
    wire = connected()
    wire.receive_data(
        GOOD_REQUEST.replace(b"a=1", b"token=" + KEY.encode()).replace(
            b"Host: h", b"Host: h\r\nAuthorization: Bearer " + KEY.encode()
        ),
        0.0,
    )
    (event,) = events(wire)
    assert isinstance(event, UpgradeReceived)
    assert ("authorization", f"Bearer {KEY}") in event.headers
    assert repr(event).startswith("UpgradeReceived('/x', headers=['host', 'authorization'")
    assert KEY not in repr(event)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"GET", b"POST", 405),
        (b"HTTP/1.1", b"HTTP/1.0", 426),
        (b"Upgrade: websocket", b"Upgrade: h2c", 426),
        (b"Connection: keep-alive, Upgrade\r\n", b"", 426),
        (b"Version: 13", b"Version: 12", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 426),
        (b"AAAAAAAAAAAAAAAAAAAAAA==", b"AAAA", 400),
        (b"AAAAAAAAAAAAAAAAAAAAAA==", b"not base64, this", 400),
        (b"AAAAAAAAAAAAAAAAAAAAAA==", "é".encode(), 400),
        (b"Host: h", b"Host: h\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", 400),
        (b"Host: h", b"Host: h\r\nContent-Length: 3", 400),
        (b"Host: h", b"Host: h\r\nTransfer-Encoding: chunked", 400),
        (b"Host: h\r\n", b"", 400),
        (b"GET /x?a=1 HTTP/1.1", b"HEAD /x HTTP/1.1", 405),
        (b"GET /x?a=1 HTTP/1.1", b"nonsense", 400),
        (b"GET", b"\x16\x03", 400),
    ],
)
def test_what_is_no_upgrade_request(old: bytes, new: bytes, status: int) -> None:
    wire = connected()
    wire.receive_data(GOOD_REQUEST.replace(old, new), 0.0)
    event = closed(wire)
    assert isinstance(event.error, RemoteProtocolError)
    assert (event.code, event.expected) == (1006, False)
    sent = wire.data_to_send()
    assert sent.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")


def test_a_version_that_is_not_ours_is_told_ours() -> None:
    wire = connected()
    wire.receive_data(GOOD_REQUEST.replace(b"Version: 13", b"Version: 12"), 0.0)
    assert b"Sec-WebSocket-Version: 13\r\n" in wire.data_to_send()


def test_content_length_0_is_no_body() -> None:
    asked(GOOD_REQUEST.replace(b"Host: h", b"Host: h\r\nContent-Length: 0"))


@pytest.mark.parametrize("size", [300, 301])
def test_the_head_is_bounded_to_the_byte(size: int) -> None:
    wire = connected(Limits(max_handshake_bytes=300))
    pad = b"x" * (size - len(GOOD_REQUEST) - len(b"X: \r\n"))
    wire.receive_data(GOOD_REQUEST.replace(b"\r\n\r\n", b"\r\nX: " + pad + b"\r\n\r\n"), 0.0)
    if size == 300:
        assert wire.state is State.DECIDING
    else:
        assert "max_handshake_bytes" in str(closed(wire).error)
        assert wire.data_to_send().startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_a_slow_request() -> None:
    wire = connected(Limits(handshake_timeout=3.0))
    wire.receive_data(GOOD_REQUEST[:-1], 2.0)
    wire.handle_timeout(3.0)
    event = closed(wire)
    assert isinstance(event.error, DeadlineExceeded)
    assert event.error.code == "handshake"
    assert wire.data_to_send() == b""


@pytest.mark.parametrize("request_", [b"", GOOD_REQUEST[:20]])
def test_the_end_of_the_stream_in_the_request(request_: bytes) -> None:
    wire = connected()
    wire.receive_data(request_, 0.0)
    wire.receive_eof(0.0)
    event = closed(wire)
    assert isinstance(event.error, ConnectionLost)
    assert event.error.status == 1006


def test_the_end_of_the_stream_before_the_decision() -> None:
    wire = asked()
    wire.receive_eof(0.0)
    assert isinstance(closed(wire).error, ConnectionLost)
    with pytest.raises(LocalProtocolError):
        wire.accept(RecordingLayer(), 0.0)


@pytest.mark.parametrize("wire", [connected(), asked()], ids=["reading", "deciding"])
def test_close_before_the_upgrade(wire: WebSocketServerWire) -> None:
    wire.close(0.0)
    event = closed(wire)
    assert (event.code, event.expected, event.error) == (1006, True, None)


def test_frames_before_the_decision_wait_for_it() -> None:
    wire = connected()
    wire.receive_data(GOOD_REQUEST + text("a", MASK)[:3], 0.0)
    wire.receive_data(text("a", MASK)[3:] + text("b", MASK), 0.0)
    assert [type(event) for event in events(wire)] == [UpgradeReceived]
    wire.accept(RecordingLayer(), 0.0)
    assert events(wire) == [Opened(), Received(message="a"), Received(message="b")]


def test_too_much_before_the_decision() -> None:
    wire = asked(limits=Limits(max_handshake_bytes=300))
    wire.receive_data(bytes(200), 0.0)
    wire.receive_data(bytes(100), 0.0)
    assert wire.state is State.DECIDING
    wire.receive_data(bytes(1), 5.0)
    assert isinstance(closed(wire).error, RemoteProtocolError)


def test_a_rejection() -> None:
    wire = asked()
    wire.reject(429, 1.0, [("Retry-After", "2")], b'{"error":"Rate limit exceeded"}')
    assert wire.data_to_send() == (
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 31\r\nConnection: close\r\nRetry-After: 2\r\n\r\n"
        b'{"error":"Rate limit exceeded"}'
    )
    event = closed(wire)
    assert (event.code, event.expected, event.error) == (1006, True, None)


@pytest.mark.parametrize(("reason", "line"), [("", b"418 \r\n"), ("Teapot", b"418 Teapot\r\n")])
def test_the_phrase_of_a_rejection(reason: str, line: bytes) -> None:
    wire = asked()
    wire.reject(418, 0.0, reason=reason)
    assert wire.data_to_send().startswith(b"HTTP/1.1 " + line)


def test_refused_decisions_change_nothing() -> None:
    conn, wire = RecordingLayer(), asked()
    for headers in (
        [("Upgrade", "x")],
        [("A", "b\nc")],
        [("", "b")],
        [("Sec-WebSocket-Accept", "x")],
        [("Sec-WebSocket-Protocol", "not offered")],
    ):
        with pytest.raises(LocalProtocolError):
            wire.accept(conn, 0.0, headers)
    for status in (101, 200, 299, 304, 600):
        with pytest.raises(LocalProtocolError, match="status"):
            wire.reject(status, 0.0)
    with pytest.raises(LocalProtocolError, match="header"):
        wire.reject(400, 0.0, [("Content-Length", "7")])
    for reason in ("a\r\nb", "ü"):
        with pytest.raises(LocalProtocolError, match="reason"):
            wire.reject(400, 0.0, reason=reason)
    with pytest.raises(LocalProtocolError, match="deciding"):
        wire.connect(0.0)
    assert wire.state is State.DECIDING
    assert wire.data_to_send() == b""
    assert events(wire) == []
    conn.tick_at(1.0)
    assert wire.next_deadline() is None  # the message layer is not ours yet
    wire.accept(conn, 0.0)
    assert events(wire) == [Opened()]
    with pytest.raises(LocalProtocolError, match="open"):
        wire.accept(conn, 0.0)
    with pytest.raises(LocalProtocolError, match="open"):
        wire.reject(400, 0.0)


@given(st.lists(st.tuples(st.text("Ab-_:\n ü", min_size=1), st.text("a \t\r\n\x7fé,;"))), st.text())
def test_whatever_the_headers_an_answer_is_written_or_refused(
    headers: list[tuple[str, str]], reason: str
) -> None:
    accepting, rejecting = asked(), asked()
    try:
        accepting.accept(RecordingLayer(), 0.0, headers)
    except LocalProtocolError:
        accepting.accept(RecordingLayer(), 0.0)
    try:
        rejecting.reject(400, 0.0, headers, reason=reason)
    except LocalProtocolError:
        rejecting.reject(400, 0.0)
    assert accepting.data_to_send().startswith(b"HTTP/1.1 101 ")
    assert rejecting.data_to_send().startswith(b"HTTP/1.1 400 ")


def test_decisions_before_the_request() -> None:
    wire = connected()
    with pytest.raises(LocalProtocolError):
        wire.accept(RecordingLayer(), 0.0)
    with pytest.raises(LocalProtocolError):
        wire.reject(400, 0.0)
    wire.receive_data(GOOD_REQUEST, 0.0)
    assert wire.state is State.DECIDING


def test_an_offered_subprotocol_may_be_chosen() -> None:
    wire = asked(GOOD_REQUEST.replace(b"Host: h", b"Host: h\r\nSec-WebSocket-Protocol: a, b"))
    wire.accept(RecordingLayer(), 0.0, [("Sec-WebSocket-Protocol", "b")])
    assert b"Sec-WebSocket-Protocol: b\r\n" in wire.data_to_send()


def test_offered_extensions_are_not_taken() -> None:
    server = Server()
    offer = b"Host: h\r\nSec-WebSocket-Extensions: permessage-deflate"
    server.feed(GOOD_REQUEST.replace(b"Host: h", offer))
    assert b"extensions" not in server.sent.lower()
