"""The session's table: complete for what nobody can refuse, and true to what its states promise."""

from __future__ import annotations

from smallest_proto.pulse.session_states import (
    SESSION,
    SessionAction,
    SessionInput,
    SessionState,
)

S, I, A = SessionState, SessionInput, SessionAction  # noqa: E741  # the textbook letters

LIVE = {S.LIVE, S.WARMING, S.CHANGING, S.SWITCHING}
NEXT = {S.DIALLING, S.WARMING, S.CHANGING, S.SWITCHING}


def test_every_state_answers_what_can_happen_in_it() -> None:
    for state in S:
        assert (state, I.ABANDON) in SESSION
        if state is S.ENDED:
            continue
        assert {(state, given) for given in (I.UPDATE, I.MIGRATE, I.FINISHED)} <= SESSION.keys()
        assert ((state, I.LIVE_LOST) in SESSION) is (state in LIVE)
        assert ((state, I.LIVE_FAILED) in SESSION) is (state in LIVE)
        assert ((state, I.NEXT_LOST) in SESSION) is (state in NEXT)
        assert ((state, I.NEXT_FAILED) in SESSION) is (state in NEXT)
        assert ((state, I.NEXT_OPENED) in SESSION) is (state in NEXT - {S.SWITCHING})
        assert ((state, I.LIVE_RETIRED) in SESSION) is (state in {S.CHANGING, S.SWITCHING})
        assert ((state, I.DIAL_DUE) in SESSION) is (state is S.WAITING)


def test_the_actions_take_and_leave_the_places_that_the_states_name() -> None:
    for (state, given), row in SESSION.items():
        live, following = state in LIVE, state in NEXT
        for action in row.actions:
            if action is A.DIAL:
                assert not following
                following = True
            elif action in (A.DISCARD_NEXT, A.TELL_STAYING):
                assert following
                following = False
            elif action is A.LEAVE_LIVE:
                assert live
                live = False
            elif action is A.RETIRE_LIVE:
                assert live
            elif action is A.PROMOTE:
                assert not live
                assert following
                live, following = True, False
            elif action in (A.FAIL, A.FINISH):
                live = following = False
        assert live is (row.state in LIVE), (state, given)
        assert following is (row.state in NEXT), (state, given)


def test_a_dial_is_waited_for_only_where_it_is_due() -> None:
    for row in SESSION.values():
        assert (A.BACK_OFF in row.actions) <= (row.state is S.WAITING)
        assert (row.state is S.ENDED) is bool({A.FAIL, A.FINISH} & set(row.actions)) or not row.actions


def test_every_input_and_action_is_used() -> None:
    assert {given for _, given in SESSION} == set(I)
    assert {action for row in SESSION.values() for action in row.actions} == set(A)
