"""A message layer that writes down what happens to it, and frames made by hand."""

from __future__ import annotations

import re
import struct
from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

import msgspec
from wsproto.utilities import generate_accept_token

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import ProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Need
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, whole
from smallest_proto.timers import Timers
from smallest_proto.wire.events import HandshakeCompleted, UpgradeReceived
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire

KEY = "sk_0123456789abcdef"


class Opened(Event, frozen=True):
    pass


class Received(Event, frozen=True):
    message: str | bytes


class Ticked(Event, frozen=True):
    pass


class RecordingLayer:
    """Reports all it is told. `echo X` is answered with X, `bye` makes it want to close with 1000."""

    def __init__(self, heartbeat: float | None = None) -> None:
        self.heartbeat = heartbeat
        self.close_requested: tuple[int, str] | None = None
        self.closes: list[tuple[int, str, float]] = []
        self._outbox: list[str | bytes] = []
        self._events: deque[Event] = deque()
        self._timers = Timers()

    def emit(self, event: Event) -> None:
        self._events.append(event)

    def send(self, *messages: str | bytes) -> None:
        self._outbox.extend(messages)

    def tick_at(self, at: float) -> None:
        self._timers.set("tick", at)

    def want_close(self, code: int = 1000) -> None:
        self.close_requested = (code, "bye")

    def messages_to_send(self) -> list[str | bytes]:
        outbox, self._outbox = self._outbox, []
        return outbox

    def next_event(self) -> Event | Literal[Need.DATA]:
        return self._events.popleft() if self._events else NEED_DATA

    def next_deadline(self) -> float | None:
        return self._timers.next_deadline()

    def receive_open(self, now: float) -> None:
        self.emit(Opened())

    def receive_message(self, message: str | bytes, now: float) -> None:
        self.emit(Received(message=message))
        if isinstance(message, str) and message.startswith("echo "):
            self.send(message.removeprefix("echo "))
        if message == "bye":
            self.want_close()

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        self.closes.append((code, reason, now))
        asked = self.close_requested is not None
        self.emit(ConnectionClosed(code=code, reason=reason, expected=asked, error=error))

    def close(self, now: float) -> None:
        self.want_close()

    def handle_timeout(self, now: float) -> None:
        for _ in self._timers.pop_expired(now):
            self.emit(Ticked())


def request(
    headers: Iterable[tuple[str, str]] = (("Authorization", f"Bearer {KEY}"),), target: str = "/x?a=1"
) -> UpgradeRequest:
    return UpgradeRequest(host="127.0.0.1", port=8080, secure=False, target=target, headers=tuple(headers))


def frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = None
) -> bytes:
    """One frame, legal or not; masked when there is a mask."""
    bit = 0x80 if mask is not None else 0
    size = len(payload)
    if size < 126:
        length = bytes([bit | size])
    elif size < 1 << 16:
        length = bytes([bit | 126]) + struct.pack("!H", size)
    else:
        length = bytes([bit | 127]) + struct.pack("!Q", size)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode]) + length
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def text(message: str, mask: bytes | None = None) -> bytes:
    return frame(1, message.encode(), mask=mask)


def close_frame(code: int, reason: str = "", mask: bytes | None = None) -> bytes:
    return frame(8, struct.pack("!H", code) + reason.encode(), mask=mask)


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    masked: bool


def frames(data: bytes) -> list[Frame]:
    """The whole frames that `data` consists of, unmasked."""
    found = []
    while data:
        opcode, size, at = data[0] & 15, data[1] & 127, 2
        assert data[0] & 0xF0 == 0x80, "not final, or a reserved bit"
        if size == 126:
            size, at = struct.unpack("!H", data[2:4])[0], 4
        elif size == 127:
            size, at = struct.unpack("!Q", data[2:10])[0], 10
        masked = bool(data[1] & 128)
        mask = data[at : at + 4] if masked else bytes(4)
        at += 4 * masked
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data[at : at + size]))
        assert len(payload) == size
        found.append(Frame(opcode, payload, masked))
        data = data[at + size :]
    return found


def events(wire: WebSocketWire | WebSocketServerWire) -> list[Event]:
    found: list[Event] = []
    while (event := wire.next_event()) is not NEED_DATA:
        found.append(event)
    return found


def state_of(wire: WebSocketWire | WebSocketServerWire) -> State:
    """The state, in a way that type checkers do not narrow for ever."""
    return wire.state


def accept_token(sent: bytes) -> str:
    match = re.search(rb"Sec-WebSocket-Key: (\S+)", sent)
    assert match is not None
    return generate_accept_token(match[1]).decode()


GOOD_101 = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: {accept}\r\n\r\n"
)
GOOD_REQUEST = (
    b"GET /x?a=1 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Client:
    """A connected client wire, with the answer it gets written by hand; `{accept}` stands for the token."""

    def __init__(self, *, heartbeat: float | None = None, limits: Limits | None = None) -> None:
        self.conn = RecordingLayer(heartbeat)
        self.wire = WebSocketWire(self.conn, request(), limits=limits or Limits())
        self.wire.connect(0.0)
        self.request = self.wire.data_to_send()

    def answer(self, head: str, rest: bytes = b"", *, cut: Cut = whole, now: float = 0.0) -> None:
        data = head.replace("{accept}", accept_token(self.request)).encode("latin-1") + rest
        for piece in cut(data):
            self.wire.receive_data(piece, now)

    def open(self) -> Client:
        self.answer(GOOD_101)
        assert [type(event) for event in events(self.wire)] == [HandshakeCompleted, Opened]
        return self


class Server:
    """A server wire that accepts every upgrade at once."""

    def __init__(self, *, heartbeat: float | None = None, limits: Limits | None = None) -> None:
        self.conn = RecordingLayer(heartbeat)
        self.wire = WebSocketServerWire(limits=limits or Limits())
        self.wire.connect(0.0)
        self.events: list[Event] = []
        self.sent = b""

    def feed(self, data: bytes, *, cut: Cut = whole, now: float = 0.0) -> None:
        for piece in cut(data):
            self.wire.receive_data(piece, now)
            self.drain(now)

    def drain(self, now: float = 0.0) -> None:
        while (event := self.wire.next_event()) is not NEED_DATA:
            self.events.append(event)
            if isinstance(event, UpgradeReceived):
                self.wire.accept(self.conn, now)
        self.sent += self.wire.data_to_send()

    def open(self) -> Server:
        self.feed(GOOD_REQUEST)
        assert [type(event) for event in self.events] == [UpgradeReceived, Opened]
        self.events.clear()
        self.sent = b""
        return self


def comparable(found: Iterable[Event]) -> list[Event]:
    """Without the header that differs each time."""
    return [
        msgspec.structs.replace(
            event, headers=tuple(pair for pair in event.headers if pair[0] != "sec-websocket-accept")
        )
        if isinstance(event, HandshakeCompleted)
        else event
        for event in found
    ]


def closed(client: Client) -> ConnectionClosed:
    """The only event there is, after which the wire is finished and ignores everything."""
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert client.wire.finished
    assert client.wire.state is State.CLOSED
    assert client.wire.next_deadline() is None
    client.wire.receive_data(b"more", 0.0)
    client.wire.receive_eof(0.0)
    client.wire.handle_timeout(1e9)
    client.wire.close(0.0)
    assert events(client.wire) == []
    assert len(client.conn.closes) == 1
    return event
