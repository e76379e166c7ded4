"""HTTP heads through h11, with bounds that hold wherever the stream was cut, and helpers for headers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import h11

from smallest_proto.endpoints import check_header
from smallest_proto.errors import LocalProtocolError

HeaderPairs: TypeAlias = tuple[tuple[str, str], ...]
"""Names in lower case, values, in order."""

HttpEvent: TypeAlias = h11.Event | type[h11.PAUSED] | type[h11.NEED_DATA]


class HeadTooLongError(Exception):
    """The head did not end within its limit."""


class HeadReader:
    """Feeds an h11 connection no more than `limit` bytes, line by line.

    h11 checks its own limit only while a head is incomplete, so a long one would pass if it came in one read.
    Feeding whole lines also leaves nothing behind in h11: what follows the head is handed back.
    """

    def __init__(self, http: h11.Connection, limit: int) -> None:
        self._http = http
        self._left = limit

    def receive(self, data: bytes) -> tuple[HttpEvent | None, bytes]:
        """The next event and the bytes after it; (None, b"") when more are needed.

        Raises HeadTooLongError, or h11.RemoteProtocolError for what is not HTTP. Do not show their texts.
        """
        start = 0
        while start < len(data):
            if not self._left:
                raise HeadTooLongError
            limit = min(start + self._left, len(data))
            end = data.find(b"\n", start, limit) + 1 or limit
            self._http.receive_data(data[start:end])
            self._left -= end - start
            start = end
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event, data[start:]
        return None, b""


def pairs(headers: Iterable[tuple[bytes, bytes]]) -> HeaderPairs:
    """h11's headers as text. Latin-1 reads every byte."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def values(headers: HeaderPairs, name: str) -> list[str]:
    """Every value of one header, name in lower case."""
    return [value for key, value in headers if key == name]


def tokens(headers: HeaderPairs, name: str) -> list[str]:
    """The comma-separated words of one header, over all its lines, empty ones dropped."""
    words = ",".join(values(headers, name)).split(",")
    return [word.strip() for word in words if word.strip()]


def content_coding(headers: HeaderPairs) -> str:
    """How the body is compressed, "" when it is not: RFC 9110 section 8.4."""
    return ", ".join(word for word in tokens(headers, "content-encoding") if word.lower() != "identity")


def has_token(headers: HeaderPairs, name: str, token: str) -> bool:
    """Whether one of the words is `token`, in any case."""
    return token in (word.lower() for word in tokens(headers, name))


def asks_upgrade(headers: HeaderPairs) -> bool:
    """Whether a request with these headers asks for a WebSocket."""
    return has_token(headers, "upgrade", "websocket") and has_token(headers, "connection", "upgrade")


PHRASES = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    410: "Gone",
    413: "Content Too Large",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
"""Of the statuses sent here or by the services [docs error-reference]; a phrase is only decoration."""

_FRAMING = ("connection", "upgrade", "content-length", "expect", "transfer-encoding", "host")


def checked(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """These headers, ready to be sent: spaces round a value are dropped, as the receiver would.

    Raises ValueError for one that could not be sent, or that is no business of the caller's.
    """
    found = [(name, value.strip(" \t")) for name, value in headers]
    for name, value in found:
        check_header(name, value)
        lower = name.lower()
        own = lower.startswith("sec-websocket-") and lower != "sec-websocket-protocol"
        if own or lower in _FRAMING:
            raise ValueError(f"headers: {name!r} is set by the connection itself; leave it out")
    return found


def sendable(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """`checked`, for a send that is then refused: raises LocalProtocolError."""
    try:
        return checked(headers)
    except ValueError as wrong:
        raise LocalProtocolError(str(wrong)) from None
