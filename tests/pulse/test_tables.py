"""The tables themselves: complete for what nobody can refuse, closed, and true to a few laws."""

from __future__ import annotations

import pytest

from smallest_proto.machine import Table
from smallest_proto.pulse.speech_tables import DEFAULT, SEED, Emit, Heard, Turn
from smallest_proto.pulse.states import (
    CLIENT,
    CLIENT_CLOCK,
    CLIENT_EXTERNAL,
    SERVER,
    SERVER_EXTERNAL,
    ClientAction,
    ClientInput,
    ServerAction,
    ServerInput,
    State,
)

SEED_NEVER_HEARS = {Heard.FINAL_OPEN, Heard.FINAL_LATE, Heard.FINAL_OPEN_BLANK}


def test_every_state_answers_everything_that_a_peer_can_do() -> None:
    assert {(s, i) for s in State for i in CLIENT_EXTERNAL} <= CLIENT.keys()
    assert {(s, i) for s in State for i in SERVER_EXTERNAL} <= SERVER.keys()
    assert {(s, ClientInput.ABANDON) for s in State} <= CLIENT.keys()
    assert {(s, ServerInput.ABANDON) for s in State} <= SERVER.keys()


def test_each_deadline_runs_in_one_state() -> None:
    assert {(s, i) for s, i in CLIENT if i in CLIENT_CLOCK} == {
        (State.OPEN, ClientInput.KEEPALIVE_DUE),
        (State.DRAINING, ClientInput.DRAIN_TIMEOUT),
    }


def test_the_speech_tables_answer_everything() -> None:
    assert DEFAULT.keys() == {(t, h) for t in Turn for h in Heard}
    assert SEED.keys() == {(t, h) for t in Turn for h in Heard if h not in SEED_NEVER_HEARS}


@pytest.mark.parametrize("table", [SEED, DEFAULT], ids=["seed", "default"])
def test_an_open_turn_and_the_last_edge_agree(table: Table[Turn, Heard, Emit]) -> None:
    for (turn, _), row in table.items():
        edges = [e for e in row.actions if e in (Emit.START, Emit.END)]
        speaking = turn is Turn.SPEAKING
        for edge in edges:
            assert (edge is Emit.START) is not speaking
            speaking = edge is Emit.START
        assert row.state is (Turn.SPEAKING if speaking else Turn.SILENT)
        assert list(row.actions) == sorted(row.actions, key=list(Emit).index)


def test_no_state_is_left_without_a_close() -> None:
    for table, close in ((CLIENT, ClientInput.BROKEN_CLOSE), (SERVER, ServerInput.CLOSE)):
        for state in State:
            assert table[state, close].state is State.CLOSED  # type: ignore[index]  # either table


def test_every_action_and_input_is_used() -> None:
    assert {a for row in CLIENT.values() for a in row.actions} == set(ClientAction)
    assert {a for row in SERVER.values() for a in row.actions} == set(ServerAction)
    assert {i for _, i in CLIENT} == set(ClientInput)
    assert {i for _, i in SERVER} == set(ServerInput)
    assert {e for row in DEFAULT.values() for e in row.actions} == set(Emit)
