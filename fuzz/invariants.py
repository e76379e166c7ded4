"""What every session must keep, whatever its peer sends and its caller asks for."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from smallest_proto.errors import ProtocolError, ServerError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.pulse import SpeechEnded, SpeechStarted, StreamEnded

GROWTH = 8
"""What comes out may weigh this many times what went in: a message is held as text, as fields, and raw."""

ALLOWANCE = 1024
"""And so much more for each step: settings repeated in a message, an error's own words."""

TELLING = 40
"""Characters from which a peer's text is no coincidence where it does not belong."""


def weight(value: object) -> int:
    """About how much an event or a message makes us hold: characters, bytes, and one for each object."""
    if isinstance(value, str | bytes | bytearray):
        return 1 + len(value)
    if isinstance(value, Mapping):
        return 1 + sum(weight(k) + weight(v) for k, v in value.items())
    if isinstance(value, list | tuple):
        return 1 + sum(map(weight, value))
    if isinstance(value, msgspec.Struct):
        return 1 + sum(weight(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, ProtocolError):
        return weight(vars(value))
    return 1


def bounded(came_in: int, came_out: int, steps: int) -> None:
    """Memory: the queues hold no more than a constant factor of what was put in."""
    limit = GROWTH * came_in + ALLOWANCE * (steps + 1)
    assert came_out <= limit, f"{came_out} came out of {came_in} in {steps} steps"


def one_end(events: Sequence[Event]) -> None:
    """`ConnectionClosed` comes at most once, and last; `expected` and `error` exclude each other."""
    for event in events[:-1]:
        assert not isinstance(event, ConnectionClosed), "something came after the end"
    for event in events[-1:]:
        if isinstance(event, ConnectionClosed):
            assert event.expected is (event.error is None), repr(event)


def ended(events: Sequence[Event]) -> ConnectionClosed:
    """The session is over, and says so once."""
    one_end(events)
    assert events, "no event came"
    last = events[-1]
    assert isinstance(last, ConnectionClosed), f"the last event is {last!r}"
    return last


def clean_errors(events: Iterable[Event]) -> None:
    """Errors are of our own tree, survive pickling, and keep the peer's words out of their text."""
    for event in events:
        error = getattr(event, "error", None)
        if error is not None:
            clean_error(error)


def clean_error(error: object) -> None:
    """One error, as `clean_errors`."""
    assert isinstance(error, ProtocolError)
    assert pickle.loads(pickle.dumps(error)) == error
    if isinstance(error, ServerError) and len(error.message) >= TELLING:
        assert error.message not in str(error), "the peer's words stand in the text"


def turns(events: Iterable[Event], *, closed: bool) -> None:
    """START and END of speech alternate; `closed` says that no turn may be left open."""
    speaking = False
    for event in events:
        if isinstance(event, SpeechStarted | SpeechEnded):
            started = isinstance(event, SpeechStarted)
            assert started is not speaking, f"out of turn: {event!r}"
            speaking = started
    assert not (closed and speaking), "a turn was left open"


def stream_end(events: Sequence[Event]) -> None:
    """After `StreamEnded`, which comes at most once, only the connection's own end follows."""
    at = [i for i, event in enumerate(events) if isinstance(event, StreamEnded)]
    assert len(at) <= 1
    for i in at:
        assert all(isinstance(event, ConnectionClosed) for event in events[i + 1 :])


def refusal(error: Exception, secret: str | None = None) -> None:
    """A refusal says something, and not the secret."""
    assert str(error), "an error that says nothing"
    assert secret is None or secret not in str(error), "a secret shows"
