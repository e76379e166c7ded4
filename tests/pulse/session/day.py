"""Hours of simulated speech with a drop every minute: does anything grow?

python -m pulse.session.day 24      # in tests/
"""

from __future__ import annotations

import gc
import sys
import time
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

from pulse.session.hand import said, text
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.pulse import (
    Audio,
    Finalize,
    FinalTranscript,
    PulseOptions,
    PulseSession,
    Resumed,
    ResumePolicy,
    SessionConnection,
)

RATE = 8000
WARM_UP = 600
"""Seconds after which nothing may grow any more."""


class Report(NamedTuple):
    """`grown` is in bytes, from the warm-up to the end; `most_kept` in seconds of audio."""

    drops: int
    finals: int
    most_kept: float
    peak: int
    grown: int


def run(hours: int, *, words: bool = True) -> Report:
    """A packet of a second each second, a final of two words every other, a finalize now and then."""
    options = PulseOptions(
        encoding="alaw", sample_rate=RATE, packet_ms=200, word_timestamps=words, vad_events=True
    )
    session = PulseSession(options, policy=ResumePolicy(), random=lambda: 0.5)
    packet = bytes(RATE)
    connection, base = _open(session), 0.0
    drops = finals = grown_from = 0
    most_kept = 0.0
    tracemalloc.start()
    for second in range(hours * 3600):
        now = float(second)
        session.handle_timeout(now)
        session.send(Audio(packet), now)
        if (dialled := session.next_connection()) is not None:
            dialled.receive_open(now)
            connection = dialled
        talking = second // 600 % 2 == 0  # ten minutes of speech, ten of silence
        if second % 2 and talking and connection is not None:
            at = second - 1.5 - base
            if at > 0:
                heard = said(f"a{second}", f"b{second}", at=at)
                connection.receive_message(heard if words else text(f"a{second}", f"b{second}"), now)
        if second % 97 == 0:
            session.send(Finalize(), now)
        if second % 60 == 59 and connection is not None:
            connection.receive_close(1006, "", now)
            connection = None
            drops += 1
        most_kept = max(most_kept, session.kept_seconds)
        for event in _drain(session, connection):
            finals += isinstance(event, FinalTranscript)
            base = event.start if isinstance(event, Resumed) else base
        if second == WARM_UP:
            gc.collect()
            grown_from = tracemalloc.get_traced_memory()[0]
    gc.collect()
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return Report(drops, finals, most_kept, peak, size - grown_from)


def _open(session: PulseSession) -> SessionConnection | None:
    connection = session.next_connection()
    assert connection is not None
    connection.receive_open(0.0)
    return connection


def _drain(session: PulseSession, connection: SessionConnection | None) -> Iterator[Event]:
    if connection is not None:
        connection.messages_to_send()
        while connection.next_event() is not NEED_DATA:
            pass
    while (event := session.next_event()) is not NEED_DATA:
        yield event


if __name__ == "__main__":
    began = time.perf_counter()
    hours = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    for words in (True, False):
        report = run(hours, words=words)
        print(
            f"{hours} h, {'word times' if words else 'text'}, {time.perf_counter() - began:.0f} s: {report}"
        )
