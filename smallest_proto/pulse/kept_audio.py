"""A window over a stream of bytes: it grows at one end and is forgotten at the other."""

from __future__ import annotations

_SMALL = 256
"""Bytes below which a piece is joined to the one before it: an object of its own would weigh as much."""


class KeptAudio:
    """Bytes, by their distance from the oldest that is kept.

    Kept in the pieces they came in. One long buffer would be copied whole every now and then, as it grows and as
    its beginning goes; a piece is only pointed at, and costs nothing while whoever sent it still has it.
    """

    __slots__ = ("_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, audio: bytes) -> None:
        """Keep these, too."""
        if len(audio) < _SMALL and self._pieces and len(self._pieces[-1]) < _SMALL:
            self._pieces[-1] += audio
        else:
            self._pieces.append(audio)
        self._size += len(audio)

    def forget(self, size: int) -> None:
        """Give up so many of the oldest, or all there are."""
        whole = 0
        self._size -= min(size, self._size)
        while whole < len(self._pieces) and len(self._pieces[whole]) <= size:
            size -= len(self._pieces[whole])
            whole += 1
        del self._pieces[:whole]
        if size and self._pieces:
            self._pieces[0] = self._pieces[0][size:]

    def read(self, begin: int, end: int) -> bytes:
        """Those between two distances."""
        found: list[bytes] = []
        at = 0
        for piece in self._pieces:
            if at >= end:
                break
            if at + len(piece) > begin:
                found.append(piece[max(0, begin - at) : end - at])
            at += len(piece)
        return b"".join(found)
