"""The life of a WebSocket, as one table for each end. Nothing but tables.

The open half is the same for both, after RFC 6455 sections 5.5.1 and 7. A pair that is missing is refused,
which happens only to what the caller asks for: a test checks that every state has a row for everything that
the peer and the clock can do there.
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class State(Symbol):
    """Where a connection stands."""

    CONNECTING = "connecting"  # no byte has passed
    HANDSHAKE = "handshake"  # the upgrade is asked for
    REJECTING = "rejecting"  # it is refused; the refusal's body is being read
    READING_REQUEST = "reading request"
    DECIDING = "deciding"  # the request is read; the caller accepts or rejects it
    OPEN = "open"
    LOCAL_CLOSING = "local closing"  # our close frame is out, the peer's is not in
    REMOTE_CLOSING = "remote closing"  # the peer's close frame is in, ours waits to be written
    CLOSED = "closed"


class Input(Symbol):
    """What can happen: by the caller, by the peer, by the clock."""

    CONNECT = "connect"
    ACCEPT = "accept"
    REJECT = "reject"
    CLOSE = "close"
    WRITTEN = "last bytes handed out"
    UPGRADED = "answer 101"
    REFUSED = "head of another answer"
    REFUSAL_READ = "end of the refusal's body"
    REQUEST = "upgrade request"
    PEER_CLOSE = "close frame"
    EOF = "end of the byte stream"
    FAULT = "bytes that break the protocol"
    SILENCE = "heartbeat due"
    HANDSHAKE_TIMEOUT = "handshake deadline"
    PONG_TIMEOUT = "pong deadline"
    IDLE_TIMEOUT = "idle deadline"
    CLOSE_TIMEOUT = "close deadline"


class Action(Symbol):
    """What is then done."""

    WRITE = "write the prepared bytes"
    TELL = "emit the prepared event"
    ARM_HANDSHAKE = "start the handshake deadline"
    DISARM = "stop every deadline"
    OPEN = "tell the message layer that it is open, start the heartbeat"
    PING = "write a ping, start the pong deadline"
    CLOSE_FRAME = "write a close frame"
    ARM_CLOSE = "start the close deadline"
    END = "tell the message layer that it is closed"
    END_REFUSED = "tell it so with the refusal as the error"
    END_AS_ASKED = "tell it so with the code of our own close frame"


_S, _I, _A = State, Input, Action

EXTERNAL = frozenset({_I.EOF, _I.FAULT})
"""What the peer can do in every state but CONNECTING."""

OVER = (_S.REMOTE_CLOSING, _S.CLOSED)
"""`ConnectionClosed` is queued; what arrives is no longer read."""

_OPEN_HALF: Table[State, Input, Action] = {
    (_S.OPEN, _I.SILENCE): Row((_A.PING,), _S.OPEN),
    (_S.OPEN, _I.PONG_TIMEOUT): Row((_A.END,), _S.CLOSED),
    (_S.OPEN, _I.IDLE_TIMEOUT): Row((_A.END,), _S.CLOSED),
    (_S.OPEN, _I.CLOSE): Row((_A.CLOSE_FRAME, _A.DISARM, _A.ARM_CLOSE), _S.LOCAL_CLOSING),
    (_S.OPEN, _I.PEER_CLOSE): Row((_A.CLOSE_FRAME, _A.END), _S.REMOTE_CLOSING),
    (_S.OPEN, _I.FAULT): Row((_A.CLOSE_FRAME, _A.END), _S.CLOSED),
    (_S.OPEN, _I.EOF): Row((_A.END,), _S.CLOSED),
    (_S.LOCAL_CLOSING, _I.CLOSE): Row((), _S.LOCAL_CLOSING),
    (_S.LOCAL_CLOSING, _I.PEER_CLOSE): Row((_A.END,), _S.CLOSED),
    (_S.LOCAL_CLOSING, _I.FAULT): Row((_A.END,), _S.CLOSED),
    # the peer may hang up on our close frame without one of its own
    (_S.LOCAL_CLOSING, _I.EOF): Row((_A.END_AS_ASKED,), _S.CLOSED),
    (_S.LOCAL_CLOSING, _I.CLOSE_TIMEOUT): Row((_A.END,), _S.CLOSED),
    (_S.REMOTE_CLOSING, _I.WRITTEN): Row((), _S.CLOSED),
    **{(state, given): Row((), state) for state in OVER for given in (*EXTERNAL, _I.CLOSE)},
}

CLIENT: Table[State, Input, Action] = {
    (_S.CONNECTING, _I.CONNECT): Row((_A.WRITE, _A.ARM_HANDSHAKE), _S.HANDSHAKE),
    (_S.CONNECTING, _I.CLOSE): Row((_A.END,), _S.CLOSED),
    (_S.HANDSHAKE, _I.UPGRADED): Row((_A.DISARM, _A.TELL, _A.OPEN), _S.OPEN),
    (_S.HANDSHAKE, _I.REFUSED): Row((), _S.REJECTING),
    (_S.HANDSHAKE, _I.CLOSE): Row((_A.END,), _S.CLOSED),
    (_S.HANDSHAKE, _I.FAULT): Row((_A.END,), _S.CLOSED),
    (_S.HANDSHAKE, _I.EOF): Row((_A.END,), _S.CLOSED),
    (_S.HANDSHAKE, _I.HANDSHAKE_TIMEOUT): Row((_A.END,), _S.CLOSED),
    # the status is known: whatever happens to the body, the refusal is what matters
    **{
        (_S.REJECTING, given): Row((_A.END_REFUSED,), _S.CLOSED)
        for given in (*EXTERNAL, _I.REFUSAL_READ, _I.CLOSE, _I.HANDSHAKE_TIMEOUT)
    },
    **_OPEN_HALF,
}

SERVER: Table[State, Input, Action] = {
    (_S.CONNECTING, _I.CONNECT): Row((_A.ARM_HANDSHAKE,), _S.READING_REQUEST),
    (_S.CONNECTING, _I.CLOSE): Row((_A.END,), _S.CLOSED),
    (_S.READING_REQUEST, _I.REQUEST): Row((_A.DISARM, _A.TELL), _S.DECIDING),
    (_S.READING_REQUEST, _I.FAULT): Row((_A.WRITE, _A.END), _S.CLOSED),
    (_S.READING_REQUEST, _I.EOF): Row((_A.END,), _S.CLOSED),
    (_S.READING_REQUEST, _I.CLOSE): Row((_A.END,), _S.CLOSED),
    (_S.READING_REQUEST, _I.HANDSHAKE_TIMEOUT): Row((_A.END,), _S.CLOSED),
    (_S.DECIDING, _I.ACCEPT): Row((_A.WRITE, _A.OPEN), _S.OPEN),
    (_S.DECIDING, _I.REJECT): Row((_A.WRITE, _A.END), _S.CLOSED),
    (_S.DECIDING, _I.FAULT): Row((_A.END,), _S.CLOSED),
    (_S.DECIDING, _I.EOF): Row((_A.END,), _S.CLOSED),
    (_S.DECIDING, _I.CLOSE): Row((_A.END,), _S.CLOSED),
    **_OPEN_HALF,
}
