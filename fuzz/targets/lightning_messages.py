"""A Lightning client that meets any messages, closes, faults and timers, in each way of sending text."""

from __future__ import annotations

import json
import math
import warnings

from fuzz import scenario
from fuzz.session import Session
from smallest_proto.events import Event
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextComplete,
    ContextFailed,
    FinishContext,
    FlushText,
    KeepAlive,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendComplete,
    SendText,
    Speak,
    WordTimestamp,
)

OPTIONS: scenario.Table = {
    "text_mode": ("context", "continue", "segment"),
    "word_timestamps": (False, True),
    "sample_rate": (24000, 8000, 44100),
    "keepalive_interval": (None, 0.5, 15.0, 5.0, 10.0),
    "max_buffer_flush_ms": (0, 100),
    "linger": (0.2, 0.1, 2.0),
}
TABLE: scenario.Table = {**OPTIONS, "eager": (True, False)}
BARE = {b"f": FinishContext, b"F": FlushText, b"x": CancelContext}
MISUSE = (None, "text", SendText(""), SendText(b"x"), SendComplete(), SendText("x", 7), SendText)  # type: ignore[arg-type]  # on purpose
OVER = (ContextComplete, ContextCancelled, ContextFailed)


def command(argument: bytes) -> object:
    """`t` or `s` and a text, `T` or `S` and an id, a blank and a text, a letter and maybe an id, or misuse."""
    kind, rest = argument[:1], scenario.text(argument[1:])
    if kind in BARE:
        return BARE[kind](rest or None)
    context_id, _, text = rest.partition(" ")
    match kind:
        case b"t":
            return SendText(rest)
        case b"T":
            return SendText(text, context_id)
        case b"s":
            return Speak(rest)
        case b"S":
            return Speak(text, context_id)
        case b"o":
            return OpenContext(rest)
        case b"k":
            return KeepAlive()
    return MISUSE[len(argument) % len(MISUSE)]


class LightningSession(Session):
    """Notes which contexts were opened."""

    opened: set[str]

    def send(self, command: object) -> None:
        """Send, and note the context that is open afterwards."""
        assert isinstance(self.layer, LightningConnection)
        super().send(command)
        if self.layer.context_id is not None:
            self.opened.add(self.layer.context_id)


def session(options: LightningOptions, *, eager: bool) -> LightningSession:
    """A fresh one."""
    made = LightningSession(LightningConnection(options), command, eager=eager)
    made.opened = set()
    return made


def fuzz(data: bytes) -> None:
    """One end, each context ends once and speaks only before, samples are whole, times are numbers."""
    settings, steps = scenario.parse(data, TABLE)
    eager = settings.pop("eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = LightningOptions(**settings)
    runs = [session(options, eager=eager), session(options, eager=not eager)]
    for run in runs:
        run.run(steps)
        check(run.events, run.opened)
        for message in run.sent:
            assert isinstance(message, str)
            assert isinstance(json.loads(message), dict)
    assert runs[0].events == runs[1].events, "when things are taken out must change nothing"


def check(events: list[Event], opened: set[str]) -> None:
    """What holds of a finished session that had opened these contexts."""
    over: set[str] = set()
    for event in events:
        if isinstance(event, AudioChunk):
            assert event.pcm, "an empty chunk"
            assert len(event.pcm) % 2 == 0, "half a sample"
        if isinstance(event, WordTimestamp):
            assert math.isfinite(event.start), event
            assert math.isfinite(event.end), event
        if isinstance(event, AudioChunk | WordTimestamp | ContextComplete | ContextCancelled | ContextFailed):
            assert event.context_id not in over, f"after the end of its context: {event!r}"
            if isinstance(event, OVER):
                over.add(event.context_id)
    assert opened <= over, f"without an end: {opened - over}"
