"""WebSocket frames that come in, read with wsproto's frame codec: RFC 6455 section 5, no extensions.

What is added to wsproto: sizes are checked when a frame's header is read, before anything is kept; messages
are put together; every fault leaves as one exception with its close code; and nothing here depends on where
the byte stream was cut.

Nearly all traffic is messages of one frame each. Those do not pass through wsproto: one with a flawless
header is read here, by a client. All else is wsproto's, and so is everything about a frame that may be wrong.
A test holds the two against each other.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

from wsproto.frame_protocol import (
    Buffer,
    CloseReason,
    Frame,
    FrameDecoder,
    Header,
    Opcode,
    ParseFailed,
)

from smallest_proto.limits import Limits

NO_STATUS = 1005
"""A close frame without a code; never written into one."""

_VALID_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""Below 3000, those a frame may hold: RFC 6455 section 7.4.1 and the IANA registry after it."""

TEXT, BINARY = 0x81, 0x82
"""The first byte of a message in one frame."""

MASKED = 0x80
_EXTENDED = {126: 2, 127: 8}
"""Bytes of the length behind a length byte that says so."""

_HEAD = struct.Struct("!BBH").unpack_from
"""Its first bytes, as if the length stood in the last two."""

_NONE = bytearray()
"""Never written to: one for all, where most never need any."""


class Ping(NamedTuple):
    """A ping, to be answered with its payload."""

    payload: bytes


class Close(NamedTuple):
    """A close frame; `code` is 1005 when it had none."""

    code: int
    reason: str


Received: TypeAlias = str | bytes | Ping | Close


class FrameReader(FrameDecoder):
    """Bytes in, whole messages and control frames out."""

    def __init__(self, *, client: bool, limits: Limits) -> None:
        super().__init__(client)
        self._max_bytes = limits.max_message_bytes
        self._max_fragments = limits.max_fragments
        self._kind: Opcode | None = None
        self._fragments = 0
        self._announced = 0
        self._parts = _NONE
        self._data = b""
        self._at = 0
        self._max_whole = self._max_bytes if client else -1  # what a server gets is masked
        self._begun = _NONE
        self._missing = 0

    def receive_bytes(self, data: bytes) -> None:
        """Take bytes; `next` tells what they hold."""
        if self._missing:
            self._begun += data[: self._missing]
            self._data, self._at = data, min(self._missing, len(data))
            self._missing -= self._at
            return
        rest = self._data[self._at :]
        self._data, self._at = rest + data if rest else data, 0

    def next(self) -> Received | None:
        """The next message or control frame, None when more bytes are needed. Pongs are swallowed.

        Raises ParseFailed, with the close code to answer in `code`; its text is ours, never the peer's.
        """
        if self._begun and not self._missing:
            return self._end_begun()
        while self._at < len(self._data):
            if self.header is None and self._kind is None and (message := self._whole()) is not None:
                return message
            if self._missing or (frame := self._frame()) is None:
                break
            if (received := self._read(frame)) is not None:
                return received
        if self._at:  # all is taken, and an idle connection keeps no read alive
            self._data, self._at = b"", 0
        return None

    def _whole(self) -> str | bytes | None:
        """The message at hand, if it is one whole frame with nothing wrong about its header.

        One that lacks bytes is set aside until they have come.
        """
        data, at = self._data, self._at
        there = len(data)
        if there - at < 4:
            return None
        first, size, extended = _HEAD(data, at)
        if first != TEXT and first != BINARY:
            return None
        start = at + 2
        if size > 125:
            # a masked one has a higher value here, and a length must be in the shortest form
            if size == 126:
                size, start = extended, at + 4
                if size < 126:
                    return None
            elif size == 127 and there - at >= 10:
                size, start = int.from_bytes(data[start : at + 10]), at + 10
                if size < 1 << 16:
                    return None
            else:
                return None
        end = start + size
        if size > self._max_whole:
            return None
        if end > there:
            self._begun, self._missing = bytearray(data[at:]), end - there
            self._data, self._at = b"", 0
            return None
        self._at = end
        payload = data[start:end]
        return _utf8(payload, "a text message") if first == TEXT else payload

    def _end_begun(self) -> str | bytes:
        """The message that was set aside, now that the rest of it has come."""
        message, self._begun = self._begun, _NONE
        first = message[0]
        del message[: 2 + _EXTENDED.get(message[1], 0)]
        return _utf8(message, "a text message") if first == TEXT else bytes(message)

    def _frame(self) -> Frame | None:
        """What wsproto makes of the next bytes, of one frame at most: the one behind it may be whole."""
        if self.header is None:
            self._give(_header_size(self._data[self._at : self._at + 2]))
            if not self.parse_header():
                # it lacks bytes, and wsproto, which refuses as early as it can, had nothing against it so far
                self._data, self._at, self.buffer = bytes(self.buffer.buffer), 0, Buffer()
                return None
        assert self.header is not None
        self._give(self.header.payload_len - self.payload_consumed - len(self.buffer))
        return self.process_buffer()

    def _read(self, frame: Frame) -> Received | None:
        payload = frame.payload
        assert isinstance(payload, bytes)  # str and tuple are made by a layer of wsproto above this one
        if frame.opcode is Opcode.PING:
            return Ping(payload)
        if frame.opcode is Opcode.CLOSE:
            return _read_close(payload)
        if frame.opcode is Opcode.PONG:
            return None
        if frame.frame_finished and frame.message_finished:
            return self._finish(payload)
        self._parts = self._parts or bytearray()
        self._parts += payload
        return None

    def _give(self, size: int) -> None:
        self.buffer.feed(self._data[self._at : self._at + size])
        self._at = min(self._at + size, len(self._data))

    def parse_header(self) -> bool:
        """As wsproto's, plus the checks that need no payload."""
        if not super().parse_header():
            return False
        assert self.header is not None
        if not self.header.opcode.iscontrol():
            self._check_fragment(self.header)
        return True

    def _check_fragment(self, header: Header) -> None:
        if header.opcode is Opcode.CONTINUATION:
            if self._kind is None:
                raise ParseFailed("a continuation frame without a message")
        elif self._kind is not None:
            raise ParseFailed("a new message inside an unfinished one")
        else:
            self._kind = header.opcode
        self._announced += header.payload_len
        self._fragments += 1
        if self._announced > self._max_bytes:
            raise ParseFailed(f"a message of more than {self._max_bytes} bytes", CloseReason.MESSAGE_TOO_BIG)
        if self._fragments > self._max_fragments:
            text = f"a message of more than {self._max_fragments} frames"
            raise ParseFailed(text, CloseReason.MESSAGE_TOO_BIG)

    def _finish(self, last: bytes) -> str | bytes:
        data = bytes(self._parts + last) if self._parts else last
        kind, self._kind = self._kind, None
        self._fragments = self._announced = 0
        self._parts = _NONE
        return _utf8(data, "a text message") if kind is Opcode.TEXT else data


def _header_size(begin: bytes) -> int:
    """The bytes of the header that begins with these two, or with this one."""
    if len(begin) < 2:
        return 2
    return 2 + _EXTENDED.get(begin[1] & 0x7F, 0) + (4 if begin[1] & MASKED else 0)


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise ParseFailed("a close frame with half a code")
    (code,) = struct.unpack("!H", payload[:2])
    if code not in _VALID_CLOSE_CODES and not 3000 <= code <= 4999:
        raise ParseFailed("a close frame with a code that must not be sent")
    return Close(code, _utf8(payload[2:], "a close reason"))


def _utf8(data: bytes | bytearray, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ParseFailed(f"{what} that is not UTF-8", CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None
