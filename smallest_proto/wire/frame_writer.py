"""WebSocket frames that go out: RFC 6455 section 5, no extensions.

Every message is one frame and is written here, not by wsproto, which writes close frames. A test holds the two
against each other.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeAlias

from wsproto.frame_protocol import FrameProtocol

from smallest_proto.wire.frames import BINARY, MASKED, NO_STATUS, TEXT

_PING, _PONG = 0x89, 0x8A
"""The first byte of a control frame."""

_SHORT, _MEDIUM, _LONG = struct.Struct("!BB").pack, struct.Struct("!BBH").pack, struct.Struct("!BBQ").pack
"""A frame's header, by the form of its length."""

_KEY_BYTES = 4
_POOL_BYTES = 64
"""Random bytes asked of the system at once: the call costs the same for a few."""

Mask: TypeAlias = Callable[[bytes, bytes], bytes | bytearray]
"""Takes a payload and a key of 4 bytes; returns the payload under that key (RFC 6455 section 5.3)."""


class FrameWriter:
    """Messages and control frames in, bytes out. A client's are masked by `mask`, each with a fresh random key."""

    __slots__ = ("_client", "_mask", "_pool", "_used")

    def __init__(self, *, client: bool, mask: Mask | None = None) -> None:
        self._client = client
        self._mask = mask or mask_bytes
        self._pool = b""
        self._used = 0

    def message(self, message: str | bytes) -> bytes:
        """One unfragmented message: str as text, bytes as binary."""
        if isinstance(message, str):
            return self._frame(TEXT, message.encode())
        return self._frame(BINARY, message)

    def ping(self) -> bytes:
        """A ping without payload."""
        return self._frame(_PING, b"")

    def pong(self, payload: bytes) -> bytes:
        """The answer to a ping."""
        return self._frame(_PONG, payload)

    def close(self, code: int, reason: str) -> bytes:
        """A close frame, without a code for 1005. The reason is cut to the 123 bytes there is room for."""
        codec = FrameProtocol(self._client, [])
        return bytes(codec.close() if code == NO_STATUS else codec.close(code, reason))

    def row(self, messages: Sequence[str | bytes]) -> bytes:
        """Several messages, each as `message` has it, in less time."""
        pieces: list[bytes | bytearray] = []
        keys = os.urandom(_KEY_BYTES * len(messages)) if self._client else b""
        head, size, used = b"", -1, 0
        for message in messages:
            if isinstance(message, str):
                pieces.append(self.message(message))
                continue
            if len(message) != size:  # packets of audio are as long as the one before
                size = len(message)
                head = self._head(BINARY, size)
            if keys:
                key = keys[used : used + _KEY_BYTES]
                used += _KEY_BYTES
                pieces += (head, key, self._mask(message, key))
            else:
                pieces += (head, message)
        return b"".join(pieces)

    def _head(self, first: int, size: int) -> bytes:
        masked = MASKED if self._client else 0
        if size < 126:
            return _SHORT(first, masked | size)
        if size < 1 << 16:
            return _MEDIUM(first, masked | 126, size)
        return _LONG(first, masked | 127, size)

    def _frame(self, first: int, payload: bytes) -> bytes:
        head = self._head(first, len(payload))
        if not self._client:
            return head + payload
        # four bytes of the system's randomness, never handed out again: unpredictable, as RFC 6455 5.3 wants
        if self._used == len(self._pool):
            self._pool, self._used = os.urandom(_POOL_BYTES), 0
        start = self._used
        self._used = end = start + _KEY_BYTES
        key = self._pool[start:end]
        return head + key + self._mask(payload, key)


_number = int.from_bytes


def mask_bytes(payload: bytes, key: bytes) -> bytes:
    """The `Mask` that needs no C of our own: as one number."""
    size = len(payload)
    mask = _number(key) * _ones((size + 3) // 4)
    if size % 4:
        mask >>= 8 * (-size % 4)
    return (_number(payload) ^ mask).to_bytes(size)


@lru_cache(maxsize=16)
def _ones(words: int) -> int:
    """What repeats a number of 32 bits so many times."""
    return int.from_bytes(b"\x00\x00\x00\x01" * words)
