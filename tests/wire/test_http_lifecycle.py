"""The client's deadlines, the ends of a connection, and one exchange after another."""

from __future__ import annotations

import pytest

from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ProtocolError,
    ServerError,
)
from smallest_proto.limits import Limits
from smallest_proto.testing import bytewise
from smallest_proto.wire.http import HttpWire
from smallest_proto.wire.http_events import BodyReceived, ExchangeEnded, ResponseStarted
from wire.http_recording import (
    OK,
    TE,
    body_of,
    chunked,
    events,
    failure,
    feed,
    request,
    started,
)


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
