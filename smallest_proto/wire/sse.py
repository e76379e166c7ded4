"""Server-sent events, both ways: bytes to events without I/O, and events to bytes. WHATWG HTML section 9.2."""

from __future__ import annotations

import re

import msgspec

from smallest_proto.errors import RemoteProtocolError
from smallest_proto.limits import Limits

_SLICE = 16 * 1024
_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(r"\r\n|\r|\n")


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event: `data`, its data lines joined by newlines, and `event`, its name, None when it has none."""

    data: str
    event: str | None = None


class EventStreamDecoder:
    """Reads one `text/event-stream` body.

    `feed` its bytes, then `end`; after each look at `error`. Lines end in LF, CRLF or CR; comments, `id`,
    `retry` and unknown fields are ignored; bytes that are not UTF-8 become U+FFFD. An event without data is
    none. Nothing raises.
    """

    def __init__(self, *, limits: Limits = Limits()) -> None:
        self._limit = limits.max_message_bytes
        self._line = bytearray()
        self._after_cr = False
        self._first = True
        self._data: bytearray | None = None
        self._event = b""
        self.error: RemoteProtocolError | None = None
        """Set when a line or an event is longer than `max_message_bytes`; all that follows is ignored."""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take bytes, cut in any way, and return the events that they complete, in order."""
        found: list[ServerSentEvent] = []
        for start in range(0, len(data), _SLICE):  # the list of lines must not outgrow the limits
            self._feed(bytes(data[start : start + _SLICE]), found)
        return found

    def end(self) -> list[ServerSentEvent]:
        """The body is over: return the event that was pending, if any, though no blank line closed it.

        Whether something is missing only the data can tell.
        """
        found: list[ServerSentEvent] = []
        if self._line:
            self._feed(b"\n", found)
        self._dispatch(found)
        return found

    def _feed(self, data: bytes, found: list[ServerSentEvent]) -> None:
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        for line in data.splitlines(keepends=True):
            if self.error is not None:
                return
            self._line += line.rstrip(b"\r\n")
            if len(self._line) > self._limit:
                self._fail()
            elif line.endswith((b"\r", b"\n")):
                whole, self._line = bytes(self._line), bytearray()
                self._take(whole, found)

    def _take(self, line: bytes, found: list[ServerSentEvent]) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(found)
            return
        name, _, value = line.partition(b":")  # a comment has an empty name
        value = value.removeprefix(b" ")
        if name == b"event":
            self._event = value
        elif name == b"data":
            if self._data is None:
                self._data = bytearray(value)
            else:
                self._data += b"\n" + value
            if len(self._data) > self._limit:
                self._fail()

    def _dispatch(self, found: list[ServerSentEvent]) -> None:
        if self._data is not None:
            name = self._event.decode("utf-8", "replace") or None
            found.append(ServerSentEvent(data=self._data.decode("utf-8", "replace"), event=name))
        self._data, self._event = None, b""

    def _fail(self) -> None:
        self.error = RemoteProtocolError("the server sent an event longer than max_message_bytes")
        self._line.clear()
        self._data, self._event = None, b""


def encode_event(data: str, event: str | None = None) -> bytes:
    """One event as bytes, closed by its blank line; line breaks in `data` are read back as newlines.

    Raises ValueError for an `event` name with a line break, and for text that UTF-8 cannot carry.
    """
    lines = [f"data: {line}" for line in _LINE_END.split(data)]
    if event is not None:
        if _LINE_END.search(event):
            raise ValueError(f"event={event!r}: expected a name without line breaks")
        lines.insert(0, f"event: {event}")
    return ("\n".join(lines) + "\n\n").encode()
