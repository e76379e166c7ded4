"""The life of a session that outlives its connections, as one table. Nothing but tables.

There are two places for a connection: `live`, which hears the audio, and `next`, which is being dialled or
waits for its turn. A pair that is missing is refused, which happens only to what the caller asks for.
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class SessionState(Symbol):
    """Which of the two places are taken, and what for."""

    DIALLING = "dialling"  # next is under way, nothing is live
    WAITING = "waiting"  # neither: the delay before the next dial runs
    LIVE = "live"
    WARMING = "warming"  # live works on, next is under way
    CHANGING = "changing"  # live gives its last finals, next is under way
    SWITCHING = "switching"  # live gives its last finals, next is open and hears nothing yet
    ENDED = "ended"


class SessionInput(Symbol):
    """What can happen to a session: by the caller, by its connections, by the clock."""

    UPDATE = "update_options"
    MIGRATE = "migrate"
    ABANDON = "close"
    NEXT_OPENED = "next is open"
    NEXT_LOST = "next failed, and another may do better"
    NEXT_FAILED = "next failed for good"
    LIVE_LOST = "live ended early, and another may take over"
    LIVE_FAILED = "live ended early, for good"
    LIVE_RETIRED = "live has given its last finals, or its time for them is over"
    FINISHED = "the stream has ended, or the time for its end is over"
    DIAL_DUE = "dial deadline"


class SessionAction(Symbol):
    """What the session then does."""

    DIAL = "make a connection for the driver to dial: next"
    BACK_OFF = "emit Reconnecting, arm the dial deadline"
    TELL_LOST = "emit Reconnecting, with next under way"
    TELL_STAYING = "let go of next, emit MigrationFailed"
    DISCARD_NEXT = "let go of next"
    LEAVE_LIVE = "let go of live; hold its open turn"
    RETIRE_LIVE = "send live no more audio; ask it for its last finals, in a limited time"
    PROMOTE = "next is live; replay to it what no final has covered"
    FAIL = "end with the error"
    FINISH = "end with StreamEnded"


_S, _I, _A = SessionState, SessionInput, SessionAction

SESSION_EXTERNAL = (
    *(_I.ABANDON, _I.NEXT_OPENED, _I.NEXT_LOST, _I.NEXT_FAILED),
    *(_I.LIVE_LOST, _I.LIVE_FAILED, _I.LIVE_RETIRED, _I.FINISHED, _I.DIAL_DUE),
)
"""What is no request of the caller's: a refusal does not suggest it."""

_FINISHED = Row((_A.FINISH,), _S.ENDED)
_FAILED = Row((_A.FAIL,), _S.ENDED)

SESSION: Table[SessionState, SessionInput, SessionAction] = {
    (state, given): _FINISHED
    for state in SessionState
    if state is not _S.ENDED
    for given in (_I.FINISHED, _I.ABANDON)
} | {
    (_S.DIALLING, _I.NEXT_OPENED): Row((_A.PROMOTE,), _S.LIVE),
    (_S.DIALLING, _I.NEXT_LOST): Row((_A.DISCARD_NEXT, _A.BACK_OFF), _S.WAITING),
    (_S.DIALLING, _I.NEXT_FAILED): _FAILED,
    (_S.DIALLING, _I.UPDATE): Row((_A.DISCARD_NEXT, _A.DIAL), _S.DIALLING),
    (_S.DIALLING, _I.MIGRATE): Row((), _S.DIALLING),
    (_S.WAITING, _I.DIAL_DUE): Row((_A.DIAL,), _S.DIALLING),
    (_S.WAITING, _I.UPDATE): Row((), _S.WAITING),
    (_S.WAITING, _I.MIGRATE): Row((), _S.WAITING),
    (_S.LIVE, _I.LIVE_LOST): Row((_A.LEAVE_LIVE, _A.BACK_OFF), _S.WAITING),
    (_S.LIVE, _I.LIVE_FAILED): _FAILED,
    (_S.LIVE, _I.UPDATE): Row((_A.RETIRE_LIVE, _A.DIAL), _S.CHANGING),
    (_S.LIVE, _I.MIGRATE): Row((_A.DIAL,), _S.WARMING),
    (_S.WARMING, _I.NEXT_OPENED): Row((_A.RETIRE_LIVE,), _S.SWITCHING),
    (_S.WARMING, _I.NEXT_LOST): Row((_A.TELL_STAYING,), _S.LIVE),
    (_S.WARMING, _I.NEXT_FAILED): Row((_A.TELL_STAYING,), _S.LIVE),
    (_S.WARMING, _I.LIVE_LOST): Row((_A.LEAVE_LIVE, _A.TELL_LOST), _S.DIALLING),
    (_S.WARMING, _I.LIVE_FAILED): _FAILED,
    (_S.WARMING, _I.UPDATE): Row((_A.DISCARD_NEXT, _A.RETIRE_LIVE, _A.DIAL), _S.CHANGING),
    (_S.WARMING, _I.MIGRATE): Row((), _S.WARMING),
    (_S.CHANGING, _I.NEXT_OPENED): Row((), _S.SWITCHING),
    # what live has not made final yet is replayed, so there is nothing to wait for
    (_S.CHANGING, _I.NEXT_LOST): Row((_A.DISCARD_NEXT, _A.LEAVE_LIVE, _A.BACK_OFF), _S.WAITING),
    (_S.CHANGING, _I.NEXT_FAILED): _FAILED,
    (_S.CHANGING, _I.LIVE_RETIRED): Row((_A.LEAVE_LIVE,), _S.DIALLING),
    (_S.CHANGING, _I.LIVE_LOST): Row((_A.LEAVE_LIVE,), _S.DIALLING),
    (_S.CHANGING, _I.LIVE_FAILED): Row((_A.LEAVE_LIVE,), _S.DIALLING),
    (_S.CHANGING, _I.UPDATE): Row((_A.DISCARD_NEXT, _A.DIAL), _S.CHANGING),
    (_S.CHANGING, _I.MIGRATE): Row((), _S.CHANGING),
    (_S.SWITCHING, _I.NEXT_LOST): Row((_A.DISCARD_NEXT, _A.LEAVE_LIVE, _A.BACK_OFF), _S.WAITING),
    (_S.SWITCHING, _I.NEXT_FAILED): _FAILED,
    (_S.SWITCHING, _I.LIVE_RETIRED): Row((_A.LEAVE_LIVE, _A.PROMOTE), _S.LIVE),
    (_S.SWITCHING, _I.LIVE_LOST): Row((_A.LEAVE_LIVE, _A.PROMOTE), _S.LIVE),
    (_S.SWITCHING, _I.LIVE_FAILED): Row((_A.LEAVE_LIVE, _A.PROMOTE), _S.LIVE),
    (_S.SWITCHING, _I.UPDATE): Row((_A.DISCARD_NEXT, _A.DIAL), _S.CHANGING),
    (_S.SWITCHING, _I.MIGRATE): Row((), _S.SWITCHING),
    (_S.ENDED, _I.ABANDON): Row((), _S.ENDED),
}

DIAL, REPLAY, TURN, HANDOVER, END = "dial", "replay", "turn", "handover", "end"

DUE = {DIAL: _I.DIAL_DUE, HANDOVER: _I.LIVE_RETIRED, END: _I.FINISHED}
"""Deadlines that are inputs. The two others send what is due of a replay, and end a turn that was held."""

LOSSES = {
    (True, True): _I.LIVE_LOST,
    (True, False): _I.LIVE_FAILED,
    (False, True): _I.NEXT_LOST,
    (False, False): _I.NEXT_FAILED,
}
"""By whether it was the live connection, and whether another may take over."""
