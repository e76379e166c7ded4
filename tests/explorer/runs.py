"""What is explored: each protocol in each mode, with little room in the channel and with more."""

from __future__ import annotations

from typing import NamedTuple

from explorer.lightning_world import MODES as LIGHTNING_MODES
from explorer.lightning_world import LightningWorld
from explorer.pulse_world import MODES as PULSE_MODES
from explorer.pulse_world import PulseWorld
from explorer.search import Result, explore
from explorer.world import World

EVERYTHING = 99
"""Deeper than any search goes before it has seen all."""


class Run(NamedTuple):
    """A search: `room` messages on their way to either end, `depth` moves."""

    mode: str
    room: int
    depth: int

    def explore(self) -> Result:
        return explore(f"{self.mode}, room {self.room}", world(self.mode, self.room), self.depth)


def world(mode: str, room: int) -> World:
    """A fresh connection."""
    if mode in PULSE_MODES:
        return PulseWorld(PULSE_MODES[mode], room)
    return LightningWorld(LIGHTNING_MODES[mode], room)


SHORT = [
    Run("pulse, VAD events", 1, 5),
    Run("pulse, no VAD events", 1, 4),
    Run("pulse, seed", 1, 4),
    *(Run(mode, 1, 5) for mode in LIGHTNING_MODES),
    Run("pulse, VAD events", 2, 3),
    Run("lightning, context", 2, 3),
]
"""A few seconds, for every test run. With room for one message, nothing can overtake anything."""

LONG = [
    *(Run(mode, 1, EVERYTHING) for mode in (*PULSE_MODES, "lightning, segment")),
    *(Run(mode, 1, 8) for mode in ("lightning, context", "lightning, continue")),
    *(Run(mode, 2, 4) for mode in PULSE_MODES),
    *(Run(mode, 2, 5) for mode in LIGHTNING_MODES),
]
"""Under two minutes on two cores: `make explore`."""
