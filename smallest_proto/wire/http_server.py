"""The server end of HTTP/1.1: one exchange after another on one connection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import ClassVar

import h11
import msgspec

from smallest_proto.errors import LocalProtocolError
from smallest_proto.limits import Limits
from smallest_proto.wire.detail import Detail
from smallest_proto.wire.http_base import HttpEnd, Perform
from smallest_proto.wire.http_events import RequestEnded, RequestStarted
from smallest_proto.wire.http_head import (
    PHRASES,
    HeadReader,
    HeadTooLongError,
    HttpEvent,
    asks_upgrade,
    pairs,
    sendable,
    values,
)
from smallest_proto.wire.http_states import SERVER, Action, Input, State

_IN_BODY = (State.READING_BODY, State.ANSWERING_EARLY)
_UNANSWERED = (State.DECIDING, State.ANSWERING)
_BODYLESS = (204, 304)
_HEAD_END = re.compile(rb"\n\r?\n")


class HttpServerWire(HttpEnd):
    """The server end of one connection: bytes in and bytes out, no I/O.

    Events of each request: `RequestStarted`, `BodyReceived`..., `RequestEnded`; answer with `respond`, at any
    time after `RequestStarted`. Then comes the next request, unless `finished`. What goes wrong ends in
    `ExchangeFailed` and `finished`. Malformed requests are answered 400, heads beyond the limits 431, bodies
    beyond `max_request_body` 413, slow requests 408, all without the caller's doing, and
    `Expect: 100-continue` with 100. The first deadline starts with the first byte. The next request may come
    before the answer: up to `max_handshake_bytes` of it wait, more is a fault.
    """

    _actions: ClassVar[Mapping[Action, Perform]]

    def __init__(self, *, limits: Limits = Limits()) -> None:
        super().__init__(SERVER, h11.SERVER, limits)
        self._early = bytearray()
        self._room = 0
        self._silent = False  # a HEAD is answered as a GET would be, without the body

    def respond(
        self,
        status: int,
        now: float,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> None:
        """Answer the request. With `body` (b"" for an empty one) that is all; with None `send_body` follows.

        Before `RequestEnded` the connection ends with the answer, and `finished` comes with its last byte.
        Raises LocalProtocolError, with nothing changed, when no request waits for an answer, also because it
        has failed meanwhile (`finished` tells), for a status not from 200 to 599, for headers that the wire
        sets itself or that could not be sent, and for a body with 204 or 304: they take b"".
        """
        given = Input.RESPOND_STREAM if body is None else Input.RESPOND
        self._machine.check(given)
        if type(status) is not int or not 200 <= status <= 599:
            raise LocalProtocolError(f"status={status!r}: expected 200 to 599")
        if status in _BODYLESS and body != b"":
            raise LocalProtocolError(f"body: status {status} has none; expected b''")
        extra = sendable(headers)
        if self.state is State.READING_BODY:
            extra.append(("Connection", "close"))
        data = self._answer(status, extra, body)
        self._now = now
        self._step(given, Detail(data=data))
        self._go_on()

    def end_body(self, now: float) -> None:
        """The streamed answer is complete. Raises LocalProtocolError as `send_body` does."""
        super().end_body(now)
        self._go_on()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes | None) -> bytes:
        if body is not None and status not in _BODYLESS:
            headers = [("Content-Length", str(len(body))), *headers]
        head = h11.Response(status_code=status, headers=headers, reason=PHRASES.get(status, ""))
        data = self._encode(head)
        if body is not None:
            data += self._encode(h11.Data(data=body)) + self._encode(h11.EndOfMessage())
        return data

    def _encode(self, event: h11.Event) -> bytes:
        return b"" if self._silent and isinstance(event, h11.Data) else super()._encode(event)

    def _go_on(self) -> None:
        """After an answer: to the next request, or to the end."""
        if self.state is not State.READY:
            return
        if not self._both_go_on():
            self._step(Input.LAST)
            return
        early, self._early = bytes(self._early), bytearray()
        self.receive_data(early, self._now)

    def _receive(self, data: bytes) -> None:
        if self.state is State.READY:
            self._renew(self._connection())
            self._silent = False
            self._step(Input.FIRST_BYTE)
        data = self._receive_head(data)
        if self.state in _IN_BODY:
            self._receive_body(data)
            data = self._reader.rest or b""
        if self.state in _UNANSWERED:
            self._early += data
            if len(self._early) > self._limits.max_handshake_bytes:
                self._fault(400, "the client sent more than max_handshake_bytes before the answer")

    def _begin(self, head: HttpEvent | None) -> None:
        if not isinstance(head, h11.Request):
            return
        headers, method = pairs(head.headers), head.method.decode("latin-1")
        self._silent = method == "HEAD"
        if not self._is_sound(headers, head.http_version):
            return
        self._room = self._limits.max_request_body
        if method == "CONNECT":
            self._fault(405, "the method is CONNECT")
        elif any(int(length) > self._room for length in values(headers, "content-length")):
            self._fault(413, "the body is longer than max_request_body")
        else:
            event = RequestStarted(method=method, target=head.target.decode("latin-1"), headers=headers)
            self._step(Input.REQUEST, Detail(data=self._go_ahead(), event=event))

    def _go_ahead(self) -> bytes:
        if not self._http.they_are_waiting_for_100_continue:
            return b""
        return self._encode(h11.InformationalResponse(status_code=100, headers=[], reason="Continue"))

    def _take(self, piece: bytes) -> bool:
        if fits := piece[: self._room]:
            self._step(Input.BODY, Detail(data=fits))
        self._room -= len(fits)
        if len(fits) < len(piece):
            self._fault(413, "the body is longer than max_request_body")
        return not self.finished

    def _end(self) -> None:
        self._step(Input.END, Detail(event=RequestEnded()))

    def _refuse(self, detail: Detail) -> None:
        # in the shape of [openapi stt]; our own words, never the client's
        body = msgspec.json.encode({"error": str(detail.error)})
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        self._write(Detail(data=self._answer(detail.code, headers, body)))


HttpServerWire._actions = {**HttpEnd._actions, Action.REFUSE: HttpServerWire._refuse}


def wants_upgrade(head: bytes, *, limits: Limits = Limits()) -> bool | None:
    """Whether the request that begins with `head` asks for a WebSocket; None while its head is incomplete.

    One port can so serve both: feed the same bytes to `WebSocketServerWire` (True) or `HttpServerWire`
    (False, also for what is not HTTP or longer than `max_handshake_bytes`, which it refuses).
    """
    size = limits.max_handshake_bytes
    if (not head or head[0] > 0x20) and len(head) < size and not _HEAD_END.search(head):
        return None  # told without h11, as a client may send byte by byte
    try:
        event, _ = HeadReader(h11.Connection(h11.SERVER, size), size).receive(head)
    except (HeadTooLongError, h11.RemoteProtocolError):
        return False
    return isinstance(event, h11.Request) and asks_upgrade(pairs(event.headers))
