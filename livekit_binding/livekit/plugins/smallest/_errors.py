"""Our errors as LiveKit's, so that the framework retries what may succeed and gives up on the rest at once."""

from __future__ import annotations

import re

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    ProtocolError,
    ServerError,
)

SERVICE = "Smallest AI"
_NO_CLOSE_FRAME = 1006
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # a code that is a sentence may say anything


def api_error(error: ProtocolError) -> APIError:
    """The LiveKit error for what failed; raise it `from None`.

    `APITimeoutError` for a deadline, `APIStatusError` for a server's refusal (its HTTP status, its close code,
    or -1 for an error message) and for a close frame that came too early, `APIConnectionError` for the rest.
    The message is ours: no word of the server and no header stands in it, nor in `body`, as the framework logs
    both and a server can echo what was said [lk 1.8.9]. The code does, and the vendor's request id.
    """
    if isinstance(error, DeadlineExceeded):
        return APITimeoutError(f"{SERVICE}: {error}", retryable=error.retryable)
    status = -1 if error.status is None else error.status
    if isinstance(error, ServerError):
        kind = "refused the connection" if isinstance(error, HandshakeRejected) else "reported an error"
        code = f" ({error.code})" if error.code and _WORD.fullmatch(error.code) else ""
        return _status_error(f"{SERVICE} {kind}{code}", error, status)
    if isinstance(error, ConnectionLost) and status not in (-1, _NO_CLOSE_FRAME):
        return _status_error(f"{SERVICE} connection closed unexpectedly", error, status)
    return APIConnectionError(f"{SERVICE}: {error}", retryable=error.retryable)


def _status_error(message: str, error: ProtocolError, status: int) -> APIStatusError:
    return APIStatusError(
        message, status_code=status, request_id=error.request_id, body=None, retryable=error.retryable
    )
