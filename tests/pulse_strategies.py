"""What a Pulse server may send, and what it may not: hypothesis strategies for messages, both as JSON text."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

TEXTS = st.sampled_from(["", " ", ".", "।", "hi", "Hi there. ", "_", "你好"])
TIMES = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0]) | st.floats(0, 100, allow_subnormal=False)
CONFIDENCES = st.none() | st.floats(0, 1)
SPEAKERS = st.none() | st.integers(0, 3) | st.sampled_from(["speaker_0", "speaker_1", "x"])

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value, and with NaN and Infinity some that JSON does not have."""


def optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


WORDS = st.lists(
    st.builds(
        lambda start, length, rest: {"start": start, "end": start + length} | rest,
        TIMES,
        st.floats(0, 2),
        st.fixed_dictionaries(
            {"word": TEXTS},
            optional={"confidence": CONFIDENCES, "speaker": SPEAKERS, "speaker_confidence": CONFIDENCES},
        ),
    ),
    max_size=4,
)
UTTERANCES = st.lists(st.fixed_dictionaries({"text": TEXTS, "start": TIMES, "end": TIMES}), max_size=2)
CODES = st.sampled_from(["en", "hi", ""])

TRANSCRIPTS = st.builds(
    lambda head, rest: {**head, **rest},
    st.fixed_dictionaries({"type": st.just("transcription"), "transcript": TEXTS, "is_final": st.booleans()}),
    optional(
        transcription=st.none() | TEXTS,
        full_transcript=st.none() | TEXTS,
        session_id=st.sampled_from(["a", "b", ""]),
        from_finalize=st.none() | st.booleans(),
        speech_final=st.none() | st.booleans(),
        language=st.none() | CODES,
        languages=st.lists(CODES, max_size=2),
        words=WORDS,
        utterances=UTTERANCES,
        redacted_entities=st.lists(TEXTS, max_size=2),
        emotion=JSON.filter(lambda value: "NaN" not in json.dumps(value) and "Inf" not in json.dumps(value)),
    ),
)
"""Transcriptions with every field of its type; none is the last."""

VADS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["speech_started", "speech_ended"]),
        "session_id": st.just("a"),
        "timestamp": TIMES,
    }
)
KEYS = st.sampled_from(
    (
        *(
            "type",
            "status",
            "session_id",
            "transcript",
            "transcription",
            "full_transcript",
            "is_final",
            "is_last",
        ),
        *("from_finalize", "speech_final", "language", "languages", "words", "word_timestamps", "utterances"),
        *("redacted_entities", "timestamp", "error", "errors", "error_code", "message", "code", "request_id"),
    )
)
WRONG_TYPED = st.builds(
    lambda base, wrong: {**base, **wrong}, TRANSCRIPTS | VADS, st.dictionaries(KEYS, JSON)
)
WRONG_WORDS = st.builds(
    lambda base, words: {**base, "words": words},
    TRANSCRIPTS,
    st.lists(st.dictionaries(st.sampled_from(["word", "start", "end", "confidence", "speaker"]), JSON)),
)

VALID_MESSAGES = st.one_of(TRANSCRIPTS, TRANSCRIPTS, VADS, st.just({"type": "pong"})).map(json.dumps)
LAST_MESSAGES = TRANSCRIPTS.map(lambda message: json.dumps({**message, "is_last": True}))
ERRORS = st.sampled_from(['{"error": "no"}', '{"type": "error"}', '{"status": "error", "errors": [1]}'])
HOSTILE_MESSAGES: st.SearchStrategy[str | bytes] = st.one_of(
    WRONG_TYPED.map(json.dumps),
    WRONG_WORDS.map(json.dumps),
    JSON.map(json.dumps),
    st.text(),
    st.text(st.characters()),
    st.binary(),
)
"""Wrong types, any JSON, any text (lone surrogates too), any bytes."""
