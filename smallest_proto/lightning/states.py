"""The life of a Lightning connection at the client end, as one table. Nothing but tables.

A pair that is missing is refused, which happens only to what the caller asks for: a test checks that every
state has a row for everything that the peer and the clock can do. Facts: the session rules of
[asyncapi tts-ws] and, for contexts, of [lk 1.8.9].
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from smallest_proto.machine import Row, Symbol, Table


class State(Symbol):
    """Where the client end stands."""

    IDLE = "idle"
    PENDING = "pending"  # a context is open, but nothing of it was sent
    OPEN = "open"  # text was sent, more may follow
    DRAINING = "draining"  # all text was sent, audio is due
    LINGERING = "lingering"  # a `complete` came that is the last unless more audio follows
    SPENT = "spent"  # nothing can be synthesised any more; only the close is missing
    CLOSED = "closed"


class ClientInput(Symbol):
    """What can happen to the client end: by the caller, by the peer, by the clock."""

    OPEN_CONTEXT = "open context"
    TEXT = "text"
    BLANK = "blank text"
    SPEECH = "speak"
    BLANK_SPEECH = "speak blanks"
    FINISH = "finish"
    FLUSH = "flush"
    CANCEL = "cancel"
    KEEP_ALIVE = "keep-alive"
    ABANDON = "abandon"
    CHUNK = "chunk"
    EMPTY_CHUNK = "chunk without audio"
    BAD_CHUNK = "chunk that is not base64"
    WORD = "word_timestamp"
    RELEASE = "complete of one release"
    PROBABLE_END = "complete, probably the last"
    CERTAIN_END = "complete, certainly the last"
    KEEP_ALIVE_ANSWER = "complete of a keep-alive"
    STRAY = "frame of an ended request"
    UNKNOWN = "message without meaning"
    ERROR = "error"
    IDLE_ERROR = "error of the idle timeout"
    CLEAN_CLOSE = "close 1000 or without a code"
    BROKEN_CLOSE = "any other end of the connection"
    FAULT = "failure of the byte level"
    LINGER_OVER = "linger is over"
    SILENCE_OVER = "limit of silence"
    FIRST_AUDIO_OVER = "limit for the first audio"
    KEEP_ALIVE_DUE = "keep-alive is due"


class ClientAction(Symbol):
    """What the client end then does."""

    OPEN = "take the context"
    HOLD = "keep the blanks for the next piece"
    SEND_TEXT = "queue the text"
    SEND_FLUSH = "queue the flush"
    SEND = "queue the closing fragment or the cancel request"
    SEND_KEEP_ALIVE = "queue a blank text"
    AUDIO = "emit AudioChunk"
    WORD = "emit WordTimestamp"
    NOTE_RELEASE = "tell the policy of an early complete"
    NOTE_COMPLETE = "tell the policy of a complete"
    AWAIT = "restart the deadline for the next frame"
    LINGER = "restart the linger"
    COMPLETE = "emit ContextComplete, confirmed"
    COMPLETE_UNCONFIRMED = "emit ContextComplete, not confirmed"
    CANCELLED = "emit ContextCancelled"
    FAIL = "emit ContextFailed"
    REPORT_STRAY = "emit UnknownMessage, for a frame that comes too late"
    REPORT_UNKNOWN = "emit UnknownMessage"
    REPORT_ERROR = "emit ServerErrorReceived"
    RETIRE = "ask for the WebSocket to be closed"
    CLOSED_AS_EXPECTED = "emit ConnectionClosed, expected"
    CLOSED_EARLY = "emit ConnectionClosed with the error"


_S, _I, _A = State, ClientInput, ClientAction

CLIENT_EXTERNAL = (
    *(_I.CHUNK, _I.EMPTY_CHUNK, _I.BAD_CHUNK, _I.WORD, _I.RELEASE, _I.PROBABLE_END, _I.CERTAIN_END),
    *(_I.KEEP_ALIVE_ANSWER, _I.STRAY, _I.UNKNOWN, _I.ERROR, _I.IDLE_ERROR),
    *(_I.CLEAN_CLOSE, _I.BROKEN_CLOSE, _I.FAULT),
    *(_I.LINGER_OVER, _I.SILENCE_OVER, _I.FIRST_AUDIO_OVER, _I.KEEP_ALIVE_DUE),
)
"""What the peer and the clock do: never refused."""

_Rows: TypeAlias = dict[tuple[State, ClientInput], Row[State, ClientAction]]


def _stay(states: Iterable[State], inputs: Iterable[ClientInput], *actions: ClientAction) -> _Rows:
    """In each of these states each of these inputs does this, and the state stays."""
    inputs = tuple(inputs)
    return {(state, given): Row(actions, state) for state in states for given in inputs}


_LIVE = (_S.IDLE, _S.PENDING, _S.OPEN, _S.DRAINING, _S.LINGERING)
_STRAYS = (_I.CHUNK, _I.BAD_CHUNK, _I.WORD, _I.STRAY)
_FAILURE: Row[State, ClientAction] = Row((_A.FAIL, _A.RETIRE), _S.SPENT)
_LOSS: Row[State, ClientAction] = Row((_A.FAIL, _A.CLOSED_EARLY), _S.CLOSED)
_EXPECTED: Row[State, ClientAction] = Row((_A.CLOSED_AS_EXPECTED,), _S.CLOSED)

CLIENT: Table[State, ClientInput, ClientAction] = (
    # What has no row of its own below does nothing: a deadline that was not armed, a `complete` that nobody
    # waits for [lk 1.8.9], anything after the end.
    _stay(State, (*CLIENT_EXTERNAL, _I.ABANDON))
    | _stay((*_LIVE, _S.SPENT), (_I.UNKNOWN,), _A.REPORT_UNKNOWN)
    | _stay(_LIVE, (_I.KEEP_ALIVE, _I.KEEP_ALIVE_DUE), _A.SEND_KEEP_ALIVE)
    # No context, or one of which nothing was sent, or one that has ended: audio is none of ours.
    | _stay((_S.IDLE, _S.PENDING, _S.SPENT), _STRAYS, _A.REPORT_STRAY)
    | _stay((_S.OPEN, _S.DRAINING, _S.LINGERING), (_I.STRAY,), _A.REPORT_STRAY)
    | _stay((_S.SPENT,), (_I.ERROR,), _A.REPORT_STRAY)
    | {
        (_S.IDLE, _I.OPEN_CONTEXT): Row((_A.OPEN,), _S.PENDING),
        (_S.IDLE, _I.TEXT): Row((_A.OPEN, _A.SEND_TEXT), _S.OPEN),
        (_S.IDLE, _I.BLANK): Row((_A.OPEN, _A.HOLD), _S.PENDING),
        (_S.IDLE, _I.SPEECH): Row((_A.OPEN, _A.SEND_TEXT, _A.AWAIT), _S.DRAINING),
        (_S.IDLE, _I.BLANK_SPEECH): Row((_A.OPEN, _A.COMPLETE), _S.IDLE),
        (_S.IDLE, _I.ABANDON): Row((_A.RETIRE,), _S.SPENT),
        (_S.IDLE, _I.ERROR): Row((_A.REPORT_ERROR,), _S.IDLE),
        # the server closes after this one, and nothing is lost by it [asyncapi tts-ws]
        (_S.IDLE, _I.IDLE_ERROR): Row((_A.RETIRE,), _S.SPENT),
        (_S.IDLE, _I.CLEAN_CLOSE): _EXPECTED,
        (_S.IDLE, _I.BROKEN_CLOSE): _EXPECTED,
        (_S.IDLE, _I.FAULT): Row((_A.CLOSED_EARLY,), _S.CLOSED),
    }
    | {
        (_S.PENDING, _I.TEXT): Row((_A.SEND_TEXT,), _S.OPEN),
        (_S.PENDING, _I.BLANK): Row((_A.HOLD,), _S.PENDING),
        # nothing was sent, so no `complete` would come, and the connection is as good as new [lk 1.8.9]
        (_S.PENDING, _I.FINISH): Row((_A.COMPLETE,), _S.IDLE),
        (_S.PENDING, _I.FLUSH): Row((), _S.PENDING),
        (_S.PENDING, _I.CANCEL): Row((_A.CANCELLED,), _S.IDLE),
        (_S.PENDING, _I.ABANDON): Row((_A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.PENDING, _I.ERROR): _FAILURE,
        (_S.PENDING, _I.IDLE_ERROR): _FAILURE,
        (_S.PENDING, _I.CLEAN_CLOSE): _LOSS,
        (_S.PENDING, _I.BROKEN_CLOSE): _LOSS,
        (_S.PENDING, _I.FAULT): _LOSS,
    }
    | {
        (_S.OPEN, _I.TEXT): Row((_A.SEND_TEXT,), _S.OPEN),
        (_S.OPEN, _I.BLANK): Row((_A.HOLD,), _S.OPEN),
        (_S.OPEN, _I.FINISH): Row((_A.SEND, _A.AWAIT), _S.DRAINING),
        (_S.OPEN, _I.FLUSH): Row((_A.SEND_FLUSH,), _S.OPEN),
        (_S.OPEN, _I.CANCEL): Row((_A.SEND, _A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.OPEN, _I.ABANDON): Row((_A.SEND, _A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.OPEN, _I.CHUNK): Row((_A.AUDIO,), _S.OPEN),
        (_S.OPEN, _I.BAD_CHUNK): _FAILURE,
        (_S.OPEN, _I.WORD): Row((_A.WORD,), _S.OPEN),
        # while text may follow, no `complete` ends anything
        (_S.OPEN, _I.RELEASE): Row((_A.NOTE_RELEASE,), _S.OPEN),
        (_S.OPEN, _I.PROBABLE_END): Row((_A.NOTE_RELEASE,), _S.OPEN),
        (_S.OPEN, _I.CERTAIN_END): Row((_A.NOTE_RELEASE,), _S.OPEN),
        (_S.OPEN, _I.ERROR): _FAILURE,
        (_S.OPEN, _I.IDLE_ERROR): _FAILURE,
        (_S.OPEN, _I.CLEAN_CLOSE): _LOSS,
        (_S.OPEN, _I.BROKEN_CLOSE): _LOSS,
        (_S.OPEN, _I.FAULT): _LOSS,
    }
    | {
        # the cancel request is for contexts that were not closed [lk 1.8.9]
        (_S.DRAINING, _I.CANCEL): Row((_A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.DRAINING, _I.ABANDON): Row((_A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.DRAINING, _I.CHUNK): Row((_A.AUDIO, _A.AWAIT), _S.DRAINING),
        (_S.DRAINING, _I.EMPTY_CHUNK): Row((_A.AWAIT,), _S.DRAINING),
        (_S.DRAINING, _I.BAD_CHUNK): _FAILURE,
        (_S.DRAINING, _I.WORD): Row((_A.WORD, _A.AWAIT), _S.DRAINING),
        (_S.DRAINING, _I.RELEASE): Row((_A.NOTE_COMPLETE, _A.AWAIT), _S.DRAINING),
        (_S.DRAINING, _I.PROBABLE_END): Row((_A.NOTE_COMPLETE, _A.LINGER), _S.LINGERING),
        (_S.DRAINING, _I.CERTAIN_END): Row((_A.COMPLETE,), _S.IDLE),
        (_S.DRAINING, _I.ERROR): _FAILURE,
        (_S.DRAINING, _I.IDLE_ERROR): _FAILURE,
        (_S.DRAINING, _I.CLEAN_CLOSE): _LOSS,
        (_S.DRAINING, _I.BROKEN_CLOSE): _LOSS,
        (_S.DRAINING, _I.FAULT): _LOSS,
        (_S.DRAINING, _I.SILENCE_OVER): Row((_A.COMPLETE_UNCONFIRMED, _A.RETIRE), _S.SPENT),
        (_S.DRAINING, _I.FIRST_AUDIO_OVER): _FAILURE,
    }
    | {
        (_S.LINGERING, _I.CANCEL): Row((_A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.LINGERING, _I.ABANDON): Row((_A.CANCELLED, _A.RETIRE), _S.SPENT),
        (_S.LINGERING, _I.CHUNK): Row((_A.AUDIO, _A.AWAIT), _S.DRAINING),
        (_S.LINGERING, _I.BAD_CHUNK): _FAILURE,
        (_S.LINGERING, _I.WORD): Row((_A.WORD,), _S.LINGERING),
        (_S.LINGERING, _I.RELEASE): Row((_A.NOTE_COMPLETE,), _S.LINGERING),
        (_S.LINGERING, _I.PROBABLE_END): Row((_A.NOTE_COMPLETE, _A.LINGER), _S.LINGERING),
        (_S.LINGERING, _I.ERROR): _FAILURE,
        (_S.LINGERING, _I.IDLE_ERROR): _FAILURE,
        # the spec has the server close after `complete` [asyncapi tts-ws]
        (_S.LINGERING, _I.CLEAN_CLOSE): Row((_A.COMPLETE, _A.CLOSED_AS_EXPECTED), _S.CLOSED),
        (_S.LINGERING, _I.BROKEN_CLOSE): _LOSS,
        (_S.LINGERING, _I.FAULT): _LOSS,
        (_S.LINGERING, _I.LINGER_OVER): Row((_A.COMPLETE,), _S.IDLE),
    }
    | {
        (_S.SPENT, _I.CLEAN_CLOSE): _EXPECTED,
        (_S.SPENT, _I.BROKEN_CLOSE): _EXPECTED,
        (_S.SPENT, _I.FAULT): _EXPECTED,
    }
)
