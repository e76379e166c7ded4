"""What aiohttp raises, in our words. aiohttp's own errors hold the request and so the API key: none is chained."""

from __future__ import annotations

from collections.abc import Iterable
from ssl import SSLCertVerificationError, SSLError

import aiohttp

from smallest_proto.endpoints import Destination
from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)
from smallest_proto.wire.redaction import Redactor
from smallest_proto.wire.refusal import read_refusal
from smallest_transports._connect_errors import cannot_connect

EXPECTED = (aiohttp.ClientError, OSError, ValueError, RuntimeError)
"""What `ws_connect` raises by itself; anything else is a fault in the session's own hooks, and left alone."""

_FAULTS = {
    1002: "frames that are none",
    1007: "a text message that is not UTF-8",
    1009: "a message longer than max_message_bytes",
}


def why_not_connected(error: Exception, where: Destination, redactor: Redactor, keep: int) -> ProtocolError:
    """The error for what `ClientSession.ws_connect` raised; `keep` is `Limits.max_error_body`."""
    host, port = where.host, where.port
    match error:
        case aiohttp.WSServerHandshakeError(status=101, history=()):
            return RemoteProtocolError("the server's 101 is no WebSocket upgrade")
        case aiohttp.WSServerHandshakeError(history=()):
            return rejected(error.status, error.headers or {}, redactor, keep)
        case aiohttp.ClientHttpProxyError():
            text = f"the session's proxy refused the way to {host} port {port}"
            return ConnectFailed(text, code="proxy", status=error.status, retryable=error.status >= 500)
        case aiohttp.ClientResponseError(history=(first, *_)):
            return rejected(first.status, first.headers, redactor, keep)
        case aiohttp.RedirectClientError():
            return _redirected()
        case aiohttp.ClientResponseError():
            return RemoteProtocolError("the answer to the upgrade is not HTTP")
        case aiohttp.ClientProxyConnectionError():
            return ConnectFailed("cannot connect to the session's proxy", code="proxy")
        case aiohttp.ClientSSLError() | aiohttp.ServerFingerprintMismatch():
            return _no_tls(error, where)
        case aiohttp.ClientConnectorError() if (error.host, error.port) != (host, port):
            return _redirected()
        case aiohttp.ClientConnectorError():
            return cannot_connect(host, port, error.os_error)
        case aiohttp.ConnectionTimeoutError():
            text = f"no connection to {host} port {port} within the session's own timeout"
            return DeadlineExceeded(text, code="connect")
        case TimeoutError():
            text = "the upgrade was not complete within the session's own timeout"
            return DeadlineExceeded(text, code="handshake")
        case aiohttp.InvalidURL() | UnicodeError():
            return cannot_connect(host, port, UnicodeError())
        case aiohttp.NonHttpUrlClientError():
            return LocalProtocolError("the session's connector does not take WebSocket URLs")
        case ValueError():
            return LocalProtocolError(
                "aiohttp refused the request: the session's own `auth`, or a netrc file, goes with no API key"
            )
        case RuntimeError():
            return LocalProtocolError("the aiohttp session is closed, or belongs to another event loop")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | aiohttp.ClientPayloadError():
            return ConnectionLost("the connection ended before the upgrade was complete", status=1006)
        case _:
            return ConnectFailed(f"cannot connect to {host} port {port}", code="connect")


def rejected(status: int, headers: object, redactor: Redactor, keep: int) -> HandshakeRejected:
    """The refusal, as far as aiohttp tells: it keeps no body of one."""
    given: Iterable[tuple[str, str]] = headers.items() if hasattr(headers, "items") else ()
    pairs = tuple((name.lower(), value) for name, value in given)
    refusal = read_refusal(status, pairs, b"", redactor=redactor, keep=keep, what="the upgrade was refused")
    error = refusal.error
    return HandshakeRejected(
        str(error),
        headers=refusal.headers,
        message=error.message,
        code=error.code,
        status=status,
        request_id=error.request_id,
        retry_after=error.retry_after,
        retryable=error.retryable,
    )


def _redirected() -> RemoteProtocolError:
    text = (
        "the upgrade was answered with a redirect, and it leads nowhere: base_url must name the server itself"
    )
    return RemoteProtocolError(text, retryable=False)


def _no_tls(error: Exception, where: Destination) -> ConnectFailed:
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    reason = cause.verify_message if isinstance(cause, SSLCertVerificationError) else None
    if not reason and isinstance(cause, SSLError):
        reason = cause.reason
    text = f"TLS to {where.host} port {where.port} failed: {reason or 'handshake failed'}"
    return ConnectFailed(text, code="tls", retryable=False)


def why_ended(error: BaseException | None) -> ProtocolError:
    """The error for a connection that aiohttp ended, or lost, without a close frame of the peer."""
    if isinstance(error, aiohttp.WebSocketError):
        text = _FAULTS.get(error.code, "frames that are none")
        return RemoteProtocolError(f"the peer sent what WebSocket forbids: {text}", status=error.code)
    if isinstance(error, aiohttp.ServerTimeoutError):
        return DeadlineExceeded("the peer was silent after a ping", code="pong", status=1006)
    return error_for_close(1006)
