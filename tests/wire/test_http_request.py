"""A request as the client writes it, and what it refuses to write."""

from __future__ import annotations

import pickle
import traceback

import pytest

from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import (
    LocalProtocolError,
)
from smallest_proto.http_request import HttpRequest, http_request
from smallest_proto.wire.http import HttpWire
from wire.http_recording import (
    KEY,
    OK,
    body_of,
    events,
    feed,
    request,
    started,
)


def written(made: HttpRequest, *, streaming: bool = False) -> bytes:
    wire = HttpWire()
    wire.start(made, 0.0, streaming=streaming)
    return wire.data_to_send()


def test_a_post() -> None:
    assert written(request(body=b"body")) == (
        b"POST /x?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
        b"Accept-Encoding: identity\r\nContent-Length: 4\r\n\r\nbody"
    )


def test_a_get_has_no_length_and_an_empty_post_has() -> None:
    assert written(request("GET", headers=())) == (
        b"GET /x?a=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Encoding: identity\r\n\r\n"
    )
    assert b"Content-Length: 0\r\n\r\n" in written(request("POST"))
    assert b"Content-Length: 2\r\n\r\nhi" in written(request("DELETE", b"hi"))


def test_another_accept_encoding_goes_before_ours() -> None:
    head = written(request("GET", headers=(("accept-ENCODING", "br"),))).lower()
    assert head.count(b"accept-encoding") == 1
    assert b"accept-encoding: br\r\n" in head


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
        request(headers=[("A", "b\r\n")]),
        request(headers=[("A", "\x0bb")]),
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
