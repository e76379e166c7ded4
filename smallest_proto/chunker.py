"""Cutting a stream of audio into packets."""

from __future__ import annotations


class Chunker:
    """Re-cuts a stream of bytes into packets of one size, keeping the rest for the next call.

    size: bytes, 0 or more. 0 passes every piece through as it is, which is right for compressed audio: one Opus
        packet is one WebSocket message.
    held: what another chunker held back; it goes before everything else.
    """

    __slots__ = ("_rest", "size")

    def __init__(self, size: int, held: bytes = b"") -> None:
        self.size = size
        self._rest = held

    def push(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Add `data` and return the packets that are now whole, in order."""
        size, data = self.size, bytes(data)
        if not size:
            return [*self.flush(), data]
        rest = self._rest
        if len(rest) + len(data) < size:
            self._rest = rest + data
            return []
        if rest:
            data = rest + data
        elif len(data) == size:
            return [data]
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        return [data[i : i + size] for i in range(0, whole, size)]

    def flush(self) -> list[bytes]:
        """Return what is held back and forget it; the last packet has its true length and no padding."""
        rest, self._rest = self._rest, b""
        size = self.size or len(rest) or 1
        return [rest[i : i + size] for i in range(0, len(rest), size)]
