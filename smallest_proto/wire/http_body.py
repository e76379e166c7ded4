"""HTTP bodies through h11, with a bound on what surrounds their bytes that holds wherever the stream was cut."""

from __future__ import annotations

from collections.abc import Iterator

import h11

from smallest_proto.wire.http_head import HeaderPairs, values


def framing_fault(headers: HeaderPairs, version: bytes) -> str:
    """What is wrong with how a message says where its body ends, or "".

    h11 lets Transfer-Encoding win over Content-Length, where two readers could disagree: RFC 9112 section 6.1.
    """
    if not values(headers, "transfer-encoding"):
        return ""
    if values(headers, "content-length"):
        return "it has both Content-Length and Transfer-Encoding"
    return "it is HTTP/1.0 with Transfer-Encoding" if version < b"1.1" else ""


class BodyReader:
    """Reads the body whose head `http` has just read.

    Attributes: `rest`, what followed the end of the body, and None before the end.
    """

    def __init__(self, http: h11.Connection, limit: int) -> None:
        self._http = http
        self._limit = limit
        self._unread = 0  # bytes given to h11 since the last piece of the body
        self.rest: bytes | None = None

    def receive(self, data: bytes) -> Iterator[bytes]:
        """The pieces of the body in `data`, which may be empty. When they are through, look at `rest`.

        Raises h11.RemoteProtocolError for what is not HTTP, or when chunk headers or trailers are longer than
        the limit: one error for both, as which is seen first depends on the cuts. Do not show its text.
        """
        if data:  # to h11, b"" is the end of the stream
            self._http.receive_data(data)
            self._unread += len(data)
        while (event := self._http.next_event()) is not h11.NEED_DATA:
            rest = self._http.trailing_data[0]
            piece = bytes(event.data) if isinstance(event, h11.Data) else b""
            self._check(self._unread - len(rest) - len(piece))
            self._unread = len(rest)
            if not piece:
                self.rest = rest
                return
            yield piece
        self._check(self._unread)

    def _check(self, framing: int) -> None:
        if framing > self._limit:
            raise h11.RemoteProtocolError("too much between two pieces of a body")

    def end(self) -> bool:
        """The stream is over: whether that is how this body ends."""
        self._http.receive_data(b"")
        try:
            return isinstance(self._http.next_event(), h11.EndOfMessage)
        except h11.RemoteProtocolError:
            return False
