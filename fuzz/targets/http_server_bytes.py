"""The server's HTTP on any bytes: requests one after another, answered at once, in pieces, early or late."""

from __future__ import annotations

from typing import Any

from fuzz import https, scenario
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import Event
from smallest_proto.wire.http_events import ExchangeFailed, RequestEnded, RequestStarted
from smallest_proto.wire.http_server import HttpServerWire, wants_upgrade

TABLE: scenario.Table = {
    "cut": (7, 1, 2, 3, 64, 1000),
    "limits": https.LIMITS,
    "ending": ("eof", "time", "close"),
    "when": ("whole", "early", "late"),
    "answer": ("body", "streamed", "empty"),
}


def fuzz(data: bytes) -> None:
    """Each request ends once; nothing depends on the cuts, unless the caller's answer came between them."""
    settings, stream = scenario.split(data, TABLE)
    runs = [run(settings, scenario.pieces(stream, size)) for size in (0, settings["cut"])]
    same = settings["when"] == "late" or len(stream) <= settings["limits"].max_handshake_bytes
    if same and settings["when"] != "early":
        assert https.result(runs[0]) == https.result(runs[1])
    decided = wants_upgrade(stream, limits=settings["limits"])
    for end in range(1, min(len(stream), 400), 7):
        before = wants_upgrade(stream[:end], limits=settings["limits"])
        assert before is None or before is decided, "it changed its mind"


def run(settings: dict[str, Any], data: list[bytes]) -> https.Run:
    """One connection."""
    wire = HttpServerWire(limits=settings["limits"])
    when = {"whole": RequestEnded, "early": RequestStarted, "late": ()}[settings["when"]]

    def react(event: Event) -> None:
        if isinstance(event, when):  # type: ignore[arg-type]  # a class, or none
            answer()

    def answer() -> bool:
        try:
            if settings["answer"] == "streamed":
                wire.respond(200, made.now, [("X-A", "b")])
                wire.send_body(b"abc", made.now)
                wire.end_body(made.now)
            elif settings["answer"] == "empty":
                wire.respond(204, made.now, body=b"")
            else:
                wire.respond(200, made.now, body=b"hello")
        except LocalProtocolError:  # it failed meanwhile
            return False
        return True

    made = https.Run(wire, react)
    made.feed(data)
    while answer():
        made.collect()
    made.end(settings["ending"])
    check(made.events)
    return made


def check(events: list[Event]) -> None:
    """A head comes first; the end or a failure comes once for each; after a failure comes nothing."""
    reading = failed = False
    for event in events:
        assert not failed, f"after the failure: {event!r}"
        if isinstance(event, RequestStarted):
            assert not reading, "two heads"
            reading = True
        elif isinstance(event, RequestEnded):
            assert reading, "an end without a head"
            reading = False
        elif isinstance(event, ExchangeFailed):
            failed = True
        else:
            assert reading, f"outside a request: {event!r}"
