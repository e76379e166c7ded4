"""What an HTTP response means: transcripts, speech as a body and as events, the catalogue of voices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fuzz import invariants, scenario
from smallest_proto.errors import ConnectionLost
from smallest_proto.events import NEED_DATA, Event, UnknownMessage
from smallest_proto.exchange import HttpExchange
from smallest_proto.lightning.events import AudioChunk
from smallest_proto.lightning.http import SpeechExchange
from smallest_proto.lightning.http_events import EncodedAudio, SpeechComplete
from smallest_proto.lightning.sse import SpeechEventsExchange
from smallest_proto.lightning.voices import VoicesExchange
from smallest_proto.limits import Limits
from smallest_proto.pulse.batch import BatchExchange
from smallest_proto.pulse.batch_options import BatchOptions

SMALL = Limits(max_message_bytes=200, max_error_body=24)
KINDS: Mapping[str, Callable[[Limits], HttpExchange]] = {
    "batch": lambda limits: BatchExchange(BatchOptions(include_raw=True), limits=limits),
    "batch as seed": lambda limits: BatchExchange(BatchOptions(compat="seed"), limits=limits),
    "voices": lambda limits: VoicesExchange(limits=limits),
    "events": lambda limits: SpeechEventsExchange(limits=limits),
    "pcm": lambda limits: SpeechExchange(limits=limits),
    "mp3": lambda limits: SpeechExchange(output_format="mp3", limits=limits),
    "wav": lambda limits: SpeechExchange(output_format="wav", limits=limits),
    "ulaw": lambda limits: SpeechExchange(output_format="ulaw", limits=limits),
}
TABLE: scenario.Table = {
    "kind": tuple(KINDS),
    "status": (200, 206, 302, 400, 401, 410, 413, 429, 500, 503),
    "cut": (7, 1, 2, 3, 64, 1000),
    "limits": (Limits(), SMALL),
    "ending": ("end", "failure"),
}


def fuzz(data: bytes) -> None:
    """After the settings come header lines, a blank line, and the body. One last event, whatever the cuts."""
    settings, rest = scenario.split(data, TABLE)
    head, _, body = rest.partition(b"\n\n")
    named = (line.partition(b":") for line in head.split(b"\n"))
    headers = tuple((name.decode("latin-1"), value.strip().decode("latin-1")) for name, _, value in named)
    runs = [run(settings, headers, scenario.pieces(body, size)) for size in (0, settings["cut"])]
    assert runs[0] == runs[1]


def run(settings: dict[str, Any], headers: tuple[tuple[str, str], ...], body: list[bytes]) -> list[Event]:
    """One response; its events, with audio that lies side by side made one."""
    exchange = KINDS[settings["kind"]](settings["limits"])
    exchange.receive_head(settings["status"], headers)
    events: list[Event] = []
    for piece in body:
        exchange.receive_body(piece)
        collect(exchange, events)
    if settings["ending"] == "end":
        exchange.receive_end()
    exchange.receive_failure(ConnectionLost("the connection ended"))
    collect(exchange, events)
    *before, last = events
    assert exchange.over
    assert all(isinstance(event, AudioChunk | EncodedAudio | UnknownMessage) for event in before)
    assert not isinstance(last, AudioChunk | EncodedAudio | UnknownMessage)
    audio = [event.pcm for event in before if isinstance(event, AudioChunk)]
    assert all(pcm and len(pcm) % 2 == 0 for pcm in audio)
    if isinstance(last, SpeechComplete):
        audio += [event.data for event in before if isinstance(event, EncodedAudio)]
        assert last.size == sum(map(len, audio))
    invariants.clean_errors(events)
    assert repr(events)
    size = sum(map(len, body)) + invariants.weight(headers)
    invariants.bounded(size, invariants.weight(events), 2 + len(body))
    return events


def collect(exchange: HttpExchange, events: list[Event]) -> None:
    """Take out what waits."""
    while (event := exchange.next_event()) is not NEED_DATA:
        last = events[-1] if events else None
        if isinstance(event, AudioChunk) and isinstance(last, AudioChunk):
            events[-1] = AudioChunk(pcm=last.pcm + event.pcm, context_id="", request_id=event.request_id)
        elif isinstance(event, EncodedAudio) and isinstance(last, EncodedAudio):
            events[-1] = EncodedAudio(
                data=last.data + event.data, output_format=event.output_format, request_id=event.request_id
            )
        else:
            events.append(event)
