"""Reading what a Pulse server sends: one typed pass for what is expected, a lenient second one for the rest.

The order of the tests that tell the kinds apart follows [lk 1.8.9]. `type` and `status` are missing from
several documented samples, so neither is required.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from smallest_proto import json_text
from smallest_proto.error_shapes import server_error
from smallest_proto.errors import ServerError
from smallest_proto.events import UnknownMessage
from smallest_proto.json_text import load_object, unknown
from smallest_proto.pulse.messages import (
    VAD_TYPES,
    PongMessage,
    TranscriptMessage,
    VadMessage,
)
from smallest_proto.pulse.words import read_utterance, read_word

Parsed: TypeAlias = TranscriptMessage | VadMessage | PongMessage | ServerError | UnknownMessage

_TEXT_KEYS = ("transcript", "transcription")
_TRANSCRIPT_KEYS = (*_TEXT_KEYS, "is_final", "is_last")
_ERROR_KEYS = ("error", "errors", "error_code")


class _Frame(TranscriptMessage, frozen=True, kw_only=True):
    """A transcription, plus the keys of other kinds and of odd samples; one that is UNSET must be absent."""

    error: msgspec.UnsetType = msgspec.UNSET
    errors: msgspec.UnsetType = msgspec.UNSET
    error_code: msgspec.UnsetType = msgspec.UNSET
    word_timestamps: msgspec.UnsetType = msgspec.UNSET
    timestamp: float | None = None


class _Flag(msgspec.Struct):
    from_finalize: object = None


_decoder = msgspec.json.Decoder(_Frame)
_flag_decoder = msgspec.json.Decoder(_Flag)


def parse(data: str | bytes) -> Parsed:
    """One text message of the server, as one of its kinds. Never raises because of what is in it."""
    try:
        frame = _decoder.decode(data)
    except (ValueError, RecursionError):
        return _parse_leniently(data)
    if frame.status == "error":
        return _parse_leniently(data)
    if frame.type == "transcription":
        return frame
    if frame.type in VAD_TYPES:
        return VadMessage(type=frame.type, session_id=frame.session_id, timestamp=frame.timestamp)
    return _parse_leniently(data)


def answers_finalize(data: str | bytes) -> bool:
    """Whether a text message that `parse` has read says so itself."""
    return bool(_flag_decoder.decode(data).from_finalize)


def _parse_leniently(data: str | bytes) -> Parsed:
    obj = load_object(data)
    if isinstance(obj, UnknownMessage):
        return obj
    kind = obj.get("type")
    if _is_error(obj):
        return server_error(obj)
    if kind == "pong":
        return PongMessage()
    if kind in VAD_TYPES:
        return VadMessage(
            type=str(kind),
            session_id=json_text.text(obj.get("session_id")),
            timestamp=json_text.number(obj.get("timestamp")),
        )
    if kind == "transcription" or (kind is None and any(key in obj for key in _TRANSCRIPT_KEYS)):
        return _transcript(obj)
    return unknown("no known type", data)


def _is_error(obj: Mapping[str, object]) -> bool:
    if obj.get("type") == "error" or obj.get("status") == "error":
        return True
    return any(key in obj for key in _ERROR_KEYS) and not any(key in obj for key in _TEXT_KEYS)


def _transcript(obj: Mapping[str, object]) -> TranscriptMessage:
    """Whatever can be made of the fields; one of the wrong type counts as missing."""
    flag = obj.get("from_finalize")
    return TranscriptMessage(
        type=json_text.text(obj.get("type")),
        status=json_text.text(obj.get("status")),
        session_id=json_text.text(obj.get("session_id")),
        transcript=json_text.text_or_none(obj.get("transcript")),
        transcription=json_text.text_or_none(obj.get("transcription")),
        full_transcript=json_text.text_or_none(obj.get("full_transcript")),
        is_final=bool(obj.get("is_final")),
        is_last=bool(obj.get("is_last")),
        from_finalize=None if flag is None else bool(flag),
        speech_final=True if obj.get("speech_final") is True else None,
        language=json_text.text_or_none(obj.get("language")),
        languages=json_text.texts(obj.get("languages")),
        words=tuple(read_word(w) for w in json_text.objects(obj.get("words") or obj.get("word_timestamps"))),
        utterances=tuple(read_utterance(u) for u in json_text.objects(obj.get("utterances"))),
        redacted_entities=json_text.texts(obj.get("redacted_entities")),
    )
