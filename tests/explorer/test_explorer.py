"""Everything that can happen, a few moves deep; and the proof that the search sees what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from explorer.runs import SHORT, Run, world
from explorer.search import Broken, explore
from smallest_proto.errors import LocalProtocolError
from smallest_proto.lightning import states as lightning
from smallest_proto.machine import Row
from smallest_proto.pulse import client as pulse_client
from smallest_proto.pulse import states as pulse
from smallest_proto.pulse.speech_tables import DEFAULT, SEED, Emit, Heard, Turn
from smallest_proto.timers import Timers

VAD, SEEDED, CONTEXT = "pulse, VAD events", "pulse, seed", "lightning, context"


@pytest.mark.parametrize("run", SHORT, ids=lambda run: f"{run.mode}, room {run.room}")
def test_every_invariant_holds(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    result = run.explore()
    with capsys.disabled():
        print(f"\n{result}", end="")
    assert result.states > 100
    assert result.depth == run.depth


P, PI, PA = pulse.State, pulse.ClientInput, pulse.ClientAction
B, BI = pulse.State, pulse.ServerInput
L, LI, LA = lightning.State, lightning.ClientInput, lightning.ClientAction
BROKEN_ROWS = {
    "the end of the stream leaves the turn open": (
        *(VAD, DEFAULT, (Turn.SPEAKING, Heard.STREAM_ENDED), Row((), Turn.SILENT)),
        "the turn is open",
    ),
    "a closing final does not end its turn": (
        *(VAD, DEFAULT, (Turn.SPEAKING, Heard.FINAL_CLOSING), Row((Emit.FINAL,), Turn.SILENT)),
        "SpeechStarted twice|the turn is open",
    ),
    "an interim opens no turn": (
        *(SEEDED, SEED, (Turn.SILENT, Heard.INTERIM), Row((Emit.INTERIM,), Turn.SPEAKING)),
        "an interim outside a turn",
    ),
    "a turn opens twice": (
        *(VAD, DEFAULT, (Turn.SPEAKING, Heard.VAD_STARTED), Row((Emit.START,), Turn.SPEAKING)),
        "SpeechStarted twice",
    ),
    "transcripts are heard after the stream's end": (
        *(VAD, pulse.CLIENT, (P.DONE, PI.TRANSCRIPT), Row((PA.INFER,), P.DONE)),
        "after StreamEnded",
    ),
    "transcripts are heard after the connection's end": (
        *(VAD, pulse.CLIENT, (P.CLOSED, PI.TRANSCRIPT), Row((PA.INFER,), P.CLOSED)),
        "a call that means nothing changed something",
    ),
    "the last final is told twice": (
        VAD,
        pulse.CLIENT,
        (P.OPEN, PI.LAST_TRANSCRIPT),
        Row((PA.INFER, PA.INFER, PA.WIND_UP, PA.END_STREAM, PA.WANT_CLOSE), P.DONE),
        "a final was emitted twice",
    ),
    "finals are lost while draining": (
        *(VAD, pulse.CLIENT, (P.DRAINING, PI.TRANSCRIPT), Row((PA.ARM_DRAIN,), P.DRAINING)),
        "0 texts told of one",
    ),
    "close_stream forgets the held-back audio": (
        VAD,
        pulse.CLIENT,
        (P.OPEN, PI.CLOSE_STREAM),
        Row((PA.SEND_CLOSE_STREAM, PA.ARM_DRAIN), P.DRAINING),
        "audio is missing",
    ),
    "close_stream waits for ever": (
        VAD,
        pulse.CLIENT,
        (P.OPEN, PI.CLOSE_STREAM),
        Row((PA.SEND_TAIL, PA.SEND_CLOSE_STREAM), P.DRAINING),
        "a wait without a deadline",
    ),
    "audio is taken after close_stream": (
        *(VAD, pulse.CLIENT, (P.DRAINING, PI.AUDIO), Row((PA.SEND_AUDIO,), P.DRAINING)),
        "was not refused",
    ),
    "a second close is told again": (
        *(VAD, pulse.CLIENT, (P.CLOSED, PI.CLEAN_CLOSE), Row((PA.CLOSED_AS_ASKED,), P.CLOSED)),
        "a call that means nothing changed something",
    ),
    "the server does not hear audio": (
        *(VAD, pulse.SERVER, (B.OPEN, BI.AUDIO), Row((), B.OPEN)),
        "audio is missing",
    ),
    "audio is lost": (
        *(CONTEXT, lightning.CLIENT, (L.OPEN, LI.CHUNK), Row((), L.OPEN)),
        "0 events for one chunk",
    ),
    "a loss leaves the synthesis open": (
        *(CONTEXT, lightning.CLIENT, (L.OPEN, LI.BROKEN_CLOSE), Row((LA.CLOSED_EARLY,), L.CLOSED)),
        "the synthesis is open at the end",
    ),
    "the linger has no end": (
        *(CONTEXT, lightning.CLIENT, (L.DRAINING, LI.PROBABLE_END)),
        *(Row((LA.NOTE_COMPLETE,), L.LINGERING), "a wait without a deadline"),
    ),
    "audio is heard after a cancel": (
        *(CONTEXT, lightning.CLIENT, (L.SPENT, LI.CHUNK), Row((LA.AUDIO,), L.SPENT)),
        "AssertionError",
    ),
}


@pytest.mark.parametrize("name", BROKEN_ROWS)
def test_a_broken_row_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mode, table, pair, row, expected = BROKEN_ROWS[name]
    entries: Any = table
    assert entries.get(pair) != row
    monkeypatch.setitem(entries, pair, row)
    with pytest.raises(Broken, match=expected) as caught:
        explore(mode, world(mode, 1), 7)
    assert "\n  1. the " in str(caught.value)


def test_a_refusal_that_counts_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    send = pulse_client.ClientEnd.send

    def counting(self: Any, command: Any, now: float) -> None:
        try:
            send(self, command, now)
        except LocalProtocolError:
            self._sent_bytes += 1
            raise

    monkeypatch.setattr(pulse_client.ClientEnd, "send", counting)
    with pytest.raises(Broken, match="a refused command changed something"):
        explore(VAD, world(VAD, 1), 2)


def test_a_deadline_that_runs_backwards_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = Timers.set
    monkeypatch.setattr(
        Timers, "set", lambda self, name, at: arm(self, name, at - 6.0 * (name in self and "drain" in name))
    )
    with pytest.raises(Broken, match="runs backwards"):
        explore(VAD, world(VAD, 1), 5)


def test_a_deadline_that_has_passed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timers, "pop_expired", lambda self, now: [])
    with pytest.raises(Broken, match="has passed"):
        explore(VAD, world(VAD, 1), 2)


def test_the_moves_told_are_the_fewest(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: Any = DEFAULT
    monkeypatch.setitem(entries, (Turn.SPEAKING, Heard.STREAM_ENDED), Row((), Turn.SILENT))
    with pytest.raises(Broken) as caught:
        explore(VAD, world(VAD, 1), 5)
    assert str(caught.value).splitlines() == [
        f"{VAD}: AssertionError: the turn is open at the end of the connection",
        "after these moves:",
        "  1. the server sends interim",
        "  2. deliver to the client",
        "  3. the client loses the connection",
    ]
