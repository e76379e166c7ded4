"""16-bit audio that arrives in pieces of any number of bytes."""

from __future__ import annotations


class SampleJoiner:
    """Hands on whole samples only: one byte out of step would turn all that follows into noise.

    Two odd pieces of one request in a row are a sample that was cut. An odd byte with anything else behind it
    is damage, and is dropped.
    """

    __slots__ = ("_byte", "_request")

    def __init__(self) -> None:
        self._byte = b""
        self._request = ""

    def push(self, audio: bytes, request_id: str) -> bytes:
        """The whole samples of this piece, after a byte held back if it belongs here."""
        if not len(audio) % 2:
            self._byte = b""
            return audio
        if self._byte and request_id == self._request:
            audio, self._byte = self._byte + audio, b""
            return audio
        self._byte, self._request = audio[-1:], request_id
        return audio[:-1]
