"""The tables of HTTP: complete, and nothing in them is dead."""

from __future__ import annotations

import pytest

from smallest_proto.machine import Table
from smallest_proto.wire.http_base import HttpEnd
from smallest_proto.wire.http_client import HttpWire
from smallest_proto.wire.http_server import HttpServerWire
from smallest_proto.wire.http_states import CLIENT, EXTERNAL, SERVER, Action, Input, State

_A = Action
TIMEOUTS = {
    _A.ARM_REQUEST: Input.REQUEST_TIMEOUT,
    _A.ARM_RESPONSE: Input.RESPONSE_TIMEOUT,
    _A.ARM_IDLE: Input.IDLE_TIMEOUT,
    _A.ARM_KEEP_ALIVE: Input.KEEP_ALIVE_TIMEOUT,
}
ENDS = (_A.TELL, _A.FAIL, _A.FAIL_REFUSED)


def states(table: Table[State, Input, Action]) -> set[State]:
    return {state for state, _ in table}


@pytest.mark.parametrize("table", [CLIENT, SERVER], ids=["client", "server"])
def test_every_state_takes_what_the_peer_and_the_caller_can_always_do(
    table: Table[State, Input, Action],
) -> None:
    for state in states(table):
        for given in (*EXTERNAL, Input.CLOSE):
            assert (state, given) in table
            if given in (Input.CLOSE, Input.EOF):
                assert table[state, given].state is State.CLOSED


@pytest.mark.parametrize("table", [CLIENT, SERVER], ids=["client", "server"])
def test_every_state_is_reached_from_ready(table: Table[State, Input, Action]) -> None:
    reached = {State.READY}
    for _ in State:
        reached |= {row.state for (state, _), row in table.items() if state in reached}
    assert reached == states(table)


def test_every_state_and_input_is_used() -> None:
    assert states(CLIENT) | states(SERVER) == set(State)
    assert {given for _, given in (*CLIENT, *SERVER)} == set(Input)
    assert {action for row in (*CLIENT.values(), *SERVER.values()) for action in row.actions} == set(Action)


@pytest.mark.parametrize(
    ("wire", "table"), [(HttpWire, CLIENT), (HttpServerWire, SERVER)], ids=["client", "server"]
)
def test_every_action_is_carried_out(wire: type[HttpEnd], table: Table[State, Input, Action]) -> None:
    assert {action for row in table.values() for action in row.actions} <= set(wire._actions)


@pytest.mark.parametrize("table", [CLIENT, SERVER], ids=["client", "server"])
def test_a_deadline_that_may_be_armed_has_a_row_and_no_other(table: Table[State, Input, Action]) -> None:
    """Follow every path, with what is armed on it: by the table alone, at most one deadline at a time."""
    seen: set[tuple[State, frozenset[Input]]] = set()
    waiting: list[tuple[State, frozenset[Input]]] = [(State.READY, frozenset())]
    while waiting:
        state, armed = waiting.pop()
        if (state, armed) in seen:
            continue
        seen.add((state, armed))
        assert len(armed) <= 1
        assert all((state, timeout) in table for timeout in armed)
        for (at, given), row in table.items():
            if at is not state or (given in TIMEOUTS.values() and given not in armed):
                continue
            after = set(armed) - {given}
            for action in row.actions:
                if action is Action.DISARM:
                    after.clear()
                elif action in TIMEOUTS:
                    after.add(TIMEOUTS[action])
            assert not (row.state is State.CLOSED and after)
            waiting.append((row.state, frozenset(after)))
    assert {state for state, _ in seen} == states(table)


def test_a_client_exchange_has_exactly_one_end() -> None:
    for (state, given), row in CLIENT.items():
        under_way = state not in (State.READY, State.CLOSED)
        over = row.state in (State.READY, State.CLOSED)
        told = [action for action in row.actions if action in ENDS]
        assert len(told) == (under_way and over) or given is Input.RESPONSE


@pytest.mark.parametrize("table", [CLIENT, SERVER], ids=["client", "server"])
def test_a_failure_ends_the_connection(table: Table[State, Input, Action]) -> None:
    assert all(row.state is State.CLOSED for row in table.values() if _A.FAIL in row.actions)
