"""One exchange as the client sees it: what is written, what is reported, what is refused."""

from __future__ import annotations

import pickle
import traceback

import pytest

from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import NEED_DATA
from smallest_proto.http_request import HttpRequest, http_request
from smallest_proto.limits import Limits
from smallest_proto.testing import Cut, bytewise, whole
from smallest_proto.wire.http import HttpWire
from smallest_proto.wire.http_events import BodyReceived, ExchangeEnded, ExchangeFailed, ResponseStarted
from smallest_proto.wire.http_states import State
from wire.http_recording import (
    KEY,
    OK,
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

TE = b"Transfer-Encoding: chunked\r\n\r\n"


# -- the request


def written(made: HttpRequest, *, streaming: bool = False) -> bytes:
    wire = HttpWire()
    wire.start(made, 0.0, streaming=streaming)
    return wire.data_to_send()


def test_a_post() -> None:
    assert written(request(body=b"body")) == (
        b"POST /x?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    )


def test_a_get_has_no_length_and_an_empty_post_has() -> None:
    assert written(request("GET", headers=())) == b"GET /x?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
    assert b"Content-Length: 0\r\n\r\n" in written(request("POST"))
    assert b"Content-Length: 2\r\n\r\nhi" in written(request("DELETE", b"hi"))


def test_a_streamed_body() -> None:
    wire = HttpWire()
    wire.start(request(headers=()), 0.0, streaming=True)
    assert wire.data_to_send().endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    wire.send_body(b"", 0.0)
    assert wire.data_to_send() == b""
    wire.send_body(bytearray(b"hello"), 0.0)
    wire.send_body(memoryview(b"you"), 0.0)
    wire.end_body(0.0)
    assert wire.data_to_send() == b"5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"
    assert wire.data_to_send() == b""


def test_http_request() -> None:
    made = http_request(
        "https://h.example/waves/v1/",
        "/tts",
        [("a", "b c")],
        api_key=ApiKey(KEY),
        headers={"X-Source": "mine", "A": "b"},
        body=b"{}",
        content_type="application/json",
    )
    assert (made.host, made.port, made.secure, made.method) == ("h.example", 443, True, "POST")
    assert made.target == "/waves/v1/tts?a=b+c"
    assert made.headers == (
        ("Authorization", f"Bearer {KEY}"),
        ("X-Source", "mine"),
        ("Content-Type", "application/json"),
        ("A", "b"),
    )
    assert made.body == b"{}"
    assert repr(made) == (
        "HttpRequest(POST https://h.example/waves/v1/tts, "
        "headers=['Authorization', 'X-Source', 'Content-Type', 'A'], body of 2 bytes)"
    )
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(made)


def test_http_request_without_a_key_or_a_query() -> None:
    made = http_request("http://[::1]:80", "/voices", [], method="GET", api_key=None)
    assert made.headers == (("X-Source", "smallest-proto"),)
    assert (made.target, made.host_header) == ("/voices", "[::1]")
    assert "http://[::1]/voices" in repr(made)


def test_a_given_content_type_wins() -> None:
    made = http_request(
        "http://h", "/", [], api_key=None, headers={"content-type": "audio/wav"}, content_type="a/b"
    )
    assert ("content-type", "audio/wav") in made.headers
    assert len(made.headers) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "ftp://h"},
        {"method": "CONNECT"},
        {"method": "post"},
        {"content_type": "a\r\nB: c"},
        {"headers": {"a b": "c"}},
    ],
)
def test_what_is_no_request(wrong: dict[str, str]) -> None:
    given = {"base_url": "http://h", "path": "/", "query": [], "api_key": ApiKey(KEY), **wrong}
    with pytest.raises(ValueError, match=r"expected|printable") as caught:
        http_request(**given)  # type: ignore[arg-type]  # wrong on purpose
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    library = [frame for frame in report.stack if "smallest_proto" in frame.filename]
    assert library
    assert not any(KEY in text for frame in library for text in (frame.locals or {}).values())


@pytest.mark.parametrize(
    "made",
    [
        request(headers=[("Host", "h")]),
        request(headers=[("Connection", "close")]),
        request(headers=[("Content-Length", "1")]),
        request(headers=[("transfer-encoding", "chunked")]),
        request(headers=[("Expect", "100-continue")]),
        request(headers=[("A", "b\r\nC: d")]),
        request(target=f"/x y?token={KEY}"),
        request(target="/ü"),
    ],
)
def test_a_request_that_cannot_be_written_changes_nothing(made: HttpRequest) -> None:
    wire = HttpWire()
    with pytest.raises(LocalProtocolError, match=r"header|target") as caught:
        wire.start(made, 0.0)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert wire.data_to_send() == b""
    assert wire.next_deadline() is None
    wire.start(request(), 0.0)
    feed(wire, OK)
    assert body_of(events(wire)) == b"hi"


def test_what_is_refused_changes_nothing() -> None:
    wire = HttpWire()
    with pytest.raises(LocalProtocolError, match=r"^send_body is not allowed in state ready"):
        wire.send_body(b"a", 0.0)
    with pytest.raises(LocalProtocolError, match=r"^end_body is not allowed in state ready"):
        wire.end_body(0.0)
    with pytest.raises(LocalProtocolError, match=r"^body: "):
        wire.start(request(body=b"a"), 0.0, streaming=True)
    wire.start(request(), 0.0)
    sent = wire.data_to_send()
    assert sent
    for streaming in (False, True):
        with pytest.raises(
            LocalProtocolError, match=r"^start.* is not allowed in state awaiting the response"
        ):
            wire.start(request(), 5.0, streaming=streaming)
    with pytest.raises(LocalProtocolError, match="send_body is not allowed"):
        wire.send_body(b"a", 5.0)
    assert wire.data_to_send() == b""
    assert wire.next_deadline() == 30.0


def test_only_bytes_are_a_body() -> None:
    wire = started(streaming=True)
    with pytest.raises(TypeError):
        wire.send_body(5, 0.0)  # type: ignore[arg-type]  # wrong on purpose
    assert wire.data_to_send() == b""


# -- the response


def test_a_sized_response() -> None:
    assert answered(b"HTTP/1.1 200 OK\r\nX-Request-Id: R\r\nContent-Length: 5\r\n\r\nhello") == [
        ResponseStarted(status=200, headers=(("x-request-id", "R"), ("content-length", "5"))),
        BodyReceived(data=b"hello"),
        ExchangeEnded(reusable=True),
    ]


def test_the_bytes_of_a_body_come_as_they_arrive() -> None:
    wire = started()
    feed(wire, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
    assert events(wire)[1:] == [BodyReceived(data=b"he")]
    feed(wire, b"l")
    assert wire.next_event() == BodyReceived(data=b"l")
    assert wire.next_event() is NEED_DATA
    assert (wire.reusable, wire.finished) == (False, False)
    feed(wire, b"lo")
    assert events(wire) == [BodyReceived(data=b"lo"), ExchangeEnded(reusable=True)]
    assert (wire.reusable, wire.finished) == (True, False)


def test_a_body_shows_only_its_size() -> None:
    assert repr(BodyReceived(data=b"secret")) == "BodyReceived(6 bytes)"


@pytest.mark.parametrize(
    ("response", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n" + TE + chunked(b"he", b"llo"), True),
        (b"HTTP/1.1 200 OK\r\n" + TE + chunked(b"hello", trailer=b"A: b\r\n"), True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
        (b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", True),
    ],
)
def test_kinds_of_bodies(response: bytes, reusable: bool) -> None:
    found = answered(response)
    assert [type(event) for event in found] == [ResponseStarted, BodyReceived, ExchangeEnded]
    assert body_of(found) == b"hello"
    assert found[-1] == ExchangeEnded(reusable=reusable)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_that_ends_with_the_stream(version: bytes) -> None:
    wire = started()
    feed(wire, b"HTTP/" + version + b" 200 OK\r\n\r\nhel", bytewise)
    feed(wire, b"lo")
    assert not any(isinstance(event, ExchangeEnded) for event in events(wire))
    wire.receive_eof(0.0)
    assert events(wire) == [ExchangeEnded(reusable=False)]
    assert wire.finished


def test_no_body() -> None:
    assert answered(b"HTTP/1.1 204 No Content\r\n\r\n") == [
        ResponseStarted(status=204),
        ExchangeEnded(reusable=True),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + TE + b"5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n" + TE + b"5\r\nhello\r\n0\r\n",
    ],
)
def test_truncated(data: bytes) -> None:
    found = answered(data, eof=True)
    error = failure(found)
    assert type(error) is ConnectionLost
    assert error.retryable
    assert b"hello".startswith(body_of(found))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x16\x03\x01", "not HTTP"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"\r\n", "not HTTP"),
        (b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: -1\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 1\r\n" + TE, "both Content-Length and Transfer-Encoding"),
        (b"HTTP/1.0 200 x\r\n" + TE, "HTTP/1.0 with Transfer-Encoding"),
        (b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 129 + b"\r\n", "max_headers"),
        (b"HTTP/1.1 200 x\r\nA: " + b"b" * 20_000, "max_handshake_bytes"),
        (b"HTTP/1.1 103 x\r\n\r\n" * 2_000, "max_handshake_bytes"),
    ],
)
def test_a_head_that_is_wrong(data: bytes, why: str) -> None:
    (event,) = answered(data)
    assert isinstance(event, ExchangeFailed)
    assert isinstance(event.error, RemoteProtocolError)
    assert why in str(event.error)


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\n",
        b"2\r\nhiXX",
        b"2\r\nhi\r\n2;" + b"x" * 17_000,
        b"2\r\nhi\r\n0\r\n" + b"A: b\r\n" * 17_000,
        b"2\r\nhi\r\n0\r\nno colon\r\n\r\n",
    ],
)
def test_a_body_that_is_wrong(body: bytes) -> None:
    found = answered(b"HTTP/1.1 200 x\r\n" + TE + body)
    error = failure(found)
    assert isinstance(error, RemoteProtocolError)
    assert "not HTTP" in str(error)
    assert body_of(found) in (b"", b"hi")


@pytest.mark.parametrize("size", [399, 400, 401])
def test_the_head_is_bounded_to_the_byte(size: int) -> None:
    head = b"HTTP/1.1 200 x\r\nContent-Length: 2\r\nX: PAD\r\n\r\n"
    padded = head.replace(b"PAD", b"x" * (size - len(head) + 3))
    assert len(padded) == size
    found = answered(padded + b"hi", Limits(max_handshake_bytes=400))
    assert isinstance(found[0], ResponseStarted if size <= 400 else ExchangeFailed)


@pytest.mark.parametrize("cut", [whole, bytewise])
@pytest.mark.parametrize("size", [399, 400, 401])
def test_what_surrounds_a_body_is_bounded_to_the_byte(size: int, cut: Cut) -> None:
    for before, after in ((b"2;", b"\r\nhi\r\n0\r\n\r\n"), (b"2\r\nhi\r\n2;", b"\r\nhi\r\n0\r\n\r\n")):
        framing = len(before.removeprefix(b"2\r\nhi")) + 2
        body = before + b"x" * (size - framing) + after
        found = answered(b"HTTP/1.1 200 x\r\n" + TE + body, Limits(max_handshake_bytes=400), cut=cut)
        assert isinstance(found[-1], ExchangeEnded if size <= 400 else ExchangeFailed)


@pytest.mark.parametrize("count", [5, 6])
def test_headers_are_counted(count: int) -> None:
    head = b"HTTP/1.1 204 x\r\n" + b"A: b\r\n" * count + b"\r\n"
    found = answered(head, Limits(max_headers=5))
    assert isinstance(found[0], ResponseStarted if count <= 5 else ExchangeFailed)


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


# -- deadlines, the end


def test_the_response_deadline() -> None:
    wire = HttpWire()
    wire.start(request(), 5.0)
    assert wire.next_deadline() == 35.0
    feed(wire, b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200", now=34.0)
    wire.handle_timeout(34.9)
    assert events(wire) == []
    wire.handle_timeout(35.0)
    error = failure(events(wire))
    assert isinstance(error, DeadlineExceeded)
    assert (error.code, error.retryable) == ("response", True)
    assert wire.finished
    assert wire.next_deadline() is None


def test_a_streamed_request_has_its_response_deadline_from_its_end() -> None:
    wire = started(streaming=True)
    assert wire.next_deadline() is None
    wire.send_body(b"a", 50.0)
    assert wire.next_deadline() is None
    wire.end_body(60.0)
    assert wire.next_deadline() == 90.0


def test_the_idle_deadline() -> None:
    wire = started()
    feed(wire, b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\n", now=1.0)
    assert wire.next_deadline() == 11.0
    feed(wire, b"he", now=9.0)
    assert wire.next_deadline() == 19.0
    wire.handle_timeout(19.0)
    found = events(wire)
    error = failure(found)
    assert isinstance(error, DeadlineExceeded)
    assert error.code == "idle"
    assert body_of(found) == b"he"


def test_an_error_body_has_one_deadline() -> None:
    wire = started()
    feed(wire, b"HTTP/1.1 500 x\r\nContent-Length: 5\r\n\r\nhe", now=1.0)
    feed(wire, b"l", now=9.0)
    assert wire.next_deadline() == 11.0
    wire.handle_timeout(11.0)
    assert failure(events(wire)).status == 500


def test_no_deadlines() -> None:
    wire = started(Limits(response_timeout=None, idle_timeout=None))
    assert wire.next_deadline() is None
    feed(wire, b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nhe")
    assert wire.next_deadline() is None


def test_after_an_exchange_no_deadline_is_left() -> None:
    wire = started()
    feed(wire, OK)
    assert wire.next_deadline() is None


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", ConnectionLost),
        (b"HTTP/1.1 200 x\r\n\r\n", ConnectionLost),
        (b"HTTP/1.1 500 x\r\n\r\n", ServerError),
    ],
)
def test_close_in_an_exchange(data: bytes, kind: type[ProtocolError]) -> None:
    wire = started()
    feed(wire, data)
    wire.close(1.0)
    assert type(failure(events(wire))) is kind
    assert wire.finished
    wire.close(1.0)
    wire.receive_eof(1.0)
    feed(wire, OK)
    assert events(wire) == []
    with pytest.raises(LocalProtocolError, match="state closed"):
        wire.start(request(), 1.0)


@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("how", ["close", "eof", "bytes"])
def test_the_end_between_exchanges_is_no_failure(how: str, used: bool) -> None:
    wire = started() if used else HttpWire()
    if used:
        feed(wire, OK)
        events(wire)
    assert wire.reusable
    if how == "close":
        wire.close(1.0)
    elif how == "eof":
        wire.receive_eof(1.0)
    else:
        feed(wire, b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert events(wire) == []
    assert (wire.reusable, wire.finished) == (False, True)


def test_bytes_behind_a_response() -> None:
    wire = started()
    feed(wire, OK + b"HTTP/1.1 200 smuggled\r\n\r\n")
    assert [type(event) for event in events(wire)] == [ResponseStarted, BodyReceived, ExchangeEnded]
    assert wire.finished


def test_many_exchanges() -> None:
    wire = HttpWire()
    for number in range(20):
        wire.start(request(body=b"%d" % number), float(number), streaming=False)
        assert wire.data_to_send().endswith(b"\r\n\r\n%d" % number)
        assert wire.next_deadline() == number + 30.0
        feed(wire, (OK, b"HTTP/1.1 200 x\r\n" + TE + chunked(b"h", b"i"))[number % 2], bytewise)
        found = events(wire)
        assert body_of(found) == b"hi"
        assert found[-1] == ExchangeEnded(reusable=True)
