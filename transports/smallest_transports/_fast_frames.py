"""WebSocket messages masked in C: what a frame of audio costs most in Python."""

from __future__ import annotations

from os import urandom
from struct import Struct

from websockets.speedups import apply_mask

from smallest_proto.wire.frames import FrameWriter

_TEXT, _BINARY = 0x81, 0x82
_MASKED = 0x80

_SHORT, _MEDIUM, _LONG = Struct("!BB4s").pack, Struct("!BBH4s").pack, Struct("!BBQ4s").pack

_KEY_BYTES = 4
_POOL_BYTES = 4096
"""Random bytes asked for at once; each is used for one key and never again."""


class FastFrameWriter(FrameWriter):
    """A client's `FrameWriter`. The keys are the system's randomness: unpredictable, as RFC 6455 5.3 demands."""

    def __init__(self) -> None:
        super().__init__(client=True)
        self._pool = b""
        self._used = 0

    def message(self, message: str | bytes) -> bytes:
        """See `FrameWriter.message`."""
        first, payload = (_TEXT, message.encode()) if isinstance(message, str) else (_BINARY, message)
        size, key = len(payload), self._key()
        if size < 126:
            head = _SHORT(first, _MASKED | size, key)
        elif size < 1 << 16:
            head = _MEDIUM(first, _MASKED | 126, size, key)
        else:
            head = _LONG(first, _MASKED | 127, size, key)
        return head + apply_mask(payload, key)

    def _key(self) -> bytes:
        if self._used == len(self._pool):
            self._pool, self._used = urandom(_POOL_BYTES), 0
        start = self._used
        self._used += _KEY_BYTES
        return self._pool[start : self._used]
