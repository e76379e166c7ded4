"""Reading what a Lightning server sends: a typed pass for what is expected, a lenient second for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeAlias, TypeVar

import msgspec

from smallest_proto.error_shapes import server_error
from smallest_proto.errors import ServerError
from smallest_proto.events import UnknownMessage
from smallest_proto.json_text import load_object, number, text_or_none, unknown


class Chunk(msgspec.Struct, frozen=True):
    """Audio, as many bytes as the server put into one frame; it may put none."""

    request_id: str
    audio: bytes


class BadChunk(msgspec.Struct, frozen=True):
    """A chunk whose audio is not base64: what it holds is lost, and guessing would be noise."""

    request_id: str


class TimedWord(msgspec.Struct, frozen=True):
    """A word and its seconds on the server's clock."""

    request_id: str
    word: str
    start: float
    end: float
    index: int | None


class Complete(msgspec.Struct, frozen=True):
    """The server is done with this request."""

    request_id: str


Base64: TypeAlias = Callable[[str], bytes]
"""Decodes base64 of RFC 4648 section 4, padded, with nothing else between; raises ValueError for anything else."""

A = TypeVar("A", bytes, str)

Parsed: TypeAlias = Chunk | BadChunk | TimedWord | Complete | ServerError | UnknownMessage


class _Data(msgspec.Struct, Generic[A], frozen=True):
    audio: A | None = None
    id: int | None = None
    word: str | None = None
    start: float | None = None
    end: float | None = None


class _Frame(msgspec.Struct, Generic[A], frozen=True):
    status: str
    request_id: str = ""
    data: _Data[A] | None = None


_decoder = msgspec.json.Decoder(_Frame[bytes])
_text_decoder = msgspec.json.Decoder(_Frame[str])
_NO_DATA = _Data[bytes]()


def parse(message: str | bytes, base64: Base64 | None = None) -> Parsed:
    """One message of the server, as one of its kinds. Never raises because of what is in it.

    `base64` is for the audio, if you have it faster than msgspec.
    """
    if isinstance(message, bytes):
        return unknown("binary message", message)
    try:
        frame = _decoder.decode(message) if base64 is None else _text_decoder.decode(message)
        if frame.status == "chunk":
            audio = (frame.data or _NO_DATA).audio or b""
            if isinstance(audio, str):
                assert base64 is not None  # with msgspec's, there is no text here
                audio = base64(audio)
            return Chunk(frame.request_id, audio)
    except (ValueError, RecursionError):
        return _parse_leniently(message)
    if frame.status == "complete":
        return Complete(frame.request_id)
    if frame.status == "word_timestamp":
        data = frame.data or _NO_DATA
        return _word(message, frame.request_id, data.word, data.start, data.end, data.id)
    return _parse_leniently(message)


def _parse_leniently(message: str) -> Parsed:
    """Whatever can be made of the fields; one of the wrong type counts as missing, but for the audio."""
    obj = load_object(message)
    if isinstance(obj, UnknownMessage):
        return obj
    payload = obj.get("payload")
    if obj.get("status") is None and isinstance(payload, dict):
        obj = {**obj, **payload}  # an old nesting, seen once [sdk 5.14]
    status = obj.get("status")
    if _is_error(obj):
        return server_error(obj)
    request_id = text_or_none(obj.get("request_id")) or ""
    value = obj.get("data")
    data: Mapping[str, object] = value if isinstance(value, dict) else {}
    if status == "chunk":
        return _chunk(request_id, data.get("audio"))
    if status == "complete":
        return Complete(request_id)
    if status == "word_timestamp":
        index = data.get("id")
        return _word(
            message,
            request_id,
            text_or_none(data.get("word")),
            number(data.get("start")),
            number(data.get("end")),
            index if type(index) is int else None,
        )
    return unknown("no known status", message)


def _is_error(obj: Mapping[str, object]) -> bool:
    if obj.get("status") == "error" or obj.get("type") == "error":
        return True
    return not isinstance(obj.get("status"), str) and any(
        obj.get(key) for key in ("error", "errors", "error_code")
    )


def _chunk(request_id: str, audio: object) -> Chunk | BadChunk:
    try:
        return Chunk(request_id, msgspec.convert("" if audio is None else audio, bytes))
    except msgspec.ValidationError:
        return BadChunk(request_id)


def _word(
    message: str, request_id: str, word: str | None, start: float | None, end: float | None, index: int | None
) -> TimedWord | UnknownMessage:
    if word is None or start is None or end is None:
        return unknown("word_timestamp without word, start or end", message)
    return TimedWord(request_id, word, start, end, index)
