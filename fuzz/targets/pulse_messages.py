"""A Pulse client that meets any messages, closes, faults and timers, with both tables of the turns."""

from __future__ import annotations

import warnings
from typing import Any

from fuzz import invariants, scenario
from fuzz.scenario import Step
from fuzz.session import Session
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    Flush,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    TranscriptMessage,
    Usage,
)
from smallest_proto.pulse.messages import CLOSE_STREAM

OPTIONS: scenario.Table = {
    "compat": ("default", "seed"),
    "endpoint": ("get_text", "live", "transcribe"),
    "vad_events": (None, True, False),
    "diarize": (False, True),
    "include_raw": (False, True),
    "language": ("en", "zh", "multi"),
    "encoding": ("linear16", "opus", "mulaw", "linear32"),
    "packet_ms": (50, 20, 200),
}
TABLE: scenario.Table = {**OPTIONS, "drain_timeout": (10.0, None, 0.5), "eager": (True, False)}
COMMANDS = {b"f": Finalize(), b"F": Flush(), b"k": KeepAlive(), b"s": CloseStream()}
MISUSE = (None, "audio", Audio(b""), Audio("text"), TranscriptMessage(), Audio)  # type: ignore[arg-type]  # on purpose
MOST_AUDIO = 20_000


def command(argument: bytes) -> object:
    """`a` and a number of bytes, `A` and the audio itself, a letter of `COMMANDS`, or misuse."""
    kind, rest = argument[:1], argument[1:]
    if kind == b"a":
        return Audio(bytes(int(scenario.number(rest, 0, MOST_AUDIO))))
    if kind == b"A":
        return Audio(rest)
    return COMMANDS.get(kind) or MISUSE[len(argument) % len(MISUSE)]


def fuzz(data: bytes) -> None:
    """Whatever happens: one end, turns in order, audio out as it went in, nothing kept without bound."""
    settings, steps = scenario.parse(data, TABLE)
    limits = Limits(drain_timeout=settings.pop("drain_timeout"))
    eager = settings.pop("eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = PulseOptions(**settings)
        previous, came_in = None, 0
        for connection in scenario.connections(steps):
            session = Session(
                PulseConnection(options, limits=limits, previous=previous), command, eager=eager
            )
            session.came_in = came_in  # the tail of the audio goes on with the next connection
            session.run(connection)
            came_in = session.came_in
            check(session, options, carried=previous is not None)
            previous = session.layer if isinstance(session.layer, PulseConnection) else None
    if not eager:
        return
    # when things are taken out changes nothing
    lazy = Session(PulseConnection(options, limits=limits), command, eager=False)
    eagerly = Session(PulseConnection(options, limits=limits), command)
    first: list[Step] = next(scenario.connections(steps))
    for run in (lazy, eagerly):
        run.run(first)
    assert lazy.events == eagerly.events


def check(session: Session, options: PulseOptions, *, carried: bool) -> None:
    """What holds of a finished session; `carried` if it began with another's audio or turn."""
    invariants.stream_end(session.events)
    if options.compat == "default":
        invariants.turns(session.events, closed=True)
    if not session.eager or carried:
        return  # what had not been written when the connection ended is dropped
    audio_in = b"".join(c.pcm for c in session.accepted if isinstance(c, Audio))
    audio_out: list[Any] = [m for m in session.sent if isinstance(m, bytes)]
    assert audio_in.startswith(b"".join(audio_out)), "audio out is not audio in"
    form = options.audio_format
    assert not form.sample_width or all(len(m) <= form.packet_bytes(options.packet_ms) for m in audio_out)
    if CLOSE_STREAM in session.sent:
        assert session.sent[-1] == CLOSE_STREAM
        assert audio_in == b"".join(audio_out), "audio was lost"
    reported = sum(e.audio_seconds for e in session.events if isinstance(e, Usage))
    spent = form.seconds(sum(map(len, audio_out)))
    if options.compat == "default" or CLOSE_STREAM in session.sent:
        assert abs(reported - spent) < 1e-6 * (1 + spent), f"{reported} s of {spent} s were reported"
