"""Reading what a server sends: one fast pass and one lenient pass that agree, and nothing that raises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_strategies import TRANSCRIPTS, VADS
from smallest_proto.errors import ServerError
from smallest_proto.events import NEED_DATA, Event, ServerErrorReceived, UnknownMessage
from smallest_proto.pulse import FinalTranscript, InterimTranscript, PulseConnection, PulseOptions
from smallest_proto.pulse.decode import parse
from smallest_proto.pulse.messages import PongMessage, TranscriptMessage, VadMessage

DEEP = 100_000


def events_of(*messages: str | bytes, options: PulseOptions = PulseOptions()) -> list[Event]:
    connection = PulseConnection(options)
    for message in messages:
        connection.receive_message(message, 0.0)
    events = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


@pytest.mark.parametrize("compat", ["default", "seed"])
@given(message=TRANSCRIPTS | VADS)
def test_the_fast_and_the_lenient_pass_agree(compat: Any, message: dict[str, Any]) -> None:
    options = PulseOptions(compat=compat, diarize=True)
    fast = events_of(json.dumps(message), options=options)
    assert fast == events_of(json.dumps({**message, "word_timestamps": None}), options=options)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ({"type": "error"}, ServerError),
        ({"type": "error", "transcript": "x"}, ServerError),
        ({"error": "x"}, ServerError),
        ({"errors": ["x"]}, ServerError),
        ({"error_code": "x", "is_final": True}, ServerError),
        ({"error": None}, ServerError),
        ({"type": "transcription", "error": None}, ServerError),
        ({"status": "error", "transcript": "x", "type": "transcription"}, ServerError),
        ({"status": "error", "type": "speech_started"}, ServerError),
        ({"error": "x", "transcript": ""}, TranscriptMessage),
        ({"error": "x", "transcription": None, "type": "transcription"}, TranscriptMessage),
        ({"type": "pong"}, PongMessage),
        ({"type": "speech_started"}, VadMessage),
        ({"type": "speech_ended", "timestamp": "soon"}, VadMessage),
        ({"type": "transcription"}, TranscriptMessage),
        *(({key: None}, TranscriptMessage) for key in ("transcript", "transcription", "is_final", "is_last")),
        ({"type": None, "is_final": False}, TranscriptMessage),
        ({"type": "", "transcript": "x"}, UnknownMessage),
        ({"type": 5, "transcript": "x"}, UnknownMessage),
        ({"session_id": "s"}, UnknownMessage),
        ({}, UnknownMessage),
        ({"type": ["transcription"]}, UnknownMessage),
    ],
)
def test_kinds(message: dict[str, Any], kind: type) -> None:
    assert isinstance(parse(json.dumps(message)), kind)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("[]", "JSON, but not an object"),
        ('"text"', "JSON, but not an object"),
        ("17", "JSON, but not an object"),
        ("null", "JSON, but not an object"),
        ("true", "JSON, but not an object"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("NaN", "not JSON"),
        ('{"is_final": NaN}', "not JSON"),
        ('{"words": [{"start": 1e999}]}', "not JSON"),
        ('{"transcript": "\ud800"}', "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[" * DEEP, "JSON nested too deep"),
        ('{"a":' * DEEP + "1" + "}" * DEEP, "JSON nested too deep"),
        (b'{"transcript": "binary", "is_final": true}', "a binary message"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_means_nothing(message: str | bytes, reason: str) -> None:
    before, *after = events_of(message, '{"transcript": "later", "is_final": true}')
    assert before == UnknownMessage(reason=reason, data=message[:2000])
    assert [getattr(e, "text", "") for e in after] == ["", "later", ""]


BIG = int("9" * 400)
WORD = {"word": "hi", "start": 0.5, "end": 1.0, "confidence": 0.5, "speaker": 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"words": "hi"}, {"words": []}),
        ({"words": ["hi", "there"]}, {"words": []}),
        ({"words": {"word": "hi"}}, {"words": []}),
        ({"words": [None, 1, WORD]}, {"words": ["hi"], "start": 0.5, "end": 1.0}),
        ({"words": [{**WORD, "start": None}]}, {"words": ["hi"], "start": 0.0, "end": 1.0}),
        ({"words": [{**WORD, "start": "0.5"}]}, {"start": 0.0, "end": 1.0}),
        ({"words": [{**WORD, "start": True}]}, {"start": 0.0, "end": 1.0}),
        ({"words": [{**WORD, "end": BIG}]}, {"start": 0.5, "end": 0.0}),
        ({"words": [{**WORD, "word": 5}]}, {"words": [""], "start": 0.5}),
        ({"words": [{"start": 0.5}]}, {"words": [""], "confidence": 0.0, "speaker": None}),
        ({"words": [{**WORD, "confidence": "high"}]}, {"confidence": 0.0}),
        ({"words": [{**WORD, "confidence": BIG}]}, {"confidence": 0.0}),
        ({"words": [{**WORD, "speaker": True}]}, {"speaker": None}),
        ({"words": [{**WORD, "speaker": 1.5}]}, {"speaker": None}),
        ({"words": [{**WORD, "speaker": ["S1"]}]}, {"speaker": None}),
        ({"words": [{**WORD, "speaker": BIG}]}, {"speaker": f"S{BIG}"}),
        ({"words": None, "word_timestamps": [WORD]}, {"words": ["hi"]}),
        ({"word_timestamps": "hi"}, {"words": []}),
        ({"utterances": [{"transcript": "old", "start": 1}, {"text": 5}, 6]}, {"utterances": ["old", ""]}),
        ({"utterances": 5}, {"utterances": []}),
        ({"language": 5}, {"language": "en"}),
        ({"languages": ["en", 5]}, {"languages": ("en",)}),
        ({"languages": "en"}, {"languages": ()}),
        ({"redacted_entities": {"a": 1}}, {"redacted_entities": ()}),
        ({"session_id": 7}, {"session_id": ""}),
        ({"from_finalize": 0}, {"from_finalize": False}),
        ({"full_transcript": []}, {"full_transcript": None}),
        ({"type": "transcription", "is_final": "yes"}, {"text": "hello"}),
        ({"is_last": 1}, {"is_last": True}),
        ({"speech_final": "true"}, {"text": "hello"}),
        ({"timestamp": "never", "unknown": {"a": [1]}}, {"text": "hello"}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_types_count_as_missing(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    message = {"transcript": "hello", "is_final": True, **fields}
    events = events_of(json.dumps(message), options=PulseOptions(diarize=True))
    final = next(e for e in events if isinstance(e, FinalTranscript))
    shown = {
        **{name: getattr(final, name) for name in final.__struct_fields__},
        "words": [w.word for w in final.words],
        "utterances": [u.text for u in final.utterances],
    }
    assert {key: shown[key] for key in expected} == expected


@pytest.mark.parametrize("transcript", [5, 1.5, [], {}, True, ["hello"]])
def test_a_transcript_that_is_no_text(transcript: object) -> None:
    blank = json.dumps({"transcript": transcript, "is_final": True})
    assert [getattr(e, "text", "") for e in events_of(blank, '{"transcript": "later"}')] == ["", "later"]
    both = json.dumps({"transcript": transcript, "transcription": "this", "is_final": True})
    assert [getattr(e, "text", "") for e in events_of(both)] == ["", "this", ""]


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ({"type": "error", "status": "error", "message": "Unsupported"}, None, "Unsupported"),
        ({"type": "error", "error_code": "X", "message": "m"}, "X", "m"),
        ({"error": "model not loaded"}, None, "model not loaded"),
        ({"type": "error", "error": {"message": "m", "code": "c"}}, "c", "m"),
        ({"error": [{"code": "custom", "path": ["a"], "message": "m"}]}, "custom", "a: m"),
        ({"status": "error", "errors": ["a", "b"]}, None, "a; b"),
        ({"type": "error", "message": 5}, None, "5"),
        ({"type": "error"}, None, ""),
        ({"error": None}, None, ""),
        ({"error": BIG, "errors": {"a": 1}, "error_code": [], "message": None}, None, ""),
    ],
)
def test_shapes_of_errors(message: dict[str, Any], code: str | None, text: str) -> None:
    (event,) = events_of(json.dumps(message))
    assert isinstance(event, ServerErrorReceived)
    assert (event.error.code, event.error.message) == (code, text)
    assert "Unsupported" not in str(event.error)


def test_the_raw_message_on_request_only() -> None:
    text = '{"transcript": "hi", "is_final": true, "emotion": {"happy": 1}}'
    for options, raw in ((PulseOptions(include_raw=True), json.loads(text)), (PulseOptions(), None)):
        final = next(e for e in events_of(text, options=options) if isinstance(e, FinalTranscript))
        assert final.raw == raw
    interim = events_of('{"transcript": "hi"}', options=PulseOptions(include_raw=True))[1]
    assert isinstance(interim, InterimTranscript)
    assert interim.raw == {"transcript": "hi"}


def test_a_raw_message_that_only_the_typed_pass_can_read() -> None:
    text = '{"type": "transcription", "transcript": "hi", "z": 1e999}'
    interim = events_of(text, options=PulseOptions(include_raw=True))[1]
    assert isinstance(interim, InterimTranscript)
    assert (interim.text, interim.raw) == ("hi", None)


@given(st.text(max_size=200), st.integers(0, 4000))
def test_what_is_kept_of_an_unknown_message_is_bounded(text: str, more: int) -> None:
    (event,) = events_of("?" + text + "x" * more)
    assert isinstance(event, UnknownMessage)
    assert event.data == ("?" + text + "x" * more)[:2000]
