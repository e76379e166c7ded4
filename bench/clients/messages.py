"""What the hand-written msgspec clients decode."""

from __future__ import annotations

import msgspec


class Word(msgspec.Struct):
    """A word of a transcript."""

    word: str
    start: float
    end: float
    confidence: float


class Transcript(msgspec.Struct):
    """A transcription message."""

    transcript: str
    is_final: bool
    is_last: bool
    words: list[Word] = []


class Piece(msgspec.Struct):
    """The audio of a chunk; msgspec decodes the base64."""

    audio: bytes


class Chunk(msgspec.Struct):
    """A Lightning message."""

    status: str
    data: Piece | None = None


transcript = msgspec.json.Decoder(Transcript).decode
chunk = msgspec.json.Decoder(Chunk).decode
encode = msgspec.json.encode
