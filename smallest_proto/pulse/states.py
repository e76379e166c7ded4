"""The life of a Pulse stream after its upgrade, as one table for each end. Nothing but tables.

A pair that is missing is refused, which happens only to what the caller asks for: a test checks that every
state has a row for everything that the peer can do, and for each deadline that runs in it. Facts: the session
diagram of [asyncapi stt-live] and its readers [seed], [lk 1.8.9].
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class State(Symbol):
    """Where a stream stands."""

    OPEN = "open"
    DRAINING = "draining"  # close_stream is on its way, the last finals are not
    DONE = "done"  # nothing more will be recognised; only the close is missing
    FAILED = "failed"  # the server reported an error; only the close is missing
    CLOSED = "closed"


class ClientInput(Symbol):
    """What can happen to the client end: by the caller, by the peer, by the clock."""

    AUDIO = "audio"
    FLUSH = "flush"
    FINALIZE = "finalize"
    KEEPALIVE = "keepalive"
    CLOSE_STREAM = "close_stream"
    ABANDON = "abandon"
    TRANSCRIPT = "transcript"
    LAST_TRANSCRIPT = "transcript with is_last"
    VAD = "speech_started or speech_ended"
    PONG = "pong"
    ERROR = "error message"
    UNKNOWN = "message without meaning"
    CLEAN_CLOSE = "close 1000 or without a code"
    BROKEN_CLOSE = "any other end of the connection"
    DRAIN_TIMEOUT = "drain deadline"
    KEEPALIVE_DUE = "keepalive deadline"


class ClientAction(Symbol):
    """What the client end then does."""

    SEND_AUDIO = "queue whole packets"
    SEND_TAIL = "queue the held-back audio"
    SEND_FINALIZE = "queue finalize"
    SEND_KEEPALIVE = "queue keepalive"
    SEND_CLOSE_STREAM = "queue close_stream, the last message"
    ARM_DRAIN = "restart the drain deadline"
    INFER = "run the speech table"
    WIND_UP = "close an open turn, report the rest of the usage"
    REPORT_ERROR = "emit ServerErrorReceived"
    REPORT_UNKNOWN = "emit UnknownMessage"
    END_STREAM = "emit StreamEnded"
    WANT_CLOSE = "ask for the WebSocket to be closed"
    CLOSED_AS_ASKED = "emit ConnectionClosed, expected"
    CLOSED_EARLY = "emit ConnectionClosed with the error"


_S, _I, _A = State, ClientInput, ClientAction
_OVER = (_S.DONE, _S.FAILED, _S.CLOSED)

CLIENT_EXTERNAL = (
    *(_I.TRANSCRIPT, _I.LAST_TRANSCRIPT, _I.VAD, _I.PONG, _I.ERROR, _I.UNKNOWN),
    *(_I.CLEAN_CLOSE, _I.BROKEN_CLOSE),
)
"""What the peer does: never refused."""

CLIENT_CLOCK = (_I.DRAIN_TIMEOUT, _I.KEEPALIVE_DUE)
"""What the clock does: each runs in one state only."""

CLIENT: Table[State, ClientInput, ClientAction] = {
    # when it is over, nothing that arrives is heard any more
    (state, given): Row((), state)
    for state in _OVER
    for given in (*CLIENT_EXTERNAL, _I.ABANDON)
} | {
    (_S.OPEN, _I.AUDIO): Row((_A.SEND_AUDIO,), _S.OPEN),
    (_S.OPEN, _I.FLUSH): Row((_A.SEND_TAIL,), _S.OPEN),
    (_S.OPEN, _I.FINALIZE): Row((_A.SEND_TAIL, _A.SEND_FINALIZE), _S.OPEN),
    (_S.OPEN, _I.KEEPALIVE): Row((_A.SEND_KEEPALIVE,), _S.OPEN),
    (_S.OPEN, _I.CLOSE_STREAM): Row((_A.SEND_TAIL, _A.SEND_CLOSE_STREAM, _A.ARM_DRAIN), _S.DRAINING),
    (_S.OPEN, _I.ABANDON): Row((_A.WIND_UP, _A.END_STREAM, _A.WANT_CLOSE), _S.DONE),
    (_S.OPEN, _I.TRANSCRIPT): Row((_A.INFER,), _S.OPEN),
    # is_last ends the stream even if nobody asked for the end [seed]
    (_S.OPEN, _I.LAST_TRANSCRIPT): Row((_A.INFER, _A.WIND_UP, _A.END_STREAM, _A.WANT_CLOSE), _S.DONE),
    (_S.OPEN, _I.VAD): Row((_A.INFER,), _S.OPEN),
    (_S.OPEN, _I.PONG): Row((), _S.OPEN),
    (_S.OPEN, _I.ERROR): Row((_A.REPORT_ERROR, _A.WIND_UP, _A.WANT_CLOSE), _S.FAILED),
    (_S.OPEN, _I.CLEAN_CLOSE): Row((_A.WIND_UP, _A.CLOSED_EARLY), _S.CLOSED),
    (_S.OPEN, _I.BROKEN_CLOSE): Row((_A.WIND_UP, _A.CLOSED_EARLY), _S.CLOSED),
    (_S.OPEN, _I.UNKNOWN): Row((_A.REPORT_UNKNOWN,), _S.OPEN),
    (_S.OPEN, _I.KEEPALIVE_DUE): Row((_A.SEND_KEEPALIVE,), _S.OPEN),
    (_S.DRAINING, _I.ABANDON): Row((_A.WIND_UP, _A.END_STREAM, _A.WANT_CLOSE), _S.DONE),
    (_S.DRAINING, _I.TRANSCRIPT): Row((_A.INFER, _A.ARM_DRAIN), _S.DRAINING),
    (_S.DRAINING, _I.LAST_TRANSCRIPT): Row((_A.INFER, _A.WIND_UP, _A.END_STREAM, _A.WANT_CLOSE), _S.DONE),
    (_S.DRAINING, _I.VAD): Row((_A.INFER, _A.ARM_DRAIN), _S.DRAINING),
    # a server that only answers keepalives no longer transcribes
    (_S.DRAINING, _I.PONG): Row((), _S.DRAINING),
    (_S.DRAINING, _I.ERROR): Row((_A.REPORT_ERROR, _A.WIND_UP, _A.WANT_CLOSE), _S.FAILED),
    (_S.DRAINING, _I.UNKNOWN): Row((_A.REPORT_UNKNOWN,), _S.DRAINING),
    # clients take a clean close after close_stream as the end [seed], [lk 1.8.9]; a drop is a loss
    (_S.DRAINING, _I.CLEAN_CLOSE): Row((_A.WIND_UP, _A.END_STREAM, _A.CLOSED_AS_ASKED), _S.CLOSED),
    (_S.DRAINING, _I.BROKEN_CLOSE): Row((_A.WIND_UP, _A.CLOSED_EARLY), _S.CLOSED),
    (_S.DRAINING, _I.DRAIN_TIMEOUT): Row((_A.WIND_UP, _A.END_STREAM, _A.WANT_CLOSE), _S.DONE),
    (_S.DONE, _I.CLEAN_CLOSE): Row((_A.CLOSED_AS_ASKED,), _S.CLOSED),
    (_S.DONE, _I.BROKEN_CLOSE): Row((_A.CLOSED_AS_ASKED,), _S.CLOSED),
    (_S.FAILED, _I.CLEAN_CLOSE): Row((_A.CLOSED_EARLY,), _S.CLOSED),
    (_S.FAILED, _I.BROKEN_CLOSE): Row((_A.CLOSED_EARLY,), _S.CLOSED),
}


class ServerInput(Symbol):
    """What can happen to the server end."""

    SEND_TRANSCRIPT = "transcript"
    SEND_LAST = "transcript with is_last"
    SEND_VAD = "speech_started or speech_ended"
    SEND_PONG = "pong"
    SEND_ERROR = "error message"
    ABANDON = "abandon"
    AUDIO = "audio"
    FINALIZE = "finalize"
    KEEPALIVE = "keepalive"
    KEEPALIVE_REFUSED = "keepalive to a direct server"
    CLOSE_STREAM = "close_stream"
    UNKNOWN = "message without meaning"
    CLOSE = "end of the connection"


class ServerAction(Symbol):
    """What the server end then does."""

    SEND = "queue the message"
    SEND_PONG = "queue pong"
    SEND_ERROR = "queue an error"
    TELL = "emit the event"
    TELL_UNKNOWN = "emit UnknownMessage"
    WANT_CLOSE = "ask for the WebSocket to be closed"
    CLOSED_AS_ASKED = "emit ConnectionClosed, expected"
    CLOSED_EARLY = "emit ConnectionClosed with the error"


_J, _B = ServerInput, ServerAction

SERVER_EXTERNAL = (
    *(_J.AUDIO, _J.FINALIZE, _J.KEEPALIVE, _J.KEEPALIVE_REFUSED, _J.CLOSE_STREAM),
    *(_J.UNKNOWN, _J.CLOSE),
)
"""What the peer does: never refused."""

SERVER: Table[State, ServerInput, ServerAction] = {
    (state, given): Row((), state) for state in _OVER for given in (*SERVER_EXTERNAL, _J.ABANDON)
} | {
    (_S.OPEN, _J.SEND_TRANSCRIPT): Row((_B.SEND,), _S.OPEN),
    (_S.OPEN, _J.SEND_LAST): Row((_B.SEND, _B.WANT_CLOSE), _S.DONE),
    (_S.OPEN, _J.SEND_VAD): Row((_B.SEND,), _S.OPEN),
    (_S.OPEN, _J.SEND_PONG): Row((_B.SEND,), _S.OPEN),
    (_S.OPEN, _J.SEND_ERROR): Row((_B.SEND, _B.WANT_CLOSE), _S.FAILED),
    (_S.OPEN, _J.ABANDON): Row((_B.WANT_CLOSE,), _S.DONE),
    (_S.OPEN, _J.AUDIO): Row((_B.TELL,), _S.OPEN),
    (_S.OPEN, _J.FINALIZE): Row((_B.TELL,), _S.OPEN),
    (_S.OPEN, _J.KEEPALIVE): Row((_B.SEND_PONG, _B.TELL), _S.OPEN),
    (_S.OPEN, _J.KEEPALIVE_REFUSED): Row((_B.SEND_ERROR, _B.WANT_CLOSE), _S.FAILED),
    (_S.OPEN, _J.CLOSE_STREAM): Row((_B.TELL,), _S.DRAINING),
    (_S.OPEN, _J.UNKNOWN): Row((_B.TELL,), _S.OPEN),
    (_S.OPEN, _J.CLOSE): Row((_B.CLOSED_EARLY,), _S.CLOSED),
    (_S.DRAINING, _J.SEND_TRANSCRIPT): Row((_B.SEND,), _S.DRAINING),
    (_S.DRAINING, _J.SEND_LAST): Row((_B.SEND, _B.WANT_CLOSE), _S.DONE),
    (_S.DRAINING, _J.SEND_VAD): Row((_B.SEND,), _S.DRAINING),
    (_S.DRAINING, _J.SEND_PONG): Row((_B.SEND,), _S.DRAINING),
    (_S.DRAINING, _J.SEND_ERROR): Row((_B.SEND, _B.WANT_CLOSE), _S.FAILED),
    (_S.DRAINING, _J.ABANDON): Row((_B.WANT_CLOSE,), _S.DONE),
    # what follows close_stream is undefined [asyncapi stt-live]: it is shown, and nothing is done
    (_S.DRAINING, _J.AUDIO): Row((_B.TELL_UNKNOWN,), _S.DRAINING),
    (_S.DRAINING, _J.FINALIZE): Row((_B.TELL_UNKNOWN,), _S.DRAINING),
    (_S.DRAINING, _J.KEEPALIVE): Row((_B.SEND_PONG,), _S.DRAINING),
    (_S.DRAINING, _J.KEEPALIVE_REFUSED): Row((_B.TELL_UNKNOWN,), _S.DRAINING),
    (_S.DRAINING, _J.CLOSE_STREAM): Row((_B.TELL_UNKNOWN,), _S.DRAINING),
    (_S.DRAINING, _J.UNKNOWN): Row((_B.TELL,), _S.DRAINING),
    (_S.DRAINING, _J.CLOSE): Row((_B.CLOSED_EARLY,), _S.CLOSED),
    (_S.DONE, _J.CLOSE): Row((_B.CLOSED_AS_ASKED,), _S.CLOSED),
    (_S.FAILED, _J.CLOSE): Row((_B.CLOSED_AS_ASKED,), _S.CLOSED),
}
