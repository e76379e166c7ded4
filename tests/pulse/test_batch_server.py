"""The server end of Pulse batch: what it refuses, and that its answers say what they were given."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import RemoteProtocolError, ServerError
from smallest_proto.http_reply import HttpReply
from smallest_proto.pulse import (
    BatchAccepted,
    BatchAsked,
    BatchOptions,
    BatchRefusal,
    BatchResult,
    Utterance,
    Word,
    batch_asked,
    batch_refusal,
    batch_reply,
    parse_batch,
    parse_webhook,
    webhook_body,
)
from smallest_proto.pulse.batch_options import WIRE_NAMES
from smallest_proto.pulse.batch_refusals import TABLE

RAW = [("content-type", "application/octet-stream")]
JSON = [("content-type", "application/json; charset=utf-8")]
STT = "/waves/v1/stt/?model=pulse&language=en"


def refused(target: str, headers: list[tuple[str, str]] = RAW, body: bytes = b"x") -> str:
    """The words of a 400."""
    reply = batch_asked("POST", target, headers, body)
    assert isinstance(reply, HttpReply)
    assert (reply.status, reply.headers) == (400, (("Content-Type", "application/json"),))
    error = parse_batch(reply.status, reply.headers, reply.body)
    assert isinstance(error, ServerError)
    return error.message


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/stt/?language=en", "model: missing required query parameter"),
        ("/stt/?model=pulse", "language: missing required query parameter"),
        ("/stt/?model=pulse-2&language=en", "model='pulse-2': expected pulse or pulse-pro"),
        ("/lightning/get_text", "model='lightning': expected pulse or pulse-pro"),
        ("/stt/?model=pulse&language=", "language=''"),
        (STT + "&webhook_url=ftp://x", "webhook_url='ftp://x'"),
        (STT + "&webhook_url=http://x&webhook_extra=a", "webhook_extra"),
        (STT + "&webhook_url=http://x&webhook_method=PUT", "webhook_method"),
        ("/pulse/get_text?encoding=mp3", "encoding"),
        ("/pulse/get_text?sample_rate=fast", "sample_rate"),
    ],
)
def test_parameters_to_refuse(target: str, reason: str) -> None:
    assert reason in refused(target)


def test_bodies_to_refuse() -> None:
    assert "no audio" in refused(STT, body=b"")
    assert "unsupported file type 'video/mp4'" in refused(STT, [("content-type", "video/mp4")])
    assert "unsupported file type ''" in refused(STT, [])
    for body in (
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"url":5}',
        b'{"url":"ftp://x"}',
        b'{"url":"' + b"x" * 999 + b'"}',
    ):
        assert refused(STT, JSON, body).startswith("url=")
    pro = STT.replace("model=pulse", "model=pulse-pro")
    assert refused(pro, JSON, b'{"url":"http://x/"}') == "pulse-pro takes raw audio only, no URL"


def test_what_the_service_ignores_is_ignored() -> None:
    for query in ("&format=true&encoding=mp3&sample_rate=1", "&webhook_extra=a&webhook_method=PUT", "&x=y"):
        asked = batch_asked("POST", STT + query, RAW, b"x")
        assert isinstance(asked, BatchAsked)
        assert asked.options == BatchOptions(word_timestamps=None, diarize=None)
    asked = batch_asked(
        "POST", "/pulse/get_text?redact_pii=x&webhook_method=PUT", [("content-type", "AUDIO/x")], b"x"
    )
    assert isinstance(asked, BatchAsked)
    assert (asked.options.language, asked.options.redact_pii) == ("multi-eu", None)


def test_a_switch_is_on_with_the_word_true_only() -> None:
    for word in ("True", "1", "yes", "", "false"):
        asked = batch_asked("POST", STT + f"&diarize={word}", RAW, b"x")
        assert isinstance(asked, BatchAsked)
        assert asked.options.diarize is False


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", STT),
        ("PUT", STT),
        ("POST", "/stt/live?model=pulse"),
        ("POST", "/get_text"),
        ("POST", "/"),
        ("POST", "*"),
    ],
)
def test_requests_of_others(method: str, target: str) -> None:
    assert batch_asked(method, target, RAW, b"x") is None


def test_every_refusal_is_read_as_what_it_is() -> None:
    assert set(TABLE) == set(BatchRefusal)
    codes = {
        BatchRefusal.TOO_LARGE: "PAYLOAD_TOO_LARGE",
        BatchRefusal.PLAN: "PLAN",
        BatchRefusal.NO_OBJECT: "NoSuchKey",
    }
    for case, endpoints in TABLE.items():
        for endpoint in endpoints:
            reply = batch_refusal(case, endpoint, request_id="q", retry_after=2)
            error = parse_batch(reply.status, [("retry-after", "2")], reply.body)
            assert isinstance(error, ServerError)
            assert error.message or case is BatchRefusal.NO_OBJECT
            assert error.retry_after == 2
            assert error.retryable == (reply.status in (429, 500, 503))
            if case in codes:
                assert error.code == codes[case]
            assert dict(reply.headers)["Retry-After"] == "2"


TIMES = st.floats(0, 1e6)
SPEAKERS = st.none() | st.integers(0, 9) | st.sampled_from(["speaker_0", "a"])
WORDS = st.builds(
    Word,
    word=st.text(max_size=5),
    start=TIMES,
    end=TIMES,
    confidence=st.none() | st.floats(0, 1),
    speaker=SPEAKERS,
)
UTTERANCES = st.builds(
    Utterance, text=st.text(min_size=1, max_size=5), start=TIMES, end=TIMES, speaker=SPEAKERS
)
RESULTS = st.builds(
    BatchResult,
    text=st.text(max_size=20),
    words=st.lists(WORDS, max_size=4).map(tuple),
    utterances=st.lists(UTTERANCES, max_size=2).map(tuple),
    language=st.just("hi"),
    duration=st.none() | TIMES,
    request_id=st.sampled_from(["", "r1"]),
    gender=st.none() | st.just("female"),
    emotions=st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=2),
    extra=st.dictionaries(st.sampled_from(["case", "totalBytes"]), st.integers(0, 9) | st.text(max_size=3)),
)


@given(RESULTS, st.sampled_from(["pulse", "pulse-pro"]))
def test_an_answer_is_read_as_it_was_given(result: BatchResult, model: str) -> None:
    options = BatchOptions(model=model)
    reply = batch_reply(result, options)
    read = parse_batch(reply.status, (), reply.body, options)
    assert isinstance(read, BatchResult)
    names = {"text", "words", "duration", "gender", "emotions", "extra", "status"}
    names |= {"language", "request_id"} if model == "pulse-pro" else {"utterances"}
    assert {n: getattr(read, n) for n in names} == {n: getattr(result, n) for n in names}
    hook = parse_webhook(webhook_body(result, options), options)
    assert hook == msgspec.structs.replace(read, request_id=result.request_id)


TEXT = st.text(max_size=20)
TARGETS = st.one_of(
    st.text(),
    st.builds("/stt/?model=pulse&language={}&{}={}".format, TEXT, st.sampled_from(WIRE_NAMES), TEXT),
    st.builds("/{}/get_text?{}={}".format, TEXT, st.sampled_from(WIRE_NAMES), TEXT),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "x"]), st.sampled_from(["application/json", "audio/x", "\udcff"])
    )
)
KEYS = st.text(max_size=3) | st.sampled_from(
    [
        *("status", "transcription", "transcript", "words", "utterances", "metadata", "duration", "language"),
        *(
            "request_id",
            "emotions",
            "gender",
            "audio_length",
            "error",
            "errors",
            "error_code",
            "message",
            "word",
        ),
        *("start", "end", "speaker", "confidence", "text", "url", "code", "details", "path"),
    ]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
BODIES = (
    st.binary()
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(
        KEYS, JSON_VALUES | st.sampled_from(["success", "failed", "processing", "error"]), max_size=8
    ).map(lambda value: json.dumps(value).encode())
)


@pytest.mark.filterwarnings("ignore")
@given(st.sampled_from(["POST", "GET"]), TARGETS, HEADERS, BODIES)
def test_any_request_is_read_or_refused(
    method: str, target: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    asked = batch_asked(method, target, headers, body)
    assert asked is None or isinstance(asked, BatchAsked | HttpReply)


@given(st.integers(200, 599), HEADERS, BODIES, st.sampled_from(["default", "seed"]), st.booleans())
def test_any_response_is_read_or_an_error(
    status: int, headers: list[tuple[str, str]], body: bytes, compat: Any, raw: bool
) -> None:
    options = BatchOptions(compat=compat, include_raw=raw)
    read = parse_batch(status, headers, body, options)
    if status >= 300:
        assert isinstance(read, ServerError)
        assert read.status == status
    if isinstance(read, BatchResult):
        assert (read.raw is not None) == raw
    assert not isinstance(parse_webhook(body, options), BatchAccepted)


def test_what_a_server_wrote_is_in_no_exceptions_text() -> None:
    secret = "the-user-said-this"
    for status in (200, 400):
        for body in (b'{"error":"%s"}', b'{"status":"failed","message":"%s"}', b"%s"):
            error = parse_batch(status, (), body.replace(b"%s", secret.encode()))
            assert isinstance(error, Exception)
            assert not re.search(secret, str(error))


@pytest.mark.parametrize("opening", [b"[", b'{"status":', b'{"words":['])
def test_json_nested_without_end_is_no_answer(opening: bytes) -> None:
    for status, kind in ((200, RemoteProtocolError), (400, ServerError)):
        assert isinstance(parse_batch(status, (), opening * 100_000), kind)
    assert isinstance(parse_webhook(opening * 100_000), RemoteProtocolError)


def test_a_client_may_ask_for_a_language_that_nobody_knows() -> None:
    # a warning here would be an exception, as all are in these tests
    asked = batch_asked("POST", "/stt/?model=pulse&language=tlh", RAW, b"RIFF")
    assert isinstance(asked, BatchAsked)
    assert asked.options.language == "tlh"
