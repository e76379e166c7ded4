"""Odd messages read field by field, on the way in and on the way out, and what closes and failures tell."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smallest_proto.errors import ConnectionLost, RemoteProtocolError, ServerError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role, UnknownMessage
from smallest_proto.pulse import PulseConnection, PulseOptions, SpeechEnded, SpeechStarted
from smallest_proto.pulse.accept import pulse_options
from smallest_proto.pulse.batch_decode import parse_batch, parse_webhook
from smallest_proto.pulse.batch_options import BatchOptions, check_url
from smallest_proto.pulse.batch_request import BatchPcm, BatchUrl, batch_request
from smallest_proto.pulse.batch_server import BatchAsked, batch_asked
from smallest_proto.pulse.decode import parse
from smallest_proto.pulse.messages import TranscriptMessage, Utterance, VadMessage
from smallest_proto.pulse.transcript import join_finals
from smallest_proto.pulse.usage import UsageMeter
from smallest_proto.pulse.words import read_utterance, read_word
from smallest_proto.wav import MAX_PCM_BYTES

ODD = {"word_timestamps": None}  # makes the reader take the fields one by one


def events_of(connection: PulseConnection) -> list[Event]:
    events = []
    while (event := connection.next_event()) is not NEED_DATA:
        events.append(event)
    return events


@pytest.mark.parametrize("more", [{}, ODD])
@pytest.mark.parametrize(
    ("message", "read"),
    [
        (
            {"type": "speech_ended", "session_id": "s", "timestamp": 1.5},
            VadMessage(type="speech_ended", session_id="s", timestamp=1.5),
        ),
        (
            {"type": "transcription", "status": "success", "session_id": "s", "speech_final": True},
            TranscriptMessage(type="transcription", status="success", session_id="s", speech_final=True),
        ),
        (
            {"type": "transcription", "language": "hi", "languages": ["hi", "en"], "from_finalize": False},
            TranscriptMessage(
                type="transcription", language="hi", languages=("hi", "en"), from_finalize=False
            ),
        ),
        (
            {"type": "transcription", "utterances": [{"text": "a", "start": 1.0, "end": 2.0, "speaker": 1}]},
            TranscriptMessage(
                type="transcription", utterances=(Utterance(text="a", start=1.0, end=2.0, speaker=1),)
            ),
        ),
    ],
)
def test_every_field_arrives(message: dict[str, Any], read: object, more: dict[str, None]) -> None:
    found = parse(json.dumps(message | more))
    for name in read.__struct_fields__:  # type: ignore[attr-defined]  # a msgspec.Struct, of one of two kinds
        assert getattr(found, name) == getattr(read, name), name


def test_times_that_are_missing_are_zero() -> None:
    word, utterance = read_word({"word": "a"}), read_utterance({"text": "a"})
    assert (word.start, word.end, utterance.start, utterance.end) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", [["x"], {"a": 1}, 5, None])
def test_a_server_takes_any_type_of_type(kind: object) -> None:
    server = PulseConnection(PulseOptions(), Role.SERVER)
    server.receive_message(json.dumps({"type": kind}), 0.0)
    (event,) = events_of(server)
    assert isinstance(event, UnknownMessage)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("code", [1000, 4000])
def test_closes_keep_code_and_reason(role: Role, code: int) -> None:
    connection = PulseConnection(PulseOptions(), role)
    connection.receive_close(code, "bye", 0.0)
    event = events_of(connection)[-1]
    assert isinstance(event, ConnectionClosed)
    assert (event.code, event.reason, event.expected) == (code, "bye", False)
    assert isinstance(event.error, ConnectionLost)
    if role is Role.SERVER:
        assert str(event.error) == "the client left before the end"


@pytest.mark.parametrize("role", Role)
def test_a_failure_after_an_asked_for_close_is_none(role: Role) -> None:
    connection = PulseConnection(PulseOptions(), role)
    connection.close(0.0)
    events_of(connection)
    connection.receive_close(1006, "", 0.0, error=ConnectionLost("x"))
    event = events_of(connection)[-1]
    assert isinstance(event, ConnectionClosed)
    assert (event.expected, event.error) == (True, None)


def test_a_close_without_a_word_is_final_where_the_language_has_another_host() -> None:
    connection = PulseConnection(PulseOptions(language="zh"))
    connection.receive_close(1000, "", 0.0)
    event = events_of(connection)[-1]
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, ServerError)
    assert (event.error.code, event.error.retryable) == ("LANGUAGE_NOT_ENABLED_IN_REGION", False)


def test_a_connection_shows_its_options() -> None:
    options = PulseOptions(language="hi")
    assert PulseConnection(options).options is options


def test_speech_is_inferred_where_no_server_tells_it() -> None:
    connection = PulseConnection(PulseOptions(vad_events=False))
    connection.receive_message(
        json.dumps({"type": "transcription", "transcript": "hi", "is_final": True}), 0.0
    )
    sources = [e.source for e in events_of(connection) if isinstance(e, SpeechStarted | SpeechEnded)]
    assert set(sources) == {"inferred"}


def test_finals_are_joined_by_spaces() -> None:
    assert join_finals(["a ", "", "b"]) == "a b"
    assert join_finals(["a ", "b"], language="zh") == "ab"


def test_seconds_of_many_packets_add_up() -> None:
    meter = UsageMeter()
    for _ in range(3):
        meter.push(0.1, 0.0)
    assert meter.flush(1.0) == 0.3


def test_keywords_without_a_boost() -> None:
    options = pulse_options("/stt/live?model=pulse&keywords=a,b:2")
    assert options is not None
    assert options.keywords == (("a", 1.0), ("b", 2.0))


HEADERS = (("retry-after", "7"), ("x-request-id", "q"))


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"status": "failed", "message": "bad", "details": ["d"]}, "BATCH_FAILED", "bad"),
        ({"status": "failed", "error_code": "C", "message": "bad", "details": ["d"]}, "C", "bad"),
        ({"status": "error", "error_code": "C", "message": "bad"}, "C", "bad"),
        ({"errors": ["bad"]}, None, "bad"),
        ({"error": "bad"}, None, "bad"),
    ],
)
def test_failures_keep_what_the_server_said(body: dict[str, Any], code: str | None, message: str) -> None:
    error = parse_batch(200, HEADERS, json.dumps(body).encode())
    assert isinstance(error, ServerError)
    assert (error.code, error.message, error.request_id, error.retry_after) == (code, message, "q", 7.0)
    assert error.details == tuple(body.get("details", error.details))
    if body.get("status") == "failed":
        assert str(error) == "the service could not transcribe the recording"


def test_answers_that_are_none() -> None:
    answer = parse_batch(200, (), b"[]")
    assert isinstance(answer, RemoteProtocolError)
    assert str(answer).startswith("a transcript was expected, and the answer is ")
    for body, start in (
        (b"[]", "a result was expected, and the webhook's body is "),
        (b'{"status": "processing"}', "a result was expected, and the webhook's body says "),
    ):
        told = parse_webhook(body)
        assert isinstance(told, RemoteProtocolError)
        assert str(told).startswith(start)
    moved = parse_batch(300, (), b'{"transcription": "hi"}')
    assert isinstance(moved, ServerError)


def test_samples_are_bounded_and_counted() -> None:
    BatchPcm(b"ab", 1)

    class Huge(bytes):
        def __len__(self) -> int:
            return MAX_PCM_BYTES + 2

    with pytest.raises(
        ValueError, match=f"^pcm: its length={MAX_PCM_BYTES + 2}: expected a whole number from 2"
    ):
        BatchPcm(Huge(), 8000)


def test_a_url_is_shown_cut() -> None:
    with pytest.raises(ValueError, match=r"^url='x{200}': expected"):
        check_url("url", "x" * 300)


def test_extra_may_not_replace_a_field() -> None:
    with pytest.raises(ValueError, match=r"^extra\['language'\]='en': expected the field language instead$"):
        BatchOptions(extra={"language": "en"})


def test_failures_are_final_where_their_code_is() -> None:
    body = {"status": "failed", "error_code": "CONTENT_FILTER_BLOCKED"}
    error = parse_batch(200, (), json.dumps(body).encode())
    assert isinstance(error, ServerError)
    assert error.retryable is False


def test_extra_of_a_stream_may_not_replace_a_field() -> None:
    with pytest.raises(ValueError, match=r"^extra\['language'\]='en': expected the field language instead$"):
        PulseOptions(extra={"language": "en"})


def test_a_url_comes_with_its_options() -> None:
    headers = [("content-type", "application/json; a=b")]
    asked = batch_asked("POST", "/stt/?model=pulse&language=hi", headers, b'{"url": "https://a/b"}')
    assert isinstance(asked, BatchAsked)
    assert (asked.url, asked.options.language, asked.content_type) == ("https://a/b", "hi", headers[0][1])


@pytest.mark.parametrize("expire", [True, False])
def test_content_expires_only_when_asked(expire: bool) -> None:
    made = batch_request(BatchUrl("https://a/b"), BatchOptions(expire_content=expire), api_key=None)
    assert ("x-expire-content" in {name.lower() for name, _ in made.headers}) == expire
