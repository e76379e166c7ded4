"""Event streams of any bytes."""

from __future__ import annotations

from fuzz import invariants, scenario
from smallest_proto.errors import ServerError
from smallest_proto.lightning.sse_decode import parse
from smallest_proto.limits import Limits
from smallest_proto.wire.sse import EventStreamDecoder, ServerSentEvent, encode_event

TABLE: scenario.Table = {
    "cut": (7, 1, 2, 3, 64, 1000),
    "limits": (Limits(), Limits(max_message_bytes=20)),
}


def fuzz(data: bytes) -> None:
    """The same events however the stream is cut, within their limit, and written they are read again."""
    settings, stream = scenario.split(data, TABLE)
    runs = [decode(scenario.pieces(stream, size), settings["limits"]) for size in (0, settings["cut"])]
    assert runs[0] == runs[1]
    events, _ = runs[0]
    most = settings["limits"].max_message_bytes
    assert len(events) <= len(stream)
    for event in events:
        # each byte that is not UTF-8 becomes one character
        assert len(event.data) <= most
        again, error = decode([encode_event(event.data, event.event)], Limits())
        assert (again, error) == ([event], None)
        parsed = parse(event)
        if isinstance(parsed, ServerError):
            invariants.clean_error(parsed)


def decode(pieces: list[bytes], limits: Limits) -> tuple[list[ServerSentEvent], str | None]:
    """All events of a stream, and what ended it early."""
    decoder = EventStreamDecoder(limits=limits)
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.end()
    return events, None if decoder.error is None else str(decoder.error)
