"""The client's HTTP on any bytes: one answer after another on one connection, while a body goes up or not."""

from __future__ import annotations

from typing import Any

from fuzz import https, scenario
from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import LocalProtocolError
from smallest_proto.http_request import http_request
from smallest_proto.wire.http_client import HttpWire
from smallest_proto.wire.http_events import ExchangeEnded, ExchangeFailed, ResponseStarted

TABLE: scenario.Table = {
    "cut": (7, 1, 2, 3, 64, 1000),
    "limits": https.LIMITS,
    "ending": ("eof", "time", "close"),
    "request": ("GET", "POST", "streaming"),
}
NEXT = b"\n%%\n"
"""Between the answers to one request and the next: bytes that nobody has asked for yet are a fault."""

REQUESTS = {
    method: http_request(
        "http://h", "/stt/", (), method=method, api_key=ApiKey(https.KEY), body=b"x" * (method == "POST")
    )
    for method in ("GET", "POST")
}


def fuzz(data: bytes) -> None:
    """Each exchange ends once, the key never shows, and nothing depends on the cuts."""
    settings, rest = scenario.split(data, TABLE)
    runs = [run(settings, rest.split(NEXT), size) for size in (0, settings["cut"])]
    assert https.result(runs[0]) == https.result(runs[1])


def run(settings: dict[str, Any], answers: list[bytes], size: int) -> https.Run:
    """One connection."""
    wire = HttpWire(limits=settings["limits"])
    made = https.Run(wire)
    streaming = settings["request"] == "streaming"
    request = REQUESTS["POST" if settings["request"] == "POST" else "GET"]
    for answer in answers:
        if wire.reusable:
            wire.start(request, made.now, streaming=streaming)
        elif streaming:
            upload(made)
        made.feed(scenario.pieces(answer, size))
    made.end(settings["ending"])
    check(made)
    return made


def upload(made: https.Run) -> None:
    """Some of the body, and its end."""
    try:
        made.wire.send_body(b"abc", made.now)
        made.collect()
        made.wire.end_body(made.now)
    except LocalProtocolError:  # the exchange is over
        return
    made.collect()


def check(made: https.Run) -> None:
    """Heads come first, and each exchange has one end."""
    under_way = False
    for event in made.events:
        if isinstance(event, ResponseStarted):
            assert not under_way, "two heads"
            under_way = True
        elif isinstance(event, ExchangeEnded):
            assert under_way, "an end without a head"
            under_way = False
        elif isinstance(event, ExchangeFailed):
            under_way = False
        else:
            assert under_way, f"outside an exchange: {event!r}"
    assert not under_way, "without an end"
    assert https.KEY not in repr(made.events), "the API key shows"
