"""The life of an HTTP/1.1 connection, as one table for each end. Nothing but tables.

After RFC 9112 section 9. A pair that is missing is refused, which happens only to what the caller asks for:
a test checks that every state has a row for everything that the peer and the clock can do there.
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class State(Symbol):
    """Where a connection stands."""

    READY = "ready"  # no exchange is under way; another may begin
    CLOSED = "closed"  # of no more use

    # client
    UPLOADING = "uploading"  # the head and some of the body are sent, nothing is answered
    AWAITING = "awaiting the response"  # the request is complete
    DUPLEX = "uploading and receiving"  # the answer came before the request was complete
    RECEIVING = "receiving"
    REFUSED = "refused"  # an error status; its body is being read
    REFUSED_EARLY = "refused while uploading"  # the same, before the request was complete

    # server
    READING_HEAD = "reading a head"
    READING_BODY = "reading a body"
    DECIDING = "deciding"  # the request is complete, the answer is the caller's
    ANSWERING_EARLY = "reading and answering"  # a streamed answer began before the request was complete
    ANSWERING = "answering"


class Input(Symbol):
    """What can happen: by the caller, by the peer, by the clock."""

    START = "start"
    STREAM = "start with streaming"
    RESPOND = "respond with a body"
    RESPOND_STREAM = "respond"
    SEND_BODY = "send_body"
    END_BODY = "end_body"
    CLOSE = "close"
    FIRST_BYTE = "first byte of a request"
    REQUEST = "head of a request"
    RESPONSE = "head of a response"
    REFUSAL = "head of a response that says no"
    BODY = "bytes of a body"
    END = "end of a body"
    LAST = "one end does not keep the connection"
    EOF = "end of the byte stream"
    FAULT = "bytes that break the protocol or a limit"
    REQUEST_TIMEOUT = "request deadline"
    RESPONSE_TIMEOUT = "response deadline"
    IDLE_TIMEOUT = "idle deadline"
    KEEP_ALIVE_TIMEOUT = "keep-alive deadline"


class Action(Symbol):
    """What is then done."""

    WRITE = "write the prepared bytes"
    WRITE_BODY = "frame and write a piece of the body"
    WRITE_END = "write the end of the body"
    REFUSE = "write an error answer"
    TELL = "emit the prepared event"
    DELIVER = "emit a piece of the body"
    KEEP = "keep a piece of the refusal's body"
    ARM_REQUEST = "start the request deadline"
    ARM_RESPONSE = "start the response deadline"
    ARM_IDLE = "start the idle deadline"
    ARM_KEEP_ALIVE = "start the keep-alive deadline"
    DISARM = "stop every deadline"
    FAIL = "report the failure"
    FAIL_REFUSED = "report the refusal as the failure"


_S, _I, _A = State, Input, Action

EXTERNAL = frozenset({_I.EOF, _I.FAULT})
"""What the peer can do in every state."""

_BREAKS = (*EXTERNAL, _I.CLOSE)

_FAILS: Row[State, Action] = Row((_A.DISARM, _A.FAIL), _S.CLOSED)
_REFUSED: Row[State, Action] = Row((_A.DISARM, _A.FAIL_REFUSED), _S.CLOSED)
_ENDS: Row[State, Action] = Row((_A.DISARM,), _S.CLOSED)
_OVER: Table[State, Input, Action] = {(_S.CLOSED, given): Row((), _S.CLOSED) for given in _BREAKS}

CLIENT: Table[State, Input, Action] = {
    (_S.READY, _I.START): Row((_A.WRITE, _A.ARM_RESPONSE), _S.AWAITING),
    (_S.READY, _I.STREAM): Row((_A.WRITE,), _S.UPLOADING),
    **{(_S.READY, given): Row((), _S.CLOSED) for given in (*_BREAKS, _I.LAST)},
    (_S.UPLOADING, _I.SEND_BODY): Row((_A.WRITE_BODY,), _S.UPLOADING),
    (_S.UPLOADING, _I.END_BODY): Row((_A.WRITE_END, _A.ARM_RESPONSE), _S.AWAITING),
    (_S.UPLOADING, _I.RESPONSE): Row((_A.TELL,), _S.DUPLEX),
    (_S.UPLOADING, _I.REFUSAL): Row((_A.ARM_IDLE,), _S.REFUSED_EARLY),
    **{(_S.UPLOADING, given): _FAILS for given in _BREAKS},
    (_S.AWAITING, _I.RESPONSE): Row((_A.DISARM, _A.TELL, _A.ARM_IDLE), _S.RECEIVING),
    (_S.AWAITING, _I.REFUSAL): Row((_A.DISARM, _A.ARM_IDLE), _S.REFUSED),
    **{(_S.AWAITING, given): _FAILS for given in (*_BREAKS, _I.RESPONSE_TIMEOUT)},
    # while we upload, the server may be silent for as long as we take
    (_S.DUPLEX, _I.SEND_BODY): Row((_A.WRITE_BODY,), _S.DUPLEX),
    (_S.DUPLEX, _I.END_BODY): Row((_A.WRITE_END, _A.ARM_IDLE), _S.RECEIVING),
    (_S.DUPLEX, _I.BODY): Row((_A.DELIVER,), _S.DUPLEX),
    (_S.DUPLEX, _I.END): Row((_A.TELL,), _S.CLOSED),
    **{(_S.DUPLEX, given): _FAILS for given in _BREAKS},
    (_S.RECEIVING, _I.BODY): Row((_A.DELIVER, _A.ARM_IDLE), _S.RECEIVING),
    (_S.RECEIVING, _I.END): Row((_A.DISARM, _A.TELL), _S.READY),
    **{(_S.RECEIVING, given): _FAILS for given in (*_BREAKS, _I.IDLE_TIMEOUT)},
    # the status is known: whatever happens to the body, the refusal is what matters
    (_S.REFUSED, _I.BODY): Row((_A.KEEP,), _S.REFUSED),
    (_S.REFUSED, _I.END): Row((_A.DISARM, _A.FAIL_REFUSED), _S.READY),
    **{(_S.REFUSED, given): _REFUSED for given in (*_BREAKS, _I.IDLE_TIMEOUT)},
    # the rest of the request is dropped, so the connection cannot go on
    (_S.REFUSED_EARLY, _I.SEND_BODY): Row((), _S.REFUSED_EARLY),
    (_S.REFUSED_EARLY, _I.END_BODY): Row((), _S.REFUSED_EARLY),
    (_S.REFUSED_EARLY, _I.BODY): Row((_A.KEEP,), _S.REFUSED_EARLY),
    **{(_S.REFUSED_EARLY, given): _REFUSED for given in (*_BREAKS, _I.END, _I.IDLE_TIMEOUT)},
    **_OVER,
}

SERVER: Table[State, Input, Action] = {
    (_S.READY, _I.FIRST_BYTE): Row((_A.DISARM, _A.ARM_REQUEST), _S.READING_HEAD),
    **{(_S.READY, given): _ENDS for given in (*_BREAKS, _I.LAST, _I.KEEP_ALIVE_TIMEOUT)},
    (_S.READING_HEAD, _I.REQUEST): Row((_A.DISARM, _A.WRITE, _A.TELL, _A.ARM_IDLE), _S.READING_BODY),
    (_S.READING_HEAD, _I.FAULT): Row((_A.DISARM, _A.REFUSE, _A.FAIL), _S.CLOSED),
    (_S.READING_HEAD, _I.REQUEST_TIMEOUT): Row((_A.DISARM, _A.REFUSE, _A.FAIL), _S.CLOSED),
    (_S.READING_HEAD, _I.EOF): _FAILS,
    (_S.READING_HEAD, _I.CLOSE): _FAILS,
    (_S.READING_BODY, _I.BODY): Row((_A.DELIVER, _A.ARM_IDLE), _S.READING_BODY),
    (_S.READING_BODY, _I.END): Row((_A.DISARM, _A.TELL), _S.DECIDING),
    # an answer before the end of the request: the rest of it is not worth reading
    (_S.READING_BODY, _I.RESPOND): Row((_A.WRITE, _A.DISARM), _S.CLOSED),
    (_S.READING_BODY, _I.RESPOND_STREAM): Row((_A.WRITE,), _S.ANSWERING_EARLY),
    (_S.READING_BODY, _I.FAULT): Row((_A.DISARM, _A.REFUSE, _A.FAIL), _S.CLOSED),
    (_S.READING_BODY, _I.IDLE_TIMEOUT): Row((_A.DISARM, _A.REFUSE, _A.FAIL), _S.CLOSED),
    (_S.READING_BODY, _I.EOF): _FAILS,
    (_S.READING_BODY, _I.CLOSE): _FAILS,
    (_S.DECIDING, _I.RESPOND): Row((_A.WRITE, _A.ARM_KEEP_ALIVE), _S.READY),
    (_S.DECIDING, _I.RESPOND_STREAM): Row((_A.WRITE,), _S.ANSWERING),
    **{(_S.DECIDING, given): _FAILS for given in _BREAKS},
    (_S.ANSWERING_EARLY, _I.BODY): Row((_A.DELIVER, _A.ARM_IDLE), _S.ANSWERING_EARLY),
    (_S.ANSWERING_EARLY, _I.END): Row((_A.DISARM, _A.TELL), _S.ANSWERING),
    (_S.ANSWERING_EARLY, _I.SEND_BODY): Row((_A.WRITE_BODY,), _S.ANSWERING_EARLY),
    (_S.ANSWERING_EARLY, _I.END_BODY): Row((_A.WRITE_END, _A.DISARM), _S.CLOSED),
    **{(_S.ANSWERING_EARLY, given): _FAILS for given in (*_BREAKS, _I.IDLE_TIMEOUT)},
    (_S.ANSWERING, _I.SEND_BODY): Row((_A.WRITE_BODY,), _S.ANSWERING),
    (_S.ANSWERING, _I.END_BODY): Row((_A.WRITE_END, _A.ARM_KEEP_ALIVE), _S.READY),
    **{(_S.ANSWERING, given): _FAILS for given in _BREAKS},
    **_OVER,
}
