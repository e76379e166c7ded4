"""The tables themselves: complete towards the peer and the clock, and the end is the end."""

from __future__ import annotations

from smallest_proto.lightning.server_states import SERVER, SERVER_EXTERNAL, ServerInput, ServerState
from smallest_proto.lightning.states import CLIENT, CLIENT_EXTERNAL, ClientAction, ClientInput, State


def test_the_client_refuses_nothing_that_comes_from_outside() -> None:
    for state in State:
        for given in (*CLIENT_EXTERNAL, ClientInput.ABANDON):
            assert (state, given) in CLIENT


def test_the_server_refuses_nothing_that_comes_from_outside() -> None:
    for state in ServerState:
        for given in (*SERVER_EXTERNAL, ServerInput.ABANDON):
            assert (state, given) in SERVER


def test_closed_is_for_ever() -> None:
    assert all(not row.actions and row.state is s for (s, _), row in CLIENT.items() if s is State.CLOSED)
    assert all(
        not row.actions and row.state is s for (s, _), row in SERVER.items() if s is ServerState.CLOSED
    )


def test_a_context_ends_exactly_where_the_table_leaves_it() -> None:
    ends = {
        *(ClientAction.COMPLETE, ClientAction.COMPLETE_UNCONFIRMED),
        *(ClientAction.CANCELLED, ClientAction.FAIL),
    }
    active = {State.PENDING, State.OPEN, State.DRAINING, State.LINGERING}
    for (state, given), row in CLIENT.items():
        had = state in active or ClientAction.OPEN in row.actions
        ended = len(ends & set(row.actions))
        assert ended == (had and row.state not in active), (state, given)


def test_whoever_leaves_the_connection_spent_asks_for_its_close() -> None:
    for (state, given), row in CLIENT.items():
        becomes = row.state is State.SPENT and state is not State.SPENT
        assert (ClientAction.RETIRE in row.actions) == becomes, (state, given)
