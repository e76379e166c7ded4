"""Statuses that say no, and answers that come before the end of the request."""

from __future__ import annotations

import traceback

import pytest

from smallest_proto.errors import (
    LocalProtocolError,
    ServerError,
)
from smallest_proto.limits import Limits
from smallest_proto.wire.http_events import BodyReceived, ExchangeEnded, ExchangeFailed, ResponseStarted
from smallest_proto.wire.http_states import State
from smallest_proto.wire.redaction import Redactor
from smallest_proto.wire.refusal import read_refusal
from wire.http_recording import (
    KEY,
    OK,
    TE,
    answered,
    body_of,
    chunked,
    events,
    failure,
    feed,
    request,
    started,
    state_of,
)

# -- statuses that say no


def refusal(data: bytes, limits: Limits | None = None, *, eof: bool = False) -> ServerError:
    (event,) = answered(data, limits, eof=eof)
    assert isinstance(event, ExchangeFailed)
    assert isinstance(event.error, ServerError)
    return event.error


def no(status: int, body: bytes, headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d x\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)


def test_json_errors() -> None:
    error = refusal(
        no(429, b'{"error":"Too many concurrent requests"}', b"Retry-After: 1\r\nX-Request-Id: R\r\n")
    )
    assert str(error) == "the server answered with HTTP status 429"
    assert error.message == "Too many concurrent requests"
    assert (error.status, error.retry_after, error.request_id, error.retryable) == (429, 1.0, "R", True)


def test_a_compressed_body_says_nothing() -> None:
    error = refusal(no(503, b"\x1f\x8b\x08 rubbish", b"Content-Encoding: gzip\r\nRetry-After: 3\r\n"))
    assert (error.status, error.message, error.retry_after) == (503, "", 3.0)


def test_a_redirect_may_be_compressed() -> None:
    error = refusal(b"HTTP/1.1 300 x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx")
    assert error.status == 300
    assert str(error) == (
        "the server answered with HTTP status 300: redirects are not followed; base_url must name the server itself"
    )


def test_a_refusal_is_kept_up_to_the_limit() -> None:
    redactor = Redactor([("Authorization", "Bearer token")])
    for length, kept in ((9, 9), (10, 10), (14, 10), (15, 10), (99, 10)):
        assert read_refusal(400, (), b"x" * length, redactor=redactor, keep=10).body == b"x" * kept


@pytest.mark.parametrize(
    ("written", "kept"), [(r"a\/b%2Fc+d", "a/b%2Fc+d"), ("a%2Fb%252Fc%2Bd", "a/b%2Fc+d")]
)
def test_the_key_is_taken_out_as_others_write_it(written: str, kept: str) -> None:
    redactor = Redactor([("Authorization", f"Bearer {kept}")])
    assert redactor.body(f"bad key {written}!".encode()) == b"bad key ***!"
    assert redactor.text(f"bad key {written}!") == "bad key ***!"
    assert redactor.longest >= len(written)


def test_a_validation_list() -> None:
    body = b'{"error":[{"code":"custom","path":["voice_id"],"message":"Invalid Voice ID"}]}'
    error = refusal(b"HTTP/1.1 400 x\r\n" + TE + chunked(body[:10], body[10:]))
    assert (error.code, error.details, error.retryable) == ("custom", ("voice_id: Invalid Voice ID",), False)


@pytest.mark.parametrize("status", [300, 301, 302, 304, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    data = b"HTTP/1.1 %d x\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n" % status
    error = refusal(data)
    assert error.status == status
    assert "redirects are not followed" in str(error)
    assert not error.retryable


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"HTTP/1.1 502 x\r\nContent-Type: text/html\r\n\r\n<html>Bad Gate", "<html>Bad Gate"),
        (b"HTTP/1.1 500 x\r\nContent-Length: 100\r\n\r\n<html>cut", "<html>cut"),
        (b"HTTP/1.1 500 x\r\n" + TE + b"5\r\nhello\r\n", "hello"),
        (b"HTTP/1.1 500 x\r\n" + TE + b"5\r\nhello\r\nzz\r\n", "hello"),
        (b"HTTP/1.1 500 x\r\n\r\n", ""),
    ],
)
def test_whatever_happens_to_the_body_the_status_is_known(data: bytes, message: str) -> None:
    error = refusal(data, eof=True)
    assert error.message == message
    assert error.status in (500, 502)


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 500 x\r\n\r\n", b"HTTP/1.1 500 x\r\nContent-Length: 99999\r\n\r\n"]
)
def test_a_huge_error_body_is_cut(head: bytes) -> None:
    wire = started(Limits(max_error_body=100))
    feed(wire, head)
    feed(wire, b"x" * 99)
    assert events(wire) == []
    feed(wire, b"x" * 1_000)
    error = failure(events(wire))
    assert isinstance(error, ServerError)
    assert error.message == "x" * 100
    assert wire.finished


def test_after_an_error_status_the_connection_can_go_on() -> None:
    wire = started()
    feed(wire, no(404, b"{}"))
    assert isinstance(failure(events(wire)), ServerError)
    assert wire.reusable
    wire.start(request(), 1.0)
    feed(wire, no(429, b'{"error":"b"}'))
    error = failure(events(wire))
    assert isinstance(error, ServerError)
    assert error.message == "b"  # and nothing of the body before
    wire.start(request(), 1.0)
    feed(wire, OK)
    assert body_of(events(wire)) == b"hi"


@pytest.mark.parametrize("edge", range(0, 60, 7))
def test_the_key_is_never_shown(edge: int) -> None:
    body = b"x" * edge + b'{"error":"' + KEY.encode() + b'","request_id":"\\u0073' + KEY[1:].encode() + b'"}'
    data = no(400, body, b"X-Echo: Bearer " + KEY.encode() + b"\r\nX-Request-Id: " + KEY.encode() + b"\r\n")
    error = refusal(data, Limits(max_error_body=60))
    shown = "".join(map(repr, (error, vars(error)))) + "".join(traceback.format_exception(error))
    assert not any(KEY[:size] in shown for size in (6, len(KEY)))
    head = b"HTTP/1.1 200 x\r\nX-Echo: " + KEY.encode() + b"\r\n\r\n"
    assert KEY not in repr(answered(head))


def test_no_half_of_a_second_key_is_left_where_the_body_is_cut() -> None:
    for between in range(2 * len(KEY) + 2):
        body = (KEY + "." * between + KEY + "." * 100).encode()
        shown = []
        for step in (1, 1000):
            wire = started(limits=Limits(max_error_body=20 + len(KEY)))
            data = no(401, body)
            for start in range(0, len(data), step):
                wire.receive_data(data[start : start + step], 1.0)
            error = failure(events(wire))
            assert isinstance(error, ServerError)
            assert KEY[:2] not in error.message
            shown.append(error.message)
        assert shown[0] == shown[1]  # wherever the bytes were cut


# -- uploads that are answered early


def test_an_answer_before_the_end_of_the_request() -> None:
    wire = started(streaming=True)
    feed(wire, b"HTTP/1.1 200 x\r\n" + TE + b"2\r\nhi\r\n")
    assert [type(event) for event in events(wire)] == [ResponseStarted, BodyReceived]
    wire.send_body(b"more", 1.0)
    assert wire.data_to_send() == b"4\r\nmore\r\n"
    assert wire.next_deadline() is None
    wire.end_body(2.0)
    assert wire.data_to_send() == b"0\r\n\r\n"
    assert wire.next_deadline() == 12.0
    feed(wire, b"0\r\n\r\n")
    assert events(wire) == [ExchangeEnded(reusable=True)]


def test_a_whole_answer_before_the_end_of_the_request() -> None:
    wire = started(streaming=True)
    feed(wire, OK)
    assert events(wire)[-1] == ExchangeEnded(reusable=False)
    assert wire.finished
    with pytest.raises(LocalProtocolError, match="state closed"):
        wire.send_body(b"more", 1.0)


def test_an_error_status_before_the_end_of_the_request() -> None:
    wire = started(streaming=True)
    feed(wire, b"HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\n{")
    assert state_of(wire) is State.REFUSED_EARLY
    wire.send_body(b"dropped", 1.0)  # nothing has told the caller yet
    wire.end_body(1.0)
    assert wire.data_to_send() == b""
    feed(wire, b"}")
    error = failure(events(wire))
    assert error.status == 413
    assert wire.finished
