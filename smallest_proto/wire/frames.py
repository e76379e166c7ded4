"""WebSocket frames in both directions, with wsproto's frame codec: RFC 6455 section 5, no extensions.

What is added to wsproto: sizes are checked when a frame's header is read, before anything is kept; messages
are put together; every fault leaves as one exception with its close code; and nothing here depends on where
the byte stream was cut.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeAlias

from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Header, Opcode, ParseFailed

from smallest_proto.limits import Limits

NO_STATUS = 1005
"""A close frame without a code; never written into one."""

_VALID_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})
"""Below 3000, those a frame may hold: RFC 6455 section 7.4.1 and the IANA registry after it."""


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
        self._parts = bytearray()

    def next(self) -> Received | None:
        """The next message or control frame, None when more bytes are needed. Pongs are swallowed.

        Raises ParseFailed, with the close code to answer in `code`; its text is ours, never the peer's.
        """
        while (frame := self.process_buffer()) is not None:
            payload = frame.payload
            assert isinstance(payload, bytes)  # str and tuple are made by a layer of wsproto above this one
            if frame.opcode is Opcode.PING:
                return Ping(payload)
            if frame.opcode is Opcode.CLOSE:
                return _read_close(payload)
            if frame.opcode is Opcode.PONG:
                continue
            if not (frame.frame_finished and frame.message_finished):
                self._parts += payload
            else:
                return self._finish(payload)
        return None

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
        self._parts = bytearray()
        return _utf8(data, "a text message") if kind is Opcode.TEXT else data


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise ParseFailed("a close frame with half a code")
    (code,) = struct.unpack("!H", payload[:2])
    if code not in _VALID_CLOSE_CODES and not 3000 <= code <= 4999:
        raise ParseFailed("a close frame with a code that must not be sent")
    return Close(code, _utf8(payload[2:], "a close reason"))


def _utf8(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ParseFailed(f"{what} that is not UTF-8", CloseReason.INVALID_FRAME_PAYLOAD_DATA) from None


class FrameWriter:
    """Messages and control frames in, bytes out. A client's are masked, each with a fresh random key."""

    def __init__(self, *, client: bool) -> None:
        self._codec = FrameProtocol(client, [])

    def message(self, message: str | bytes) -> bytearray:
        """One unfragmented message: str as text, bytes as binary."""
        return self._codec.send_data(message)

    def ping(self) -> bytearray:
        """A ping without payload."""
        return self._codec.ping()

    def pong(self, payload: bytes) -> bytearray:
        """The answer to a ping."""
        return self._codec.pong(payload)

    def close(self, code: int, reason: str) -> bytearray:
        """A close frame, without a code for 1005. The reason is cut to the 123 bytes there is room for."""
        return self._codec.close() if code == NO_STATUS else self._codec.close(code, reason)
