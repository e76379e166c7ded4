"""Every known shape of an error, and what is made of statuses, headers and close codes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.error_shapes import (
    FINAL_CODES,
    MAX_DETAILS,
    MAX_TEXT,
    RETRYABLE_STATUS,
    ErrorShape,
    decode_body,
    error_for_close,
    normalise,
    retry_after,
    retryable_status,
    server_error,
)
from smallest_proto.errors import ConnectionLost, ServerError

REGION = "LANGUAGE_NOT_ENABLED_IN_REGION"
OPTIONS = ["wav", "ulaw", "pcm"]

SHAPES: dict[str, tuple[object, ErrorShape]] = {
    "E1": ({"type": "error", "status": "error", "message": "no"}, ErrorShape(message="no")),
    "E2": (
        {"type": "error", "error_code": REGION, "message": "not here"},
        ErrorShape(code=REGION, message="not here"),
    ),
    "E3": ({"error": "no"}, ErrorShape(message="no")),
    "E4": (
        {"error": "bad request", "request_id": "r1", "details": ["a", {"path": ["b", 0], "message": "c"}]},
        ErrorShape(message="bad request", request_id="r1", details=("a", "b.0: c")),
    ),
    "E5": (
        {
            "error": [
                {
                    **{"received": "mulaw", "code": "invalid_enum_value", "options": OPTIONS},
                    **{"path": ["output_format"], "message": "Invalid enum value"},
                },
                {"code": "custom", "path": "speed", "message": "too fast"},
            ]
        },
        ErrorShape(
            code="invalid_enum_value",
            message="output_format: Invalid enum value (expected one of wav, ulaw, pcm); speed: too fast",
            details=(
                "output_format: Invalid enum value (expected one of wav, ulaw, pcm)",
                "speed: too fast",
            ),
        ),
    ),
    "E6": (
        {"error": [{"code": "custom", "path": ["voice_id"], "message": "Invalid Voice ID"}]},
        ErrorShape(
            code="custom", message="voice_id: Invalid Voice ID", details=("voice_id: Invalid Voice ID",)
        ),
    ),
    "E7": (
        {"error": "InvalidRequest", "message": "text is required"},
        ErrorShape(code="InvalidRequest", message="text is required"),
    ),
    "E7 with a sentence": ({"error": "It failed", "message": "text"}, ErrorShape(message="text")),
    "E8": (
        {"error": "Invalid request body", "details": [{"message": "m"}, {}, None]},
        ErrorShape(message="Invalid request body", details=("m",)),
    ),
    "E9": (
        {"status": "error", "message": "Connection timed out after 60 seconds of inactivity"},
        ErrorShape(message="Connection timed out after 60 seconds of inactivity"),
    ),
    "E10": (
        {"status": "error", "error": {"message": "Text rejected", "code": "CONTENT_FILTER_BLOCKED"}},
        ErrorShape(code="CONTENT_FILTER_BLOCKED", message="Text rejected"),
    ),
    "E10 with the message outside": (
        {"error": {"code": 7, "details": "d"}, "message": "out"},
        ErrorShape(code="7", message="out", details=("d",)),
    ),
    "E11": (
        {"status": "error", "error": "rate limit exceeded"},
        ErrorShape(message="rate limit exceeded"),
    ),
    "E12": (
        {"errors": "Audio data too large", "status": "error", "message": "Error handling audio data"},
        ErrorShape(message="Audio data too large"),
    ),
    "E13": (
        {"status": "error", "error_code": REGION, "message": "no", "language": "ja", "region": "ap"},
        ErrorShape(code=REGION, message="no", details=("language: ja", "region: ap")),
    ),
    "E14": ({"message": "Unauthorized: No tokens"}, ErrorShape(message="Unauthorized: No tokens")),
    "E15": ({"error": "unauthorized"}, ErrorShape(message="unauthorized")),
    "E16": (
        {"status": False, "errors": ["please upgrade", "to a higher plan"]},
        ErrorShape(message="please upgrade; to a higher plan"),
    ),
    "E17": (
        {"error_code": "MODEL_DEPRECATED", "message": "retired", "recommended_endpoint": "/waves/v1/tts"},
        ErrorShape(
            code="MODEL_DEPRECATED", message="retired", details=("recommended_endpoint: /waves/v1/tts",)
        ),
    ),
    "E18": ({"error": "no licence", "code": "LICENSE"}, ErrorShape(code="LICENSE", message="no licence")),
    "E19": ({"type": "error", "error": {"message": "m", "code": "c"}}, ErrorShape(code="c", message="m")),
    "E20 text": ("<html>Bad gateway</html>", ErrorShape(message="<html>Bad gateway</html>")),
    "E20 empty": ("", ErrorShape()),
    "list": (["a", {"message": "b"}, 3, None, True], ErrorShape(message="a; b; 3")),
    "list of errors that are text": ({"error": ["a", "b"]}, ErrorShape(message="a; b", details=("a", "b"))),
    "nothing": (None, ErrorShape()),
    "wrong types": (
        {"error": 5, "message": [], "code": True, "request_id": 10**30, "details": {"path": 3}},
        ErrorShape(message="5", details=("3",)),
    ),
    "empty list": ({"error": [], "message": "m"}, ErrorShape(message="m")),
}


@pytest.mark.parametrize(("obj", "shape"), SHAPES.values(), ids=list(SHAPES))
def test_shapes(obj: object, shape: ErrorShape) -> None:
    assert normalise(obj) == shape


def test_the_request_id_of_the_headers_is_used_when_the_body_has_none() -> None:
    headers = [("x", "y"), ("x-request-id", "h1"), ("x-request-id", "h2")]
    assert normalise({"error": "e"}, headers).request_id == "h1"
    assert normalise({"error": "e", "request_id": "b1"}, headers).request_id == "b1"
    assert normalise("text", headers).request_id == "h1"


def test_texts_and_lists_are_bounded() -> None:
    items = [{"path": ["p" * 1000], "message": "m" * 1000, "options": ["o" * 1000]}] * 1000
    shape = normalise({"error": items, "error_code": "c" * 1000, "request_id": "r" * 1000})
    assert len(shape.message) == MAX_TEXT
    assert len(shape.details) == MAX_DETAILS
    assert all(len(line) <= MAX_TEXT for line in (*shape.details, shape.code or "", shape.request_id or ""))


json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(
        st.lists(inner),
        st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "errors",
                    "message",
                    "code",
                    "error_code",
                    "details",
                    "path",
                    "options",
                    "request_id",
                ]
            ),
            inner,
        ),
    ),
)


@given(json_values)
def test_whatever_the_object_nothing_raises(obj: object) -> None:
    shape = normalise(obj)
    assert isinstance(shape.message, str)
    assert shape.code is None or shape.code
    assert isinstance(server_error(obj, status=400), ServerError)


@given(st.binary())
def test_whatever_the_body_nothing_raises(body: bytes) -> None:
    normalise(decode_body(body))


@pytest.mark.parametrize(
    "body", [b"[" * 60_000, b"1" * 5000, b'"\xff"', b"\xff\xfe", b'{"message":"\\ud800"}', b'{"a":1e999}']
)
def test_bodies_that_are_not_json(body: bytes) -> None:
    assert isinstance(decode_body(body), str)


def test_bodies_that_are_json() -> None:
    assert decode_body(b'{"error": "e"}') == {"error": "e"}
    assert decode_body(b"") == ""


DATE = ("date", "Wed, 21 Oct 2026 07:28:00 GMT")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([("retry-after", "2")], 2.0),
        ([("retry-after", " 1.5 ")], 1.5),
        ([("retry-after", "0")], 0.0),
        ([("retry-after", "-1")], None),
        ([("retry-after", "nan")], None),
        ([("retry-after", "soon")], None),
        ([("retry-after", "٣")], None),
        ([("retry-after", "9" * 400)], None),
        ([("retry-after", "Wed, 21 Oct 2026 07:29:30 GMT"), DATE], 90.0),
        ([DATE, ("retry-after", "Wed, 21 Oct 2026 07:20:00 GMT")], 0.0),
        ([("retry-after", "Wed, 21 Oct 2026 07:29:30 GMT")], None),
        ([("retry-after", "Wed, 21 Oct 2026 07:29:30 GMT"), ("date", "yesterday")], None),
        ([("retry-after", "Wed, 31 Feb 2026 07:29:30 GMT"), DATE], None),
        ([("retry-after", "Wed, 21 Foo 2026 07:29:30 GMT"), DATE], None),
        ([("retry-after", "Wed, 21 Oct 0000 07:29:30 GMT"), DATE], None),
    ],
)
def test_retry_after(headers: list[tuple[str, str]], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert retry_after(iter(headers)) == seconds


def test_statuses() -> None:
    never, often = (400, 401, 403, 404, 410, 413), (408, 429, 499, 500, 502, 503, 504)
    assert set(RETRYABLE_STATUS) == {*never, *often}
    assert not any(map(retryable_status, (*never, 200, 301, 402, 409, 418, 451)))
    assert all(map(retryable_status, (*often, 501, 520, 599)))


def test_server_errors() -> None:
    headers = [("retry-after", "3"), ("x-request-id", "r")]
    error = server_error({"error": "Rate limit exceeded"}, iter(headers), status=429)
    assert (error.status, error.retry_after, error.request_id, error.retryable) == (429, 3.0, "r", True)
    assert error.message == "Rate limit exceeded"
    assert "429" in str(error)
    plain = server_error({"status": "error", "message": "secret words of a user"})
    assert (plain.status, plain.retryable, plain.message) == (None, True, "secret words of a user")
    assert "secret" not in str(plain)
    for code in FINAL_CODES:
        assert not server_error({"error_code": code, "message": "m"}).retryable
        assert not server_error({"error_code": code}, status=503).retryable


@pytest.mark.parametrize("code", [1000, 1001, 1005, 1006, 1011, 1012, 1013, 3000, 4999])
def test_closes_that_lose_the_connection(code: int) -> None:
    error = error_for_close(code, "words")
    assert isinstance(error, ConnectionLost)
    assert (error.status, error.retryable) == (code, True)
    assert "words" not in str(error)


def test_1008_is_a_rate_limit() -> None:
    error = error_for_close(1008, "too many sessions")
    assert isinstance(error, ServerError)
    assert (error.status, error.message, error.retryable) == (1008, "too many sessions", True)
