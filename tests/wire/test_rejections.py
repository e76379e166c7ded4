"""Refused upgrades: how each is reported, and that no API key comes back with it."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import (
    HandshakeRejected,
    ProtocolError,
)
from smallest_proto.events import ConnectionClosed
from smallest_proto.limits import Limits
from smallest_proto.wire.events import HandshakeCompleted
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketWire
from snapshots import attributes
from wire.recording import (
    GOOD_101,
    KEY,
    Client,
    RecordingLayer,
    closed,
    events,
    request,
)


def rejected(client: Client) -> HandshakeRejected:
    event = closed(client)
    assert isinstance(event.error, HandshakeRejected)
    assert (event.code, event.expected) == (1006, False)
    return event.error


def answer(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> str:
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines) + "\r\n\r\n" + body.decode("latin-1")


REFUSALS = [  # the refused upgrades of the wire reference: status, body, headers, code, message, id
    (400, {"error": "Pulse Pro cannot stream; use the HTTP endpoint", "request_id": "6f0e"}, {}),
    (
        400,
        {"error": "Missing required query param: model. Supported values: pulse.", "request_id": "6f0f"},
        {},
    ),
    (401, {"message": "Unauthorized: No tokens provided"}, {}),
    (401, {"error": "unauthorized"}, {}),
    (429, {"error": "Rate limit exceeded", "request_id": "6f10"}, {"Retry-After": "2"}),
]


@pytest.mark.parametrize(("status", "body", "headers"), REFUSALS)
def test_refused_upgrades(status: int, body: dict[str, str], headers: dict[str, str]) -> None:
    client = Client()
    raw = json.dumps(body).encode()
    client.answer(answer(status, raw, headers))
    error = rejected(client)
    assert error.status == status
    assert error.message == (body.get("error") or body.get("message"))
    assert error.request_id == body.get("request_id")
    assert error.code is None
    assert error.body == raw
    assert error.retryable is (status == 429)
    assert error.retry_after == (2.0 if status == 429 else None)
    assert error.headers[0] == ("content-length", str(len(raw)))
    assert error.message not in str(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_refusals(status: int) -> None:
    client = Client()
    client.answer(answer(status, headers={"Location": "https://elsewhere/"}))
    error = rejected(client)
    assert error.status == status
    assert ("location", "https://elsewhere/") in error.headers
    assert "redirects are not followed" in str(error)
    assert not error.retryable


def test_an_ordinary_answer_is_a_refusal() -> None:
    client = Client()
    client.answer(answer(200, b"<html>hello</html>"))
    error = rejected(client)
    assert (error.status, error.message, error.retryable) == (200, "<html>hello</html>", False)


def test_503_with_retry_after() -> None:
    client = Client()
    client.answer(answer(503, b"", {"Retry-After": "7", "X-Request-Id": "r-1"}))
    error = rejected(client)
    assert (error.retryable, error.retry_after, error.request_id, error.message) == (True, 7.0, "r-1", "")


def test_a_chunked_body() -> None:
    client = Client()
    body = 'b\r\n{"error": "\r\n6\r\nno go"\r\n1;ext=1\r\n}\r\n0\r\nTrailer: x\r\n\r\n'
    client.answer("HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert rejected(client).message == "no go"


def test_a_body_up_to_the_end_of_the_stream() -> None:
    client = Client()
    client.answer('HTTP/1.1 401 No\r\n\r\n{"error_code": "K", "message":')
    assert client.wire.state is State.REJECTING
    client.wire.receive_data(b' "no"}', 0.0)
    assert events(client.wire) == []
    client.wire.receive_eof(0.0)
    error = rejected(client)
    assert (error.code, error.message, error.status) == ("K", "no", 401)


@pytest.mark.parametrize(
    "framing", ["", "Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"], ids=str
)
def test_a_megabyte_of_body(framing: str) -> None:
    client = Client()
    start = "f4240\r\n" if "chunked" in framing else ""
    client.answer(f"HTTP/1.1 502 No\r\n{framing}\r\n{start}" + "x" * 1_000_000)
    error = rejected(client)
    assert error.body == b"x" * 64 * 1024
    assert error.message == "x" * 500


def test_chunk_framing_counts_too() -> None:
    client = Client(limits=Limits(max_error_body=100))
    client.answer("HTTP/1.1 502 No\r\nTransfer-Encoding: chunked\r\n\r\n" + "1\r\nx\r\n" * 1000)
    assert 10 < len(rejected(client).body) < 100


@pytest.mark.parametrize(
    "body", ["Content-Length: 9\r\n\r\nshort", "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nnonsense\r\n"]
)
def test_a_broken_body_is_still_a_refusal(body: str) -> None:
    client = Client()
    client.answer("HTTP/1.1 500 No\r\n" + body)
    client.wire.receive_eof(0.0)
    assert rejected(client).body == b"short"


def test_the_deadline_in_a_refusals_body() -> None:
    client = Client(limits=Limits(handshake_timeout=3.0))
    client.answer("HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\nslow")
    client.wire.handle_timeout(2.9)
    assert client.wire.state is State.REJECTING
    client.wire.handle_timeout(3.0)
    assert rejected(client).message == "slow"


def test_close_in_a_refusals_body() -> None:
    client = Client()
    client.answer("HTTP/1.1 401 No\r\nContent-Length: 100\r\n\r\nslow")
    client.wire.close(1.0)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, HandshakeRejected)


def shown(error: ProtocolError) -> str:
    return "".join(
        [repr(error), str(error), repr(vars(error)), repr(pickle.loads(pickle.dumps(error)).__dict__)]
    )


@pytest.mark.parametrize("authorization", [f"Bearer {KEY}", KEY, f"Token  {KEY} "])
def test_an_echoed_key_is_nowhere(authorization: str) -> None:
    conn = RecordingLayer()
    wire = WebSocketWire(conn, request([("authorization", authorization), ("X", "y")]))
    wire.connect(0.0)
    wire.data_to_send()
    escaped = "".join(f"\\u{ord(char):04x}" for char in KEY)
    body = f'{{"error_code": "c {KEY}", "message": "bad {escaped}!", "details": ["{escaped}"], "request_id": "{KEY}"}}'
    wire.receive_data(answer(401, body.encode(), {"X-Echo": f"<{KEY}>", f"X-{KEY}": "1"}).encode(), 0.0)
    (event,) = events(wire)
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, HandshakeRejected)
    assert KEY not in shown(event.error) + repr(event) + repr(wire) + repr(attributes(wire))
    assert (event.error.code, event.error.message, event.error.request_id) == ("c ***", "bad ***!", "***")
    assert event.error.details == ("***",)
    assert ("x-echo", "<***>") in event.error.headers
    assert b'"c ***"' in event.error.body


def test_no_half_of_a_key_is_left_at_the_edge_of_the_body() -> None:
    for size in range(len(KEY) + 2):
        client = Client(limits=Limits(max_error_body=20))
        client.answer("HTTP/1.1 401 No\r\n\r\n" + "." * (20 - size) + KEY + "." * 100)
        error = rejected(client)
        assert KEY[:3].encode() not in error.body
        assert len(error.body) <= 20


def test_an_echoed_key_in_the_101_and_in_a_close_reason() -> None:
    client = Client()
    client.answer(GOOD_101.replace("{accept}", "{accept}\r\nX-Echo: " + KEY))
    client.wire.receive_data(b"\x88" + bytes([2 + len(KEY)]) + b"\x03\xf0" + KEY.encode(), 0.0)
    done, _, end = events(client.wire)
    assert isinstance(done, HandshakeCompleted)
    assert ("x-echo", "***") in done.headers
    assert isinstance(end, ConnectionClosed)
    assert (end.code, end.reason) == (1008, "***")


@given(st.text(min_size=1), st.integers(200, 599))
def test_no_refusal_raises(body: str, status: int) -> None:
    client = Client()
    client.answer(f"HTTP/1.1 {status} x\r\n\r\n", body.encode("utf-8", "surrogatepass"))
    client.wire.receive_eof(0.0)
    (event,) = events(client.wire)
    assert isinstance(event, ConnectionClosed)
    assert isinstance(event.error, HandshakeRejected)
    assert event.error.status == status
