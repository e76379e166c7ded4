"""The table engine and the named deadlines."""

from __future__ import annotations

from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_proto.machine import Machine, Row, Table
from smallest_proto.timers import Timers


class Door(Enum):
    OPEN = "open"
    SHUT = "shut"


class Do(Enum):
    PUSH = "push"
    PULL = "pull"
    WIND = "wind"


class Sound(Enum):
    BANG = "bang"


TABLE: Table[Door, Do, Sound] = {
    (Door.OPEN, Do.PUSH): Row((Sound.BANG,), Door.SHUT),
    (Door.OPEN, Do.WIND): Row((), Door.OPEN),
    (Door.SHUT, Do.WIND): Row((), Door.SHUT),
}


def test_check_then_commit() -> None:
    door = Machine(TABLE, Door.OPEN)
    row = door.check(Do.PUSH)
    assert door.state is Door.OPEN
    assert door.commit(row) == (Sound.BANG,)
    assert door.step(Do.WIND) == ()
    assert (door.state, row.state) == (Door.SHUT, Door.SHUT)


@pytest.mark.parametrize(
    ("state", "external", "allowed"),
    [(Door.OPEN, (), "push, wind"), (Door.OPEN, (Do.WIND,), "push"), (Door.SHUT, (Do.WIND,), "nothing")],
)
def test_a_refusal_changes_nothing_and_says_what_the_caller_may_do(
    state: Door, external: tuple[Do, ...], allowed: str
) -> None:
    door = Machine(TABLE, state, external)
    for refused in (door.check, door.step):
        with pytest.raises(LocalProtocolError) as caught:
            refused(Do.PULL)
        assert str(caught.value) == f"pull is not allowed in state {state.value}; allowed there: {allowed}"
        assert door.state is state


NAMES = st.sampled_from(["a", "b", "c"])
MOVES = st.lists(st.tuples(NAMES, st.none() | st.floats(0, 10)))


@given(MOVES, st.floats(0, 10))
def test_timers_are_the_earliest_of_what_is_armed(moves: list[tuple[str, float | None]], now: float) -> None:
    timers = Timers()
    model: dict[str, float] = {}
    for name, at in moves:
        if at is None:
            timers.clear(name)
            model.pop(name, None)
        else:
            timers.set(name, at)
            model[name] = at
        assert timers.next_deadline() == min(model.values(), default=None)
        assert (name in timers) is (name in model)
    expired = timers.pop_expired(now)
    assert expired == [n for at, n in sorted((at, n) for n, at in model.items()) if at <= now]
    assert timers.next_deadline() == min((at for at in model.values() if at > now), default=None)
    assert timers.pop_expired(now) == []
    timers.clear()
    assert timers.next_deadline() is None
