"""The machines see what is wrong: each of these broken rows makes one fail."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from smallest_proto.lightning import states as lightning
from smallest_proto.machine import Row
from smallest_proto.pulse import states as pulse
from smallest_proto.pulse.speech_tables import DEFAULT, Emit, Heard, Turn
from stateful.test_lightning_stateful import LightningMachine
from stateful.test_pulse_stateful import PulseMachine

P, PI, PA = pulse.State, pulse.ClientInput, pulse.ClientAction
L, LI, LA = lightning.State, lightning.ClientInput, lightning.ClientAction


@pytest.mark.parametrize(
    ("machine", "table", "pair", "row"),
    [
        (PulseMachine, DEFAULT, (Turn.SPEAKING, Heard.STREAM_ENDED), Row((), Turn.SILENT)),
        (PulseMachine, DEFAULT, (Turn.SPEAKING, Heard.FINAL_CLOSING), Row((Emit.FINAL,), Turn.SILENT)),
        (PulseMachine, pulse.CLIENT, (P.OPEN, PI.CLOSE_STREAM), Row((PA.SEND_CLOSE_STREAM,), P.DRAINING)),
        (PulseMachine, pulse.CLIENT, (P.OPEN, PI.TRANSCRIPT), Row((PA.INFER, PA.INFER), P.OPEN)),
        (LightningMachine, lightning.CLIENT, (L.OPEN, LI.BROKEN_CLOSE), Row((LA.CLOSED_EARLY,), L.CLOSED)),
        (LightningMachine, lightning.CLIENT, (L.OPEN, LI.CHUNK), Row((LA.AUDIO, LA.AUDIO), L.OPEN)),
    ],
)
def test_a_broken_row_is_found(
    machine: Any, table: Any, pair: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(table, pair, row)
    only_look = settings(machine.TestCase.settings, phases=[Phase.generate], print_blob=False)
    with pytest.raises((AssertionError, ExceptionGroup)):
        run_state_machine_as_test(machine, settings=only_look)
