"""Our errors as LiveKit's."""

import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from livekit.plugins.smallest._errors import api_error
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)

SECRET = "sk_secret, said in private"


@pytest.mark.parametrize(
    ("error", "kind", "status", "retryable"),
    [
        (DeadlineExceeded("late", code="connect"), APITimeoutError, None, True),
        (DeadlineExceeded("late", code="drain", retryable=False), APITimeoutError, None, False),
        (ConnectFailed("no route"), APIConnectionError, None, True),
        (ConnectFailed("bad certificate", retryable=False), APIConnectionError, None, False),
        (ConnectionLost("gone", status=1006), APIConnectionError, None, True),
        (ConnectionLost("gone"), APIConnectionError, None, True),
        (ConnectionLost("closed", status=1000), APIStatusError, 1000, True),
        (ConnectionLost("closed", status=1011), APIStatusError, 1011, True),
        (RemoteProtocolError("nonsense"), APIConnectionError, None, True),
        (LocalProtocolError("refused"), APIConnectionError, None, False),
        (ServerError("no", message=SECRET, code="BAD", retryable=True), APIStatusError, -1, True),
        (ServerError("no", message=SECRET, code="BAD", retryable=False), APIStatusError, -1, False),
        (ServerError("no", message=SECRET, status=1008, retryable=True), APIStatusError, 1008, True),
        (HandshakeRejected("no", message=SECRET, status=401, request_id="r7"), APIStatusError, 401, False),
        (HandshakeRejected("no", message=SECRET, status=429, retryable=True), APIStatusError, 429, True),
        (
            HandshakeRejected(
                "no", body=SECRET.encode(), headers=(("x", SECRET),), status=500, retryable=True
            ),
            APIStatusError,
            500,
            True,
        ),
    ],
)
def test_kind_status_and_retrying(
    error: ProtocolError, kind: type[APIError], status: int | None, retryable: bool
) -> None:
    mapped = api_error(error)
    assert type(mapped) is kind
    assert getattr(mapped, "status_code", None) == status
    assert mapped.retryable is retryable
    assert getattr(mapped, "request_id", None) == error.request_id
    assert SECRET not in str(mapped) + repr(mapped) + mapped.message


def test_a_code_is_told_unless_it_is_a_sentence() -> None:
    assert "BAD_AUDIO" in str(api_error(ServerError("no", code="BAD_AUDIO")))
    assert SECRET not in str(api_error(ServerError("no", code=SECRET)))
