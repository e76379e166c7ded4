"""Nothing lost, nothing twice, over seeded schedules of drops; and the check notices when that is broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pulse.session.simulator import World, check
from smallest_proto.pulse.continuity import Continuity
from smallest_proto.pulse.events import FinalTranscript
from smallest_proto.pulse.repeats import Repeats
from smallest_proto.pulse.replay import Mark, ReplayLog

GROUPS, EACH = 15, 10
"""`python -m pulse.session.simulator 1000` in tests/ runs more."""


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_lost(group: int) -> None:
    for seed in range(group * EACH, (group + 1) * EACH):
        world = World(seed)
        events = world.run()
        check(world, events)


def _no_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReplayLog, "replay_from", ReplayLog.end)


def _no_suppression(monkeypatch: pytest.MonkeyPatch) -> None:
    def fresh_part(self: Repeats, event: FinalTranscript, *, timed: bool) -> FinalTranscript:
        return event

    monkeypatch.setattr(Repeats, "fresh_part", fresh_part)


def _no_rebase(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Continuity.begin

    def begin_anew(self: Continuity, start: int) -> None:
        begin(self, start)
        self._offset = 0.0

    monkeypatch.setattr(Continuity, "begin", begin_anew)


def _lost_finalize(monkeypatch: pytest.MonkeyPatch) -> None:
    marks_after = ReplayLog.marks_after

    def unless_replayed(self: ReplayLog, serial: int) -> list[Mark]:
        return [mark for mark in marks_after(self, serial) if serial or self.input_ended or mark.serial == 1]

    monkeypatch.setattr(ReplayLog, "marks_after", unless_replayed)


def _doubled_start(monkeypatch: pytest.MonkeyPatch) -> None:
    leave = Continuity.leave

    def forget_turn(self: Continuity, sent: int) -> None:
        leave(self, sent)
        self._turn_open = False

    monkeypatch.setattr(Continuity, "leave", forget_turn)


@pytest.mark.interpreted
@pytest.mark.parametrize(
    ("break_it", "noticed"),
    [
        (_no_replay, "samples were said of the word"),
        (_no_suppression, "said twice"),
        (_no_rebase, "not when it was said"),
        (_lost_finalize, "a finalize was lost"),
        (_doubled_start, "START and END do not alternate"),
    ],
)
def test_a_broken_session_is_noticed(
    break_it: Callable[[pytest.MonkeyPatch], None], noticed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    assert any(noticed in _fault(seed) for seed in range(60))


def _fault(seed: int) -> str:
    world = World(seed, seconds=30.0, drops=8)
    try:
        check(world, world.run())
    except AssertionError as error:
        return str(error)
    return ""
