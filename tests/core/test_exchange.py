"""One response read by a machine: the order of the calls, the bounds, and the events of the byte level."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType

import msgspec
import pytest

from http_vectors import cases, play
from smallest_proto import lightning, pulse
from smallest_proto.errors import ConnectionLost, LocalProtocolError, RemoteProtocolError, ServerError
from smallest_proto.events import NEED_DATA, ConnectionClosed
from smallest_proto.exchange import DocumentExchange, HttpExchange, RequestFailed
from smallest_proto.exchange_states import TABLE
from smallest_proto.lightning import (
    AudioChunk,
    SpeechComplete,
    SpeechEventsExchange,
    SpeechExchange,
    VoicesExchange,
    done_event,
)
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchCompleted, BatchExchange
from smallest_proto.wire.http_events import BodyReceived, ExchangeEnded, ExchangeFailed, ResponseStarted
from vectors_runner import rows, visits

BODY = json.dumps({"status": "success", "transcription": "hi"}).encode()


def test_the_vectors_visit_every_row_of_the_table() -> None:
    with visits() as seen:
        for vector, variant in cases("batch", "speech", "speech_events", "voices"):
            play(vector, variant, 10**9)
        over = BatchExchange()
        over.receive_end()
        over.receive_body(b"x")
        over.receive_end()
        over.receive_failure(ConnectionLost())
    assert not rows(TABLE) - seen


def test_the_events_of_the_wire() -> None:
    exchange = BatchExchange()
    exchange.receive(ConnectionClosed(code=1000, expected=True))  # of something else
    assert exchange.next_event() is NEED_DATA
    exchange.receive(ResponseStarted(status=200))
    exchange.receive(BodyReceived(data=BODY))
    assert not exchange.over
    exchange.receive(ExchangeEnded(reusable=True))
    assert exchange.over
    event = exchange.next_event()
    assert isinstance(event, BatchCompleted)
    assert event.result.text == "hi"
    assert exchange.next_event() is NEED_DATA


def test_a_failure_of_the_wire_is_handed_on() -> None:
    error = ServerError("no", status=401)
    exchange = BatchExchange()
    exchange.receive(ExchangeFailed(error=error))
    assert exchange.next_event() == RequestFailed(error=error)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("audio/wav", True),
        ("", True),
        ("application/octet-stream", True),
        ("text/event-stream", True),
        ("application/jsonlike", True),
        ("application/json", False),
        (" Application/Problem+JSON ; charset=utf-8", False),
        ("text/html", False),
        ("text/plain;x", False),
        ("application/xml", False),
    ],
)
def test_speech_does_not_call_itself_a_document(kind: str, answers: bool) -> None:
    for exchange in (SpeechExchange(), SpeechEventsExchange()):
        exchange.receive_head(200, [("Content-Type", kind)])
        exchange.receive_body(done_event())
        exchange.receive_end()
        while isinstance(event := exchange.next_event(), AudioChunk):
            pass
        assert isinstance(event, SpeechComplete if answers else RequestFailed)
        if isinstance(event, RequestFailed):
            assert str(event.error) == "the server answered with a document instead of what was asked for"
            assert (event.error.status, event.error.retryable) == (None, True)


@pytest.mark.parametrize(
    "prepare",
    [
        lambda e: e.receive_head(200),
        lambda e: e.receive_head(400),
        lambda e: e.receive_end(),
    ],
)
def test_a_second_head_is_refused(prepare: Callable[[HttpExchange], None]) -> None:
    exchange = BatchExchange()
    prepare(exchange)
    with pytest.raises(LocalProtocolError, match="not allowed in state"):
        exchange.receive_head(200, [("x-request-id", "late")])
    exchange.receive_end()
    event = exchange.next_event()
    assert isinstance(event, RequestFailed)
    assert event.error.request_id is None


def test_a_body_needs_a_head() -> None:
    exchange = SpeechExchange()
    with pytest.raises(LocalProtocolError, match="bytes of the body is not allowed in state waiting"):
        exchange.receive_body(b"x")
    exchange.receive_head(200)
    exchange.receive_body(memoryview(b"ab"))


def test_a_document_is_bounded() -> None:
    limits = Limits(max_message_bytes=len(BODY))
    for extra, kind in ((b"", BatchCompleted), (b" ", RequestFailed)):
        exchange = BatchExchange(limits=limits)
        exchange.receive_head(200)
        exchange.receive_body(BODY)
        if extra:
            exchange.receive_body(extra)
            assert exchange.over
            exchange.receive_body(b"ignored")
        exchange.receive_end()
        event = exchange.next_event()
        assert isinstance(event, kind)
        if isinstance(event, RequestFailed):
            assert isinstance(event.error, RemoteProtocolError)
            assert "max_message_bytes" in str(event.error)
        assert exchange.next_event() is NEED_DATA


def test_a_refusal_is_bounded() -> None:
    exchange = VoicesExchange(limits=Limits(max_error_body=10))
    exchange.receive_head(500)
    for _ in range(100):
        exchange.receive_body(b"xyz")
    exchange.receive_end()
    event = exchange.next_event()
    assert isinstance(event, RequestFailed)
    assert isinstance(event.error, ServerError)
    assert event.error.message == "xyzxyzxyzx"


def test_header_names_may_have_any_case() -> None:
    exchange = BatchExchange()
    exchange.receive_head(429, {"Retry-After": "7", "X-Request-Id": "r"}.items())
    exchange.receive_end()
    event = exchange.next_event()
    assert isinstance(event, RequestFailed)
    assert (event.error.retry_after, event.error.request_id) == (7.0, "r")


def test_the_bases_read_nothing_by_themselves() -> None:
    reading, finishing, document = HttpExchange(), HttpExchange(), DocumentExchange()
    for base in (reading, finishing, document):
        base.receive_head(200)
    with pytest.raises(NotImplementedError):
        reading.receive_body(b"x")
    with pytest.raises(NotImplementedError):
        finishing.receive_end()
    with pytest.raises(NotImplementedError):
        document.receive_end()


@pytest.mark.parametrize("package", [lightning, pulse], ids=["lightning", "pulse"])
def test_what_is_handed_out_cannot_be_changed(package: ModuleType) -> None:
    kinds = [getattr(package, name) for name in package.__all__]
    structs = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    assert {kind.__name__ for kind in structs if not kind.__struct_config__.frozen} == set()
    assert len(structs) > 10
