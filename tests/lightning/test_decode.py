"""Reading a server: whatever comes, nothing is raised, and the two ways of reading agree."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ServerError
from smallest_proto.events import UnknownMessage
from smallest_proto.lightning.decode import BadChunk, Chunk, Complete, TimedWord, parse
from smallest_proto.lightning.requests import Request, parse_request

KEYS = st.sampled_from(
    [
        *(
            "status",
            "type",
            "request_id",
            "session_id",
            "data",
            "audio",
            "id",
            "word",
            "start",
            "end",
            "payload",
        ),
        *("message", "error", "errors", "error_code", "code", "text", "voice_id", "context_id", "continue"),
        *("flush", "sample_rate", "speed", "content_filter", "pronunciation_dicts", "cancel_request"),
    ]
)
WORDS = st.sampled_from(["chunk", "complete", "word_timestamp", "error", "AAAA", "A", "", " ", "meher"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=5), max_leaves=20
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=8)


@given(OBJECTS | VALUES)
def test_any_json(value: Any) -> None:
    text = json.dumps(value)
    assert isinstance(parse(text), Chunk | BadChunk | TimedWord | Complete | ServerError | UnknownMessage)
    assert isinstance(parse_request(text), Request | str)


@given(st.text() | st.binary())
def test_any_text(message: str | bytes) -> None:
    parse(message)
    parse_request(message)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "NaN", "\ud800", '{"status":"chunk","data":{"start":NaN}}', "[" * 100_000),
        '{"status":"chunk","x":' + "[" * 100_000,
        '{"status":"word_timestamp","data":{"word":"a","start":1e999,"end":2}}',
    ],
)
def test_what_is_no_json(text: str) -> None:
    assert isinstance(parse(text), UnknownMessage)
    assert isinstance(parse_request(text), str)


@given(st.binary(max_size=50), st.sampled_from(["", "task_1"]))
def test_both_ways_agree(audio: bytes, request_id: str) -> None:
    message = {
        "status": "chunk",
        "request_id": request_id,
        "data": {"audio": base64.b64encode(audio).decode()},
    }
    assert parse(json.dumps(message)) == Chunk(request_id, audio)
    message["data"] = {**message["data"], "id": "wrong"}  # type: ignore[dict-item]
    assert parse(json.dumps(message)) == Chunk(request_id, audio)


def by_hand(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


@given(OBJECTS | VALUES)
def test_with_base64_of_its_own_any_json_is_read_alike(value: Any) -> None:
    assert str(parse(json.dumps(value), by_hand)) == str(parse(json.dumps(value)))


@pytest.mark.parametrize("audio", ["", "AAAA", "AA==", "AAA", "A*==", None, 7])
def test_audio_is_decoded_by_what_was_given_and_its_refusals_are_judged_as_ever(audio: object) -> None:
    seen: list[str] = []

    def watched(text: str) -> bytes:
        seen.append(text)
        return by_hand(text)

    message = json.dumps({"status": "chunk", "data": {"audio": audio}})
    assert parse(message, watched) == parse(message)
    assert seen == ([audio] if isinstance(audio, str) and audio else [])


@given(st.text("AB=+/-_ *", max_size=6))
def test_both_ways_agree_on_what_is_base64(audio: str) -> None:
    fast = parse(json.dumps({"status": "chunk", "data": {"audio": audio}}))
    slow = parse(json.dumps({"status": "chunk", "data": {"audio": audio, "id": "wrong"}}))
    assert fast == slow
    assert isinstance(fast, Chunk | BadChunk)
