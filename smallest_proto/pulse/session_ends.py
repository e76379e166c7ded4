"""How a connection of a session ended: which events say so, and what they mean."""

from __future__ import annotations

from typing import NamedTuple

from smallest_proto.errors import ConnectionLost, ProtocolError
from smallest_proto.events import ConnectionClosed, Event, ServerErrorReceived
from smallest_proto.pulse.events import EndReason, StreamEnded
from smallest_proto.pulse.resume_policy import Failure, ResumePolicy, failure_of


class Cause(NamedTuple):
    """What set a row off, for its actions to work on."""

    now: float
    error: ProtocolError = ConnectionLost()
    ended: StreamEnded = StreamEnded(confirmed=False, reason="drain_timeout")
    told: tuple[Event, ...] = ()
    code: int = 1006
    reason: str = ""


ENDS = (StreamEnded, ServerErrorReceived, ConnectionClosed)


def cause_of(end: Event, now: float) -> Cause:
    """The cause that one of `ENDS` makes."""
    if isinstance(end, ServerErrorReceived):
        return Cause(now, error=end.error, told=(end,))
    if isinstance(end, ConnectionClosed):
        assert end.error is not None  # without one it comes after StreamEnded
        return Cause(now, error=end.error, code=end.code, reason=end.reason)
    assert isinstance(end, StreamEnded)
    what: dict[EndReason, str] = {"abandoned": "the connection was closed from this side"}
    text = what.get(end.reason, "the server ended the stream without being asked to")
    return Cause(now, error=ConnectionLost(text, status=1000), code=1000)


class Attempts:
    """Counts the dials without progress, and says whether and when another may follow."""

    __slots__ = ("_ever_open", "_planned", "_policy", "count")

    def __init__(self, policy: ResumePolicy) -> None:
        self._policy = policy
        self._ever_open = False
        self._planned = True
        self.count = 0

    def progress(self) -> None:
        """A new final: what failed before is forgotten."""
        self.count = 0

    def may_follow(self, end: Event, cause: Cause, opened_at: float | None) -> bool:
        """Whether another connection may follow one that was open since then, if ever, and ended so."""
        if opened_at is not None and cause.now - opened_at >= self._policy.stable_after:
            self.count = 0
        failure = Failure.ENDED_UNASKED if isinstance(end, StreamEnded) else failure_of(cause.error)
        return (
            self._policy.resumes(failure, cause.error)
            and self.count < self._policy.max_attempts
            and (self._ever_open or self._policy.retry_first)
        )

    def delay(self, error: ProtocolError, random: float) -> float:
        """Seconds before the next dial; `random` is from 0 up to 1."""
        return self._policy.delay(self.count + 1, error, random)

    def begin(self) -> int:
        """A dial that nobody planned; its number."""
        self.count += 1
        self._planned = False
        return self.count

    def succeed(self) -> int | None:
        """A connection is live: the attempts it took, 0 when it was planned; None for the very first."""
        took = (0 if self._planned else self.count) if self._ever_open else None
        self._ever_open = self._planned = True
        return took
