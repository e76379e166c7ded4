"""The client end of HTTP/1.1: one exchange after another on one connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import h11

from smallest_proto.errors import LocalProtocolError, RemoteProtocolError
from smallest_proto.http_request import HttpRequest
from smallest_proto.limits import Limits
from smallest_proto.wire.detail import Detail
from smallest_proto.wire.http_base import HttpEnd, Perform
from smallest_proto.wire.http_events import ExchangeEnded, ExchangeFailed, ResponseStarted
from smallest_proto.wire.http_head import HeaderPairs, HttpEvent, content_coding, pairs, sendable
from smallest_proto.wire.http_states import CLIENT, Action, Input, State
from smallest_proto.wire.redaction import Redactor
from smallest_proto.wire.refusal import read_refusal

_IN_BODY = (State.DUPLEX, State.RECEIVING, State.REFUSED, State.REFUSED_EARLY)


class HttpWire(HttpEnd):
    """The client end of one connection: bytes in and bytes out, no I/O.

    wire.start(request, now)           # then, in a loop until ExchangeEnded or ExchangeFailed:
    transport.write(wire.data_to_send())
    wire.receive_data(data, now)       # or receive_eof(now), or handle_timeout(now) at wire.next_deadline()
    while (event := wire.next_event()) is not NEED_DATA: ...
    # wire.reusable: start the next request on the same socket; wire.finished: close the socket

    Events of an exchange: `ResponseStarted`, `BodyReceived`..., `ExchangeEnded`; or, at any point,
    `ExchangeFailed` as the last. A status of 300 or more gives nothing but `ExchangeFailed`, with a
    `ServerError`: redirects are not followed. 1xx answers are skipped. Bodies of 2xx are not bounded here:
    whoever collects one bounds it. Bytes that nobody asked for end the connection.
    """

    _actions: ClassVar[Mapping[Action, Perform]]

    def __init__(self, *, limits: Limits = Limits()) -> None:
        super().__init__(CLIENT, h11.CLIENT, limits)
        self._redactor = Redactor()
        self._status = 0
        self._headers: HeaderPairs = ()
        self._refusal = bytearray()

    @property
    def reusable(self) -> bool:
        """Whether `start` is allowed now: nothing is under way, and both ends keep the connection open."""
        return self.state is State.READY

    def start(self, request: HttpRequest, now: float, *, streaming: bool = False) -> None:
        """Ask for `request`; with `streaming` its body comes through `send_body` and `end_body`, chunked.

        Raises LocalProtocolError, with nothing changed, when not `reusable`, for a header that the wire sets
        itself, for what cannot be written, and for a `streaming` request that has a body.
        """
        given = Input.STREAM if streaming else Input.START
        self._machine.check(given)
        if streaming and request.body:
            raise LocalProtocolError(
                "body: a streamed one comes through send_body; expected b'' in the request"
            )
        http = self._connection()
        head = _write(http, request, streaming=streaming)
        self._renew(http)
        self._redactor = Redactor(request.headers)
        self._now = now
        self._step(given, Detail(data=head))
        self._out.append(request.body)

    def receive_eof(self, now: float, *, clean: bool = True) -> None:
        """The server sends no more bytes. Some bodies end so, but not when it is not `clean`.

        A socket that failed and TLS that ended without its close_notify are not: RFC 9112 sections 8 and 9.8.
        """
        if clean and self.state in _IN_BODY and self._reader.end():
            self._finish(reusable=False)
        super().receive_eof(now)

    def _receive(self, data: bytes) -> None:
        if self.state is State.READY:
            self._step(Input.FAULT)
        data = self._receive_head(data)
        if self.state in _IN_BODY:
            self._receive_body(data)

    def _begin(self, head: HttpEvent | None) -> None:
        if not isinstance(head, h11.Response):  # 1xx only precede the real one: RFC 9110 section 15.2
            return
        headers = pairs(head.headers)
        if self._is_sound(headers, head.http_version):
            self._status, self._headers = head.status_code, headers
            if self._status < 300 and (coding := content_coding(headers)):
                text = f"the answer is compressed with {coding!r}, and only 'identity' is read here"
                self._step(Input.FAULT, Detail(error=RemoteProtocolError(text, status=self._status)))
                return
            event = ResponseStarted(status=self._status, headers=self._redactor.headers(headers))
            self._step(Input.RESPONSE if self._status < 300 else Input.REFUSAL, Detail(event=event))

    def _take(self, piece: bytes) -> bool:
        self._step(Input.BODY, Detail(data=piece))
        # with so much to spare, no half of a token is left when the rest is cut off
        if len(self._refusal) < self._limits.max_error_body + self._redactor.longest:
            return True
        self._finish(reusable=False)
        return False

    def _end(self) -> None:
        self._finish(reusable=self._both_go_on())
        if self._reader.rest:
            self._step(Input.FAULT)

    def _finish(self, *, reusable: bool) -> None:
        self._step(Input.END, Detail(event=ExchangeEnded(reusable=reusable)))
        if self.reusable and not reusable:
            self._step(Input.LAST)

    def _keep(self, detail: Detail) -> None:
        self._refusal += detail.data

    def _fail_refused(self, _: Detail) -> None:
        body, self._refusal = bytes(self._refusal), bytearray()
        keep = self._limits.max_error_body
        refusal = read_refusal(self._status, self._headers, body, redactor=self._redactor, keep=keep)
        self._tell(Detail(event=ExchangeFailed(error=refusal.error)))


HttpWire._actions = {
    **HttpEnd._actions,
    Action.KEEP: HttpWire._keep,
    Action.FAIL_REFUSED: HttpWire._fail_refused,
}


def _write(http: h11.Connection, request: HttpRequest, *, streaming: bool) -> bytes:
    """The head. A whole body needs no framing: h11 is only told of it."""
    headers = [("Host", request.host_header), *sendable(request.headers)]
    if not any(name.lower() == "accept-encoding" for name, _ in headers):  # else any is welcome: RFC 9110
        headers.append(("Accept-Encoding", "identity"))
    if streaming:
        headers.append(("Transfer-Encoding", "chunked"))
    elif request.body or request.method in ("PATCH", "POST", "PUT"):
        headers.append(("Content-Length", str(len(request.body))))
    try:
        head = http.send(h11.Request(method=request.method, target=request.target, headers=headers))
    except (h11.LocalProtocolError, UnicodeEncodeError):
        # not chained, and the target not shown: it could hold a token
        raise LocalProtocolError("target or host holds a character that cannot stand in a request") from None
    if not streaming:
        http.send(h11.Data(data=request.body))
        http.send(h11.EndOfMessage())
    return bytes(head or b"")
