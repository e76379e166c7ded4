"""The life of one HTTP response, as what it means is read out of it. Nothing but the table.

A pair that is missing is refused: it can only come from a caller that feeds one machine out of order.
"""

from __future__ import annotations

from smallest_proto.machine import Row, Symbol, Table


class State(Symbol):
    """Where an exchange stands."""

    WAITING = "waiting for the head"
    RECEIVING = "receiving the body"
    REFUSED = "reading a refusal"
    OVER = "over"


class Input(Symbol):
    """What can happen."""

    ACCEPTED = "head of what was asked for"
    REFUSAL = "head of another answer"
    BODY = "bytes of the body"
    SETTLED = "the body says how it ends"
    END = "end of the response"
    FAILURE = "failure of the exchange"


class Action(Symbol):
    """What is then done."""

    BEGIN = "take the head"
    READ = "read the bytes"
    KEEP = "keep the bytes for the error"
    FINISH = "say how it ended, from what was read"
    TELL = "emit the prepared event"
    REFUSE = "report the refusal"


_S, _I, _A = State, Input, Action

TABLE: Table[State, Input, Action] = {
    (_S.WAITING, _I.ACCEPTED): Row((_A.BEGIN,), _S.RECEIVING),
    (_S.WAITING, _I.REFUSAL): Row((_A.BEGIN,), _S.REFUSED),
    (_S.WAITING, _I.END): Row((_A.TELL,), _S.OVER),
    (_S.WAITING, _I.FAILURE): Row((_A.TELL,), _S.OVER),
    (_S.RECEIVING, _I.BODY): Row((_A.READ,), _S.RECEIVING),
    (_S.RECEIVING, _I.SETTLED): Row((_A.TELL,), _S.OVER),
    (_S.RECEIVING, _I.END): Row((_A.FINISH,), _S.OVER),
    (_S.RECEIVING, _I.FAILURE): Row((_A.TELL,), _S.OVER),
    (_S.REFUSED, _I.BODY): Row((_A.KEEP,), _S.REFUSED),
    (_S.REFUSED, _I.END): Row((_A.REFUSE,), _S.OVER),
    # the status is known: what is missing of the body matters little
    (_S.REFUSED, _I.FAILURE): Row((_A.REFUSE,), _S.OVER),
    (_S.OVER, _I.BODY): Row((), _S.OVER),
    (_S.OVER, _I.END): Row((), _S.OVER),
    (_S.OVER, _I.FAILURE): Row((), _S.OVER),
}
