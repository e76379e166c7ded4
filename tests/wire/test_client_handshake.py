"""The upgrade as the client sees it: what is asked, and what is taken."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.endpoints import ApiKey, UpgradeRequest, upgrade_request
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    RemoteProtocolError,
)
from smallest_proto.limits import Limits
from smallest_proto.wire.events import HandshakeCompleted
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketWire
from wire.recording import (
    GOOD_101,
    KEY,
    Client,
    Opened,
    RecordingLayer,
    accept_token,
    closed,
    events,
    request,
    text,
)


def test_the_request() -> None:
    head, *lines = Client().request.decode().split("\r\n")
    assert head == "GET /x?a=1 HTTP/1.1"
    assert lines[-2:] == ["", ""]
    fields = dict(line.split(": ", 1) for line in lines[:-2])
    key = fields.pop("Sec-WebSocket-Key")
    assert len(key) == 24
    assert fields == {
        "Host": "127.0.0.1:8080",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Authorization": f"Bearer {KEY}",
    }
    assert "permessage-deflate" not in Client().request.decode()
    assert key.encode() not in Client().request


def test_a_request_from_the_endpoints() -> None:
    made = upgrade_request("https://h.example/waves/v1", "/tts/live", [("a", "b c")], api_key=ApiKey(KEY))
    wire = WebSocketWire(RecordingLayer(), made)
    wire.connect(0.0)
    assert wire.data_to_send().startswith(b"GET /waves/v1/tts/live?a=b+c HTTP/1.1\r\nHost: h.example\r\n")


@pytest.mark.parametrize(
    "made",
    [
        request([("Host", "h")]),
        request([("Connection", "close")]),
        request([("sec-websocket-extensions", "permessage-deflate")]),
        request([("A", "b\r\nC: d")]),
        request([("A b", "c")]),
        request(target=f"/x y?token={KEY}"),
        request(target="/ü"),
    ],
)
def test_a_request_that_cannot_be_written(made: UpgradeRequest) -> None:
    with pytest.raises(ValueError, match=r"header|target") as caught:
        WebSocketWire(RecordingLayer(), made)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_101_with_frames_behind_it() -> None:
    client = Client()
    client.answer(GOOD_101, text("a") + text("b"), now=1.0)
    done, opened, first, second = events(client.wire)
    assert isinstance(done, HandshakeCompleted)
    assert ("upgrade", "websocket") in done.headers
    assert ("sec-websocket-accept", accept_token(client.request)) in done.headers
    assert opened == Opened()
    assert [getattr(event, "message", None) for event in (first, second)] == ["a", "b"]
    assert client.wire.state is State.OPEN
    assert client.wire.next_deadline() is None


def test_interim_answers_are_skipped() -> None:
    client = Client()
    client.answer("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + GOOD_101)
    assert [type(event) for event in events(client.wire)] == [HandshakeCompleted, Opened]


def test_header_names_and_words_in_any_case() -> None:
    client = Client()
    client.answer(
        "HTTP/1.1 101 x\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, UPGRADE\r\n"
        "sec-websocket-accept: {accept}\r\nSec-WebSocket-Extensions: \r\n\r\n"
    )
    assert client.wire.state is State.OPEN


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("Upgrade: websocket", "Upgrade: h2c", "Upgrade"),
        ("Upgrade: websocket\r\n", "", "Upgrade"),
        ("Connection: Upgrade", "Connection: close", "Connection"),
        ("{accept}", "{accept}x", "Sec-WebSocket-Accept"),
        ("{accept}", "{accept}\r\nSec-WebSocket-Accept: {accept}", "Sec-WebSocket-Accept"),
        ("{accept}", "{accept}\r\nSec-WebSocket-Extensions: permessage-deflate", "extension"),
        ("{accept}", "{accept}\r\nSec-WebSocket-Protocol: chat", "subprotocol"),
    ],
)
def test_a_wrong_101(old: str, new: str, why: str) -> None:
    client = Client()
    client.answer(GOOD_101.replace(old, new), text("ignored"))
    event = closed(client)
    assert isinstance(event.error, RemoteProtocolError)
    assert why in str(event.error)
    assert client.wire.data_to_send() == b""


def test_an_offered_subprotocol_may_be_chosen() -> None:
    conn = RecordingLayer()
    wire = WebSocketWire(conn, request([("Sec-WebSocket-Protocol", "a, b")]))
    wire.connect(0.0)
    head = GOOD_101.replace("{accept}", accept_token(wire.data_to_send()) + "\r\nSec-WebSocket-Protocol: b")
    wire.receive_data(head.encode(), 0.0)
    assert wire.state is State.OPEN


@pytest.mark.parametrize(
    "head",
    ["\x16\x03\x01", "SSH-2.0-OpenSSH\r\n\r\n", "\r\n", "HTTP/1.1 101\r\nno colon\r\n\r\n", "HTTP/1.1 200 x\r\n"
     "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"],
)  # fmt: skip
def test_not_http(head: str) -> None:
    client = Client()
    client.answer(head)
    event = closed(client)
    assert isinstance(event.error, RemoteProtocolError)
    assert "not HTTP" in str(event.error)


def test_the_end_of_the_stream_before_the_answer() -> None:
    client = Client()
    client.answer("HTTP/1.1 101 Swi")
    client.wire.receive_eof(0.0)
    event = closed(client)
    assert isinstance(event.error, ConnectionLost)
    assert event.error.status == 1006


def test_a_slow_answer() -> None:
    client = Client()
    assert client.wire.next_deadline() == 10.0
    client.answer("HTTP/1.1 101 Switching", now=9.0)
    client.wire.handle_timeout(9.99)
    assert not client.wire.finished
    client.wire.handle_timeout(10.0)
    event = closed(client)
    assert isinstance(event.error, DeadlineExceeded)
    assert event.error.code == "handshake"
    assert event.error.retryable


def test_no_handshake_deadline() -> None:
    assert Client(limits=Limits(handshake_timeout=None)).wire.next_deadline() is None


@pytest.mark.parametrize("size", [399, 400, 401])
def test_the_head_is_bounded_to_the_byte(size: int) -> None:
    head = GOOD_101.replace("\r\n\r\n", "\r\nX: {pad}\r\n\r\n")
    client = Client(limits=Limits(max_handshake_bytes=400))
    short = len(head) - len("{pad}") - len("{accept}") + 28
    client.answer(head.replace("{pad}", "x" * (size - short)), text("after"))
    if size <= 400:
        assert client.wire.state is State.OPEN
    else:
        event = closed(client)
        assert isinstance(event.error, RemoteProtocolError)
        assert "max_handshake_bytes" in str(event.error)


@given(
    st.lists(st.tuples(st.text("Ab-_:\n ü", min_size=1), st.text("a \t\r\n\x7fé,;"))), st.text("/a?é \x01")
)
def test_a_request_is_written_or_refused_at_once(headers: list[tuple[str, str]], target: str) -> None:
    try:
        wire = WebSocketWire(RecordingLayer(), request(headers, target))
    except ValueError:
        return
    wire.connect(0.0)
    assert wire.data_to_send().startswith(b"GET ")
