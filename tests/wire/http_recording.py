"""HTTP wires fed by hand, what they say written down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smallest_proto.errors import ProtocolError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.http_request import HttpRequest
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, whole
from smallest_proto.wire.http import HttpServerWire, HttpWire
from smallest_proto.wire.http_events import (
    BodyReceived,
    ExchangeEnded,
    ExchangeFailed,
    RequestEnded,
    RequestStarted,
)
from smallest_proto.wire.http_states import State

KEY = "sk_0123456789abcdef"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\n"
TE = b"Transfer-Encoding: chunked\r\n\r\n"


def request(
    method: str = "POST",
    body: bytes = b"",
    headers: Iterable[tuple[str, str]] = (("Authorization", f"Bearer {KEY}"),),
    target: str = "/x?a=1",
) -> HttpRequest:
    return HttpRequest(
        host="127.0.0.1",
        port=8080,
        secure=False,
        method=method,
        target=target,
        headers=tuple(headers),
        body=body,
    )


def joined(found: Iterable[Event]) -> list[Event]:
    """With adjacent pieces of a body as one."""
    result: list[Event] = []
    for event in found:
        if isinstance(event, BodyReceived) and result and isinstance(result[-1], BodyReceived):
            result[-1] = BodyReceived(data=result[-1].data + event.data)
        else:
            result.append(event)
    return result


def events(wire: HttpWire | HttpServerWire) -> list[Event]:
    def drain() -> Iterator[Event]:
        while (event := wire.next_event()) is not NEED_DATA:
            yield event

    return joined(drain())


def state_of(wire: HttpWire | HttpServerWire) -> State:
    """The state, in a way that type checkers do not narrow for ever."""
    return wire.state


def body_of(found: Iterable[Event]) -> bytes:
    return b"".join(event.data for event in found if isinstance(event, BodyReceived))


def started(
    limits: Limits | None = None, made: HttpRequest | None = None, *, streaming: bool = False
) -> HttpWire:
    """A client wire whose request is out."""
    wire = HttpWire(limits=limits or Limits())
    wire.start(made or request(), 0.0, streaming=streaming)
    wire.data_to_send()
    return wire


def feed(wire: HttpWire | HttpServerWire, data: bytes, cut: Cut = whole, now: float = 0.0) -> None:
    for piece in cut(data):
        wire.receive_data(piece, now)


def answered(
    data: bytes, limits: Limits | None = None, *, eof: bool = False, cut: Cut = whole
) -> list[Event]:
    """What a client reports of this response."""
    wire = started(limits)
    feed(wire, data, cut)
    if eof:
        wire.receive_eof(0.0)
    return events(wire)


def asked(data: bytes = GET, limits: Limits | None = None) -> HttpServerWire:
    """A server wire that has read this."""
    wire = HttpServerWire(limits=limits or Limits())
    feed(wire, data)
    return wire


def failure(found: list[Event]) -> ProtocolError:
    """The error of the last event, the only end among them."""
    ends = [event for event in found if isinstance(event, ExchangeEnded | ExchangeFailed)]
    assert ends == found[-1:]
    assert isinstance(ends[0], ExchangeFailed)
    return ends[0].error


def chunked(*pieces: bytes, trailer: bytes = b"") -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


class Server:
    """A server wire that answers each request once it is complete: with its target and body, or as told."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.wire = HttpServerWire(limits=limits or Limits())
        self.events: list[Event] = []
        self.sent = b""
        self._target = ""
        self._body = b""

    def feed(self, data: bytes, cut: Cut = whole, now: float = 0.0) -> None:
        for piece in cut(data):
            self.wire.receive_data(piece, now)
            self.drain(now)

    def eof(self) -> None:
        self.wire.receive_eof(0.0)
        self.drain()

    def drain(self, now: float = 0.0) -> None:
        while (event := self.wire.next_event()) is not NEED_DATA:
            self.events.append(event)
            if isinstance(event, RequestStarted):
                self._target, self._body = event.target, b""
            elif isinstance(event, BodyReceived):
                self._body += event.data
            elif isinstance(event, RequestEnded) and not self.wire.finished:  # the client may be gone
                self.respond(now)
        self.events = joined(self.events)
        self.sent += self.wire.data_to_send()

    def respond(self, now: float) -> None:
        answer = self._target.encode() + b" " + self._body
        if self._target.startswith("/stream"):
            self.wire.respond(200, now)
            self.wire.send_body(answer[:3], now)
            self.wire.send_body(answer[3:], now)
            self.wire.end_body(now)
        elif self._target.startswith("/404"):
            self.wire.respond(404, now, [("X-Request-Id", "r1")], b'{"error":"no"}')
        else:
            self.wire.respond(200, now, body=answer)
