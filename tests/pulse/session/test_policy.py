"""Which failures resume, how long the wait is, and what a policy refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.session.hand import Hand
from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import ConnectionClosed
from smallest_proto.pulse import DEFAULT_RESUME, Failure, Reconnecting, ResumePolicy
from smallest_proto.pulse.resume_policy import CLOSE_CODES, HTTP_STATUSES, RESUMES, failure_of

REGION = "LANGUAGE_NOT_ENABLED_IN_REGION"

CASES: list[tuple[ProtocolError, Failure, bool]] = [
    (error_for_close(1006), Failure.DROPPED, True),
    (error_for_close(1000), Failure.CLEAN_CLOSE, True),
    (error_for_close(1005), Failure.CLEAN_CLOSE, True),
    (error_for_close(1001), Failure.GOING_AWAY, True),
    (error_for_close(1008), Failure.POLICY, False),
    (error_for_close(1011), Failure.SERVER_FAULT, True),
    (error_for_close(1012), Failure.RESTARTING, True),
    (error_for_close(1013), Failure.TRY_LATER, True),
    (error_for_close(4000), Failure.OTHER_CLOSE, True),
    (ConnectionLost("gone"), Failure.DROPPED, True),
    (DeadlineExceeded("no pong", code="pong", status=1006), Failure.DEADLINE, True),
    (DeadlineExceeded("too late", code="connect"), Failure.DEADLINE, True),
    (DeadlineExceeded("too late", code="handshake"), Failure.DEADLINE, True),
    (ConnectFailed("no route"), Failure.NOT_CONNECTED, True),
    (ConnectFailed("bad certificate", retryable=False), Failure.NEVER_CONNECTED, False),
    (RemoteProtocolError("nonsense", status=1002), Failure.BROKEN_PROTOCOL, True),
    (HandshakeRejected("no", status=400), Failure.BAD_REQUEST, False),
    (HandshakeRejected("no", status=401), Failure.UNAUTHORISED, False),
    (HandshakeRejected("no", status=403), Failure.FORBIDDEN, False),
    (HandshakeRejected("no", status=404), Failure.NOT_FOUND, False),
    (HandshakeRejected("no", status=410), Failure.REFUSED, False),
    (HandshakeRejected("no"), Failure.REFUSED, False),
    (HandshakeRejected("no", status=408), Failure.BUSY, True),
    (HandshakeRejected("no", status=429), Failure.BUSY, True),
    (HandshakeRejected("no", status=500), Failure.BUSY, True),
    (HandshakeRejected("no", status=503), Failure.BUSY, True),
    (HandshakeRejected("no", status=503, code=REGION), Failure.FINAL_MESSAGE, False),
    (ServerError("no", code=REGION, status=1000), Failure.FINAL_MESSAGE, False),
    (ServerError("no", retryable=True), Failure.ERROR_MESSAGE, True),
    (ServerError("no", retryable=False), Failure.FINAL_MESSAGE, False),
]


@pytest.mark.parametrize(("error", "failure", "resumes"), CASES, ids=lambda value: str(value)[:30])
def test_each_failure_has_its_row(error: ProtocolError, failure: Failure, resumes: bool) -> None:
    assert failure_of(error) is failure
    assert ResumePolicy().resumes(failure, error) is resumes
    assert ResumePolicy(resume=frozenset({failure})).resumes(failure, error)
    assert not ResumePolicy(resume=DEFAULT_RESUME - {failure}).resumes(failure, error)


@pytest.mark.parametrize(("error", "failure", "resumes"), CASES, ids=lambda value: str(value)[:30])
def test_a_session_does_what_the_row_says(error: ProtocolError, failure: Failure, resumes: bool) -> None:
    hand = Hand()
    hand.open()
    hand.drop(hand_connection := hand.session._live, error.status or 1006, error)  # type: ignore[arg-type]  # it is open
    assert hand_connection is not None
    (event,) = hand.events()
    assert isinstance(event, Reconnecting if resumes else ConnectionClosed)
    assert event.error == error
    assert (hand.session.closed is None) is resumes


def test_the_tables_cover_everything() -> None:
    assert RESUMES.keys() == set(Failure)
    assert {failure for _, failure, _ in CASES} | {Failure.ENDED_UNASKED} == set(Failure)
    assert set(CLOSE_CODES.values()) | set(HTTP_STATUSES.values()) <= set(Failure)


@given(
    st.integers(1, 10**6), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 100), st.floats(0, 50)
)
def test_the_wait_is_random_up_to_a_bound_and_never_less_than_asked(
    attempt: int, random: float, retry_after: float | None, longest: float
) -> None:
    policy = ResumePolicy(longest_delay=longest)
    delay = policy.delay(attempt, ConnectFailed("no", retry_after=retry_after), random)
    assert delay >= (retry_after or 0.0)
    assert delay <= max(retry_after or 0.0, min(longest, 0.25 * 2.0 ** min(attempt - 1, 60)))
    assert delay >= policy.delay(attempt, ConnectFailed("no"), random)


def test_a_wait_that_is_too_long_is_none() -> None:
    error = HandshakeRejected("busy", status=429, retry_after=61.0)
    assert not ResumePolicy().resumes(Failure.BUSY, error)
    assert ResumePolicy(longest_retry_after=61.0).resumes(Failure.BUSY, error)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("resume", {Failure.DROPPED}),
        ("resume", frozenset({"dropped"})),
        ("retry_first", 1),
        ("max_attempts", -1),
        ("stable_after", -1.0),
        ("first_delay", float("nan")),
        ("longest_delay", "30"),
        ("longest_retry_after", None),
        ("keep_seconds", 0.5),
        ("keep_bytes", 10),
        ("overlap", 1.5),
        ("replay_pace", 1.0),
        ("replay_pace", 0.5),
        ("turn_timeout", 0),
        ("handover_timeout", 0),
        ("end_timeout", 0),
    ],
)
def test_senseless_values_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{field}="):
        ResumePolicy(**{field: value})  # type: ignore[arg-type]  # that is the point
