"""The life of a Lightning connection at the server end, as one table. Nothing but tables.

A pair that is missing is refused, which happens only to what the caller asks for. Facts: the session rules of
[asyncapi tts-ws] and, for contexts, of [lk 1.8.9]; what a server answers to nonsense is ours.
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class ServerState(Symbol):
    """Where the server end stands."""

    IDLE = "idle"
    RECEIVING = "receiving"  # text came, more may follow
    ANSWERING = "answering"  # all text is here, audio is due
    ENDING = "ending"  # we asked for the close, which is all that is missing
    CLOSED = "closed"


class ServerInput(Symbol):
    """What can happen to the server end: by the caller, by the peer, by the clock."""

    SEND_AUDIO = "audio"
    SEND_WORD = "word"
    SEND_RELEASE = "complete of one release"
    SEND_LAST = "complete, the last"
    SEND_ERROR = "error"
    ABANDON = "abandon"
    SPEECH = "whole text"
    FRAGMENT = "piece of text"
    FLUSH = "flush"
    END = "end of the text"
    CANCEL = "cancel request"
    KEEP_ALIVE = "keep-alive"
    FOREIGN = "message of another context"
    INVALID = "invalid message"
    CLEAN_CLOSE = "close 1000 or without a code"
    BROKEN_CLOSE = "any other end of the connection"
    FAULT = "failure of the byte level"
    IDLE_OVER = "idle timeout"


class ServerAction(Symbol):
    """What the server end then does."""

    BEGIN = "take the context"
    SEND = "queue the message"
    NEXT_REQUEST = "count up the request id"
    FORGET = "drop the context"
    TELL = "emit the event of the message"
    TELL_UNKNOWN = "emit UnknownMessage"
    REFUSE = "queue an error: invalid message"
    REFUSE_BUSY = "queue an error: one synthesis at a time"
    REFUSE_IDLE = "queue the error of the idle timeout"
    WANT_CLOSE = "ask for the WebSocket to be closed"
    CLOSED_AS_EXPECTED = "emit ConnectionClosed, expected"
    CLOSED_EARLY = "emit ConnectionClosed with the error"


_S, _I, _A = ServerState, ServerInput, ServerAction

SERVER_EXTERNAL = (
    *(_I.SPEECH, _I.FRAGMENT, _I.FLUSH, _I.END, _I.CANCEL, _I.KEEP_ALIVE, _I.FOREIGN, _I.INVALID),
    *(_I.CLEAN_CLOSE, _I.BROKEN_CLOSE, _I.FAULT, _I.IDLE_OVER),
)
"""What the peer and the clock do: never refused."""

_ALIVE = (_S.IDLE, _S.RECEIVING, _S.ANSWERING)
_ACTIVE = (_S.RECEIVING, _S.ANSWERING)
_BUSY = (_A.REFUSE_BUSY, _A.TELL_UNKNOWN)
_EXPECTED = Row((_A.CLOSED_AS_EXPECTED,), _S.CLOSED)
_EARLY = Row((_A.CLOSED_EARLY,), _S.CLOSED)

SERVER: Table[ServerState, ServerInput, ServerAction] = (
    # after the end nothing is heard any more
    {(state, given): Row((), state) for state in _S for given in (*SERVER_EXTERNAL, _I.ABANDON)}
    | {(state, _I.KEEP_ALIVE): Row((_A.TELL,), state) for state in _ALIVE}
    | {(state, _I.INVALID): Row((_A.REFUSE, _A.TELL_UNKNOWN), state) for state in _ALIVE}
    | {(state, _I.IDLE_OVER): Row((_A.REFUSE_IDLE, _A.WANT_CLOSE), _S.ENDING) for state in _ALIVE}
    | {(state, _I.ABANDON): Row((_A.WANT_CLOSE,), _S.ENDING) for state in _ALIVE}
    | {(state, _I.FAULT): _EARLY for state in _ALIVE}
    | {
        (_S.IDLE, _I.SPEECH): Row((_A.BEGIN, _A.TELL), _S.ANSWERING),
        (_S.IDLE, _I.FRAGMENT): Row((_A.BEGIN, _A.TELL), _S.RECEIVING),
        # nothing was said that could be flushed, ended or cancelled
        (_S.IDLE, _I.FLUSH): Row((_A.TELL_UNKNOWN,), _S.IDLE),
        (_S.IDLE, _I.END): Row((_A.TELL_UNKNOWN,), _S.IDLE),
        (_S.IDLE, _I.CANCEL): Row((_A.TELL_UNKNOWN,), _S.IDLE),
        (_S.IDLE, _I.CLEAN_CLOSE): _EXPECTED,
        (_S.IDLE, _I.BROKEN_CLOSE): _EXPECTED,
        # a keep-alive may be answered
        (_S.IDLE, _I.SEND_RELEASE): Row((_A.SEND,), _S.IDLE),
        (_S.IDLE, _I.SEND_LAST): Row((_A.SEND,), _S.IDLE),
        (_S.IDLE, _I.SEND_ERROR): Row((_A.SEND,), _S.IDLE),
    }
    | {(state, _I.CANCEL): Row((_A.TELL, _A.FORGET), _S.IDLE) for state in _ACTIVE}
    | {(state, _I.SPEECH): Row(_BUSY, state) for state in _ACTIVE}
    | {(state, _I.FOREIGN): Row(_BUSY, state) for state in _ACTIVE}
    | {(state, _I.CLEAN_CLOSE): _EARLY for state in _ACTIVE}
    | {(state, _I.BROKEN_CLOSE): _EARLY for state in _ACTIVE}
    | {(state, _I.SEND_AUDIO): Row((_A.SEND,), state) for state in _ACTIVE}
    | {(state, _I.SEND_WORD): Row((_A.SEND,), state) for state in _ACTIVE}
    | {(state, _I.SEND_RELEASE): Row((_A.SEND, _A.NEXT_REQUEST), state) for state in _ACTIVE}
    | {(state, _I.SEND_ERROR): Row((_A.SEND, _A.NEXT_REQUEST, _A.FORGET), _S.IDLE) for state in _ACTIVE}
    | {
        (_S.RECEIVING, _I.FRAGMENT): Row((_A.TELL,), _S.RECEIVING),
        (_S.RECEIVING, _I.FLUSH): Row((_A.TELL,), _S.RECEIVING),
        (_S.RECEIVING, _I.END): Row((_A.TELL,), _S.ANSWERING),
        (_S.RECEIVING, _I.SEND_LAST): Row((_A.SEND, _A.NEXT_REQUEST), _S.RECEIVING),
        (_S.ANSWERING, _I.FRAGMENT): Row(_BUSY, _S.ANSWERING),
        (_S.ANSWERING, _I.FLUSH): Row((_A.TELL_UNKNOWN,), _S.ANSWERING),
        (_S.ANSWERING, _I.END): Row((_A.TELL_UNKNOWN,), _S.ANSWERING),
        (_S.ANSWERING, _I.SEND_LAST): Row((_A.SEND, _A.NEXT_REQUEST, _A.FORGET), _S.IDLE),
    }
    | {(_S.ENDING, given): _EXPECTED for given in (_I.CLEAN_CLOSE, _I.BROKEN_CLOSE, _I.FAULT)}
)
