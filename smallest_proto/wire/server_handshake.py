"""The server's side of the upgrade: reading the request, and both answers to it. RFC 6455 section 4.2."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator

import h11
from wsproto.utilities import generate_accept_token

from smallest_proto.errors import LocalProtocolError, RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.wire.detail import Detail, Happening
from smallest_proto.wire.events import UpgradeReceived
from smallest_proto.wire.http_head import (
    PHRASES,
    HeaderPairs,
    HeadReader,
    HeadTooLongError,
    asks_upgrade,
    pairs,
    sendable,
    tokens,
    values,
)
from smallest_proto.wire.states import Input


class ServerHandshake:
    """One upgrade. Feed `receive` and carry out what it reports; then write `acceptance` or `refusal`."""

    def __init__(self, limits: Limits) -> None:
        self._http = h11.Connection(h11.SERVER, limits.max_handshake_bytes)
        self._head = HeadReader(self._http, limits.max_handshake_bytes)
        self._key = ""
        self._offered: list[str] = []
        self.rest = b""
        """What `receive` was given beyond the end of the request."""

    def receive(self, data: bytes) -> Iterator[Happening]:
        """Take bytes of the request, and report what they amount to."""
        try:
            event, self.rest = self._head.receive(data)
        except HeadTooLongError:
            yield self._fault(431, "the request is longer than max_handshake_bytes")
        except h11.RemoteProtocolError:
            yield self._fault(400, "the request is not HTTP")
        else:
            if isinstance(event, h11.Request):
                yield self._check(event)

    def _check(self, request: h11.Request) -> Happening:
        headers = pairs(request.headers)
        keys = values(headers, "sec-websocket-key")
        lengths = set(values(headers, "content-length")) - {"0"}
        upgrade = (("Upgrade", "websocket"),)
        version = (("Sec-WebSocket-Version", "13"),)
        checks: tuple[tuple[bool, int, str, HeaderPairs], ...] = (
            (request.method == b"GET", 405, "its method is not GET", (("Allow", "GET"),)),
            (request.http_version == b"1.1", 426, "it is not HTTP/1.1", upgrade),
            (asks_upgrade(headers), 426, "it does not ask for an upgrade to websocket", upgrade),
            (values(headers, "sec-websocket-version") == ["13"], 426, "its version is not 13", version),
            (len(keys) == 1 and _is_key(keys[0]), 400, "its Sec-WebSocket-Key is not 16 bytes in base64", ()),
            (not lengths and not values(headers, "transfer-encoding"), 400, "it has a body", ()),
        )
        for passed, status, text, extra in checks:
            if not passed:
                return self._fault(status, f"the request is no WebSocket upgrade: {text}", extra)
        self._http.next_event()  # the end of the request: h11 now waits for the answer
        self._key = keys[0]
        self._offered = tokens(headers, "sec-websocket-protocol")
        event = UpgradeReceived(target=request.target.decode("latin-1"), headers=headers)
        return Input.REQUEST, Detail(event=event)

    def _fault(self, status: int, text: str, headers: HeaderPairs = ()) -> Happening:
        answer = self._answer(status, PHRASES[status], headers, b"")
        return Input.FAULT, Detail(error=RemoteProtocolError(text), data=answer)

    def acceptance(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """The 101 answer. Raises LocalProtocolError for headers that cannot go with it."""
        extra = sendable(headers)
        lower = tuple((name.lower(), value) for name, value in extra)
        if not set(tokens(lower, "sec-websocket-protocol")) <= set(self._offered):
            raise LocalProtocolError("headers: Sec-WebSocket-Protocol names none that the client offered")
        own = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", generate_accept_token(self._key.encode()).decode()),
        ]
        event = h11.InformationalResponse(status_code=101, headers=own + extra, reason="Switching Protocols")
        return bytes(self._http.send(event) or b"")

    def refusal(self, status: int, headers: Iterable[tuple[str, str]], body: bytes, reason: str) -> bytes:
        """Another answer. Raises LocalProtocolError for a status or headers that cannot stand there."""
        if not 300 <= status <= 599 or status == 304:
            raise LocalProtocolError(f"status={status!r}: expected 300 to 599, and not 304")
        if not (reason.isascii() and reason.isprintable()):
            raise LocalProtocolError("reason: expected printable ASCII, without line breaks")
        extra = sendable(headers)
        return self._answer(status, reason or PHRASES.get(status, ""), extra, body)

    def _answer(self, status: int, reason: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
        own = [("Content-Length", str(len(body))), ("Connection", "close")]
        response = h11.Response(status_code=status, headers=[*own, *headers], reason=reason)
        events = (response, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(bytes(self._http.send(event) or b"") for event in events)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
