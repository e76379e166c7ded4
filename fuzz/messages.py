"""JSON messages from bytes, so that a change of one byte changes one key or one value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

KEYS = (
    *(
        "type",
        "status",
        "transcript",
        "is_final",
        "is_last",
        "words",
        "session_id",
        "request_id",
        "data",
        "audio",
    ),
    *("transcription", "from_finalize", "speech_final", "language", "languages", "utterances", "timestamp"),
    *(
        "full_transcript",
        "redacted_entities",
        "word_timestamps",
        "word",
        "text",
        "start",
        "end",
        "confidence",
    ),
    *(
        "speaker",
        "speaker_confidence",
        "id",
        "error",
        "errors",
        "error_code",
        "message",
        "code",
        "details",
        "path",
    ),
    *(
        "options",
        "payload",
        "voice_id",
        "context_id",
        "continue",
        "flush",
        "cancel_request",
        "sample_rate",
        "speed",
    ),
    *(
        "content_filter",
        "enabled",
        "action",
        "pronunciation_dicts",
        "complete_backoff_ms",
        "recommended_endpoint",
    ),
)
"""What the protocols name, in either direction, nested or not."""

VALUES: tuple[Any, ...] = (
    *(
        "transcription",
        "chunk",
        "error",
        "complete",
        "word_timestamp",
        "speech_started",
        "speech_ended",
        "pong",
    ),
    *(
        True,
        False,
        None,
        0,
        1,
        -1,
        0.5,
        1e300,
        1 << 62,
        10**400,
        "",
        " ",
        "Hi there.",
        "x",
        [],
        {},
        "AAABAA==",
        "!",
    ),
    *(
        [1],
        ["a", None],
        [[]],
        [{}],
        {"a": 1},
        {"message": "no", "code": "X"},
        24000,
        16000,
        "finalize",
        "keepalive",
    ),
    *(
        "close_stream",
        "reject",
        "s" * 40,
        "\u0000",
        "\U0001f600",
        "a" * 128,
        "task_1",
        "task_2",
        [{"word": 1}],
    ),
)
"""Words that mean something somewhere, and one of every type."""

_DEEPEST = 20
_OBJECT, _LIST, _END = b"{[}"


def message(argument: bytes) -> str:
    """An object: a byte for each key and one for its value, counted from "0"; `{` nests, `[` too, `}` ends."""
    return json.dumps(_members(iter(argument), 0))


def _members(data: Iterator[int], depth: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for byte in data:
        if byte == _END or depth > _DEEPEST:
            break
        members[KEYS[(byte - ord("0")) % len(KEYS)]] = _value(data, depth)
    return members


def _value(data: Iterator[int], depth: int) -> Any:
    byte = next(data, ord("0"))
    if byte == _OBJECT:
        return _members(data, depth + 1)
    return [_members(data, depth + 1)] if byte == _LIST else VALUES[(byte - ord("0")) % len(VALUES)]


def pack(members: Mapping[str, Any]) -> bytes:
    """The argument that gives this message; keys and values must be among those here."""
    out = bytearray()
    for key, value in members.items():
        inner = value[0] if isinstance(value, list) and value not in VALUES else value
        out.append(ord("0") + KEYS.index(key))
        if isinstance(inner, Mapping) and inner not in VALUES:
            out += bytes([_OBJECT if inner is value else _LIST]) + pack(inner) + bytes([_END])
        else:
            out.append(ord("0") + VALUES.index(value))
    return bytes(out)
