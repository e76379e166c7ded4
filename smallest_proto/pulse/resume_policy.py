"""Which failures a session survives, how long it waits, how much it keeps: all of it data."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from smallest_proto import checks
from smallest_proto.error_shapes import FINAL_CODES
from smallest_proto.errors import (
    ConnectFailed,
    DeadlineExceeded,
    HandshakeRejected,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)


class Failure(Enum):
    """Why a connection ended before its work was done."""

    DROPPED = "no close frame, 1006"
    CLEAN_CLOSE = "close 1000 or without a code that nobody asked for: an idle server, a drained one"
    GOING_AWAY = "close 1001"
    POLICY = "close 1008: too many sessions [asyncapi stt-live]"
    SERVER_FAULT = "close 1011"
    RESTARTING = "close 1012"
    TRY_LATER = "close 1013"
    OTHER_CLOSE = "any other close code"
    ENDED_UNASKED = "is_last without close_stream"
    BROKEN_PROTOCOL = "bytes that WebSocket forbids"
    DEADLINE = "connect, handshake or pong deadline"
    NOT_CONNECTED = "name look-up, TCP or TLS failed, and may not the next time"
    NEVER_CONNECTED = "TLS refused for good"
    BUSY = "HTTP 408, 429, 499 or a server fault, 500 and above"
    BAD_REQUEST = "HTTP 400"
    UNAUTHORISED = "HTTP 401"
    FORBIDDEN = "HTTP 403"
    NOT_FOUND = "HTTP 404"
    REFUSED = "any other HTTP status"
    ERROR_MESSAGE = "an error message that may not come again"
    FINAL_MESSAGE = "an error that comes again however often the same is asked"


RESUMES: Mapping[Failure, bool] = {
    Failure.DROPPED: True,
    Failure.CLEAN_CLOSE: True,
    Failure.GOING_AWAY: True,
    Failure.POLICY: False,
    Failure.SERVER_FAULT: True,
    Failure.RESTARTING: True,
    Failure.TRY_LATER: True,
    Failure.OTHER_CLOSE: True,
    Failure.ENDED_UNASKED: True,
    Failure.BROKEN_PROTOCOL: True,
    Failure.DEADLINE: True,
    Failure.NOT_CONNECTED: True,
    Failure.NEVER_CONNECTED: False,
    Failure.BUSY: True,
    Failure.BAD_REQUEST: False,
    Failure.UNAUTHORISED: False,
    Failure.FORBIDDEN: False,
    Failure.NOT_FOUND: False,
    Failure.REFUSED: False,
    Failure.ERROR_MESSAGE: True,
    Failure.FINAL_MESSAGE: False,
}
"""What a session survives unless told otherwise."""

DEFAULT_RESUME = frozenset(failure for failure, resumes in RESUMES.items() if resumes)

CLOSE_CODES: Mapping[int, Failure] = {
    1000: Failure.CLEAN_CLOSE,
    1001: Failure.GOING_AWAY,
    1005: Failure.CLEAN_CLOSE,
    1006: Failure.DROPPED,
    1008: Failure.POLICY,
    1011: Failure.SERVER_FAULT,
    1012: Failure.RESTARTING,
    1013: Failure.TRY_LATER,
}
"""Every other code is `OTHER_CLOSE`: none is documented but 1008."""

HTTP_STATUSES: Mapping[int, Failure] = {
    400: Failure.BAD_REQUEST,
    401: Failure.UNAUTHORISED,
    403: Failure.FORBIDDEN,
    404: Failure.NOT_FOUND,
    **dict.fromkeys((408, 429, 499), Failure.BUSY),
}
"""From 500 on it is `BUSY`, else `REFUSED` [docs error-reference]."""


def failure_of(error: ProtocolError) -> Failure:
    """The row of `RESUMES` that stands for this error."""
    if error.code in FINAL_CODES:
        return Failure.FINAL_MESSAGE
    if isinstance(error, DeadlineExceeded):
        return Failure.DEADLINE
    if isinstance(error, ConnectFailed):
        return Failure.NOT_CONNECTED if error.retryable else Failure.NEVER_CONNECTED
    if isinstance(error, RemoteProtocolError):
        return Failure.BROKEN_PROTOCOL
    status = error.status
    if isinstance(error, HandshakeRejected):
        fault = status is not None and status >= 500
        return HTTP_STATUSES.get(status or 0, Failure.BUSY if fault else Failure.REFUSED)
    if isinstance(error, ServerError) and status is None:
        return Failure.ERROR_MESSAGE if error.retryable else Failure.FINAL_MESSAGE
    return Failure.DROPPED if status is None else CLOSE_CODES.get(status, Failure.OTHER_CLOSE)


class ResumePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How a `PulseSession` resumes. Times are seconds.

    resume: the failures after which another connection is dialled; `DEFAULT_RESUME | {Failure.POLICY}` adds
        one. After any other the session ends with the error.
    retry_first: whether this holds before the first connection was ever open. False, so that a wrong host or
        a server that is down is told at once.
    max_attempts: dials without progress after which the session ends. Progress is a new final, or a
        connection that stayed open for `stable_after`.
    first_delay, longest_delay: the wait before attempt n is random between 0 and `first_delay * 2**(n-1)`, at
        most `longest_delay` (full jitter; 30 s is the vendor's cap).
    longest_retry_after: a server's Retry-After is the least wait; one beyond this ends the session.
    keep_seconds, keep_bytes: bounds of the audio kept for a replay, whichever is met first. The oldest goes.
    overlap: how far before the end of the last final word a replay begins, because word times are not exact
        and the next word must not lose its onset. What is then heard again is left out of the transcript.
    replay_pace: how many times faster than real time the replay is sent, above 1; None for as fast as the peer
        takes it.
    turn_timeout: how long after a replay a turn that was open may wait for its continuation before it ends.
    handover_timeout: how long a planned change waits for the last final of the old connection.
    end_timeout: from `CloseStream`, or a final after it, to the end of the stream, whatever happens to the
        connections meanwhile; None for no limit.

    Raises ValueError, naming the field, for a value that makes no sense.
    """

    resume: frozenset[Failure] = DEFAULT_RESUME
    retry_first: bool = False
    max_attempts: int = 10
    stable_after: float = 10.0
    first_delay: float = 0.25
    longest_delay: float = 30.0
    longest_retry_after: float = 60.0
    keep_seconds: float = 60.0
    keep_bytes: int = 16 * 1024 * 1024
    overlap: float = 0.25
    replay_pace: float | None = None
    turn_timeout: float = 3.0
    handover_timeout: float = 1.0
    end_timeout: float | None = 30.0

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                check(name, value)

    def delay(self, attempt: int, error: ProtocolError, random: float) -> float:
        """Seconds to wait before this attempt, from 1 on; `random` is from 0 up to 1."""
        # beyond 2**32 every cap is met, and a float would run over in the end
        longest = min(self.longest_delay, self.first_delay * 2.0 ** min(attempt - 1, 32))
        return max(random * longest, error.retry_after or 0.0)

    def resumes(self, failure: Failure, error: ProtocolError) -> bool:
        """Whether another connection is to be dialled after this."""
        return failure in self.resume and (error.retry_after or 0.0) <= self.longest_retry_after


def _failures(field: str, value: object) -> None:
    if not isinstance(value, frozenset) or not all(isinstance(item, Failure) for item in value):
        raise checks.refuse(field, value, "a frozenset of Failure")


def _pace(field: str, value: object) -> None:
    checks.number(field, value, 1)
    if value == 1:
        raise checks.refuse(field, value, "a number above 1, or None: at 1 the replay never catches up")


_CHECKS: dict[str, checks.Check] = {
    "resume": _failures,
    "retry_first": checks.boolean,
    "max_attempts": checks.whole(0),
    "stable_after": checks.at_least(0),
    "first_delay": checks.at_least(0),
    "longest_delay": checks.at_least(0),
    "longest_retry_after": checks.at_least(0),
    "keep_seconds": checks.at_least(1),
    "keep_bytes": checks.whole(1024),
    "overlap": lambda field, value: checks.number(field, value, 0, 1),
    "replay_pace": _pace,
    "turn_timeout": checks.positive,
    "handover_timeout": checks.positive,
    "end_timeout": checks.positive,
}
_OPTIONAL = ("replay_pace", "end_timeout")
