"""The client's side of the upgrade: the request, and how each answer to it is read. RFC 6455 section 4."""

from __future__ import annotations

from collections.abc import Iterator

import h11
from wsproto.utilities import generate_accept_token, generate_nonce

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import HandshakeRejected, RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.wire.detail import Detail, Happening
from smallest_proto.wire.events import HandshakeCompleted
from smallest_proto.wire.http_head import (
    HeaderPairs,
    HeadReader,
    HeadTooLongError,
    checked,
    has_token,
    pairs,
    tokens,
    values,
)
from smallest_proto.wire.redaction import Redactor
from smallest_proto.wire.refusal import read_refusal
from smallest_proto.wire.states import Input


class ClientHandshake:
    """One upgrade. Write `request`, feed `receive` and carry out what it reports.

    Raises ValueError for a request that cannot be written: a header that breaks its line or belongs to the
    handshake, a target with spaces.
    """

    def __init__(self, request: UpgradeRequest, limits: Limits, redactor: Redactor) -> None:
        headers = checked(request.headers)
        nonce = generate_nonce()
        self._accept = generate_accept_token(nonce).decode()
        self._offered = tokens(tuple((n.lower(), v) for n, v in headers), "sec-websocket-protocol")
        self._redactor = redactor
        # both bounds are ours, see HeadReader: h11's depends on how the stream was cut
        self._keep = limits.max_error_body
        self._body_room = 2 * (limits.max_error_body + redactor.longest)
        self._http = h11.Connection(h11.CLIENT, limits.max_handshake_bytes + self._body_room)
        self._head = HeadReader(self._http, limits.max_handshake_bytes)
        self._status = 0
        self._headers: HeaderPairs = ()
        self._body = bytearray()
        self.request = self._write(request, headers, nonce)
        self.rest = b""
        """What `receive` was given beyond the end of the handshake."""

    def _write(self, request: UpgradeRequest, extra: list[tuple[str, str]], nonce: bytes) -> bytes:
        headers = [
            ("Host", request.host_header),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", nonce.decode()),
            ("Sec-WebSocket-Version", "13"),
            *extra,
        ]
        try:
            event = h11.Request(method="GET", target=request.target, headers=headers)
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # not chained, and the target not shown: it could hold a token
            raise ValueError("target or host holds a character that cannot stand in a request") from None
        return bytes(self._http.send(event) or b"") + bytes(self._http.send(h11.EndOfMessage()) or b"")

    def receive(self, data: bytes) -> Iterator[Happening]:
        """Take bytes of the answer, and report what they amount to."""
        try:
            while data and not self._status:
                event, data = self._head.receive(data)
                if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                    self.rest = data
                    yield self._check(pairs(event.headers))
                    return
                if isinstance(event, h11.Response):
                    self._status, self._headers = event.status_code, pairs(event.headers)
                    yield Input.REFUSED, Detail()
                # other 1xx answers, such as 103 Early Hints, only precede the real one: RFC 9110 section 15.2
        except HeadTooLongError:
            yield _fault("the answer to the upgrade is longer than max_handshake_bytes")
        except h11.RemoteProtocolError:
            yield _fault("the answer to the upgrade is not HTTP")
        if self._status:
            yield from self._receive_body(data)

    def _check(self, headers: HeaderPairs) -> Happening:
        extras = set(tokens(headers, "sec-websocket-protocol")) - set(self._offered)
        checks = (
            (has_token(headers, "upgrade", "websocket"), "Upgrade: websocket is missing"),
            (has_token(headers, "connection", "upgrade"), "Connection: Upgrade is missing"),
            (values(headers, "sec-websocket-accept") == [self._accept], "Sec-WebSocket-Accept is wrong"),
            (not tokens(headers, "sec-websocket-extensions"), "an extension was not offered"),
            (not extras, "a subprotocol was not offered"),
        )
        for passed, text in checks:
            if not passed:
                return _fault(f"the server's 101 is no WebSocket upgrade: {text}")
        return Input.UPGRADED, Detail(event=HandshakeCompleted(headers=self._redactor.headers(headers)))

    def _receive_body(self, data: bytes) -> Iterator[Happening]:
        data = data[: self._body_room]
        self._body_room -= len(data)
        if data:  # to h11, b"" is the end of the stream
            self._http.receive_data(data)
        try:
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if not isinstance(event, h11.Data):
                    yield Input.REFUSAL_READ, Detail()
                    return
                self._body += event.data
        except h11.RemoteProtocolError:
            yield _fault("the refusal's body is not HTTP")
            return
        if len(self._body) >= self._keep + self._redactor.longest or not self._body_room:
            yield Input.REFUSAL_READ, Detail()

    def rejection(self) -> HandshakeRejected:
        """The refusal, with as much of its body as has come, and without the API key."""
        refusal = read_refusal(
            self._status,
            self._headers,
            bytes(self._body),
            redactor=self._redactor,
            keep=self._keep,
            what="the upgrade was refused",
        )
        error = refusal.error
        return HandshakeRejected(
            str(error),
            headers=refusal.headers,
            body=refusal.body,
            message=error.message,
            details=error.details,
            code=error.code,
            status=error.status,
            request_id=error.request_id,
            retry_after=error.retry_after,
            retryable=error.retryable,
        )


def _fault(text: str) -> Happening:
    return Input.FAULT, Detail(error=RemoteProtocolError(text))
