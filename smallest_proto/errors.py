"""Everything that can go wrong, as one tree of exceptions.

    ProtocolError
    ├── LocalProtocolError     our side asked for something the protocol forbids; nothing was changed
    ├── RemoteProtocolError    the peer broke the protocol
    ├── ServerError            the server said no, in JSON, in an HTTP status or in a close code
    │   └── HandshakeRejected  the WebSocket upgrade was answered with something other than 101
    ├── ConnectFailed          no connection came about: name look-up, TCP or TLS
    ├── ConnectionLost         the connection ended before the work was done
    ├── Truncated              speech broke off, and nothing told where to go on
    └── DeadlineExceeded       a deadline passed: connect, handshake, pong, first audio, last transcript

Every instance has ``code``, ``status``, ``request_id``, ``retry_after`` and ``retryable``. What a server
wrote stands in ``ServerError.message`` and never in ``str(error)``: it can echo what the user said
[lk 1.8.9], and exceptions end up in logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict, Unpack


class Facts(TypedDict, total=False):
    """The keyword arguments of every error; `ProtocolError` says what they mean."""

    code: str | None
    status: int | None
    request_id: str | None
    retry_after: float | None
    retryable: bool | None


class ProtocolError(Exception):
    """Base of all errors here. Catch this to catch everything that a peer or a network can cause.

    Attributes:
        code: short machine-readable word from the server, such as ``MODEL_DEPRECATED``, or None.
        status: HTTP status or, after an upgrade, WebSocket close code; None when there was neither.
        request_id: the server's correlation id, to quote to the vendor; None when not given.
        retry_after: seconds the server asked us to wait; None when it did not.
        retryable: whether the same request may succeed if it is sent again.
    """

    _retryable: ClassVar[bool] = False

    def __init__(
        self,
        text: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.retryable = self._retryable if retryable is None else retryable

    def _fields(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, ProtocolError)
        return self.args == other.args and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash((type(self), self.args, self.code, self.status))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self._fields()))


def _rebuild(kind: type[ProtocolError], args: tuple[str, ...], fields: Mapping[str, Any]) -> ProtocolError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(fields)
    return error


class LocalProtocolError(ProtocolError):
    """The caller asked for something that is not allowed now. Nothing was sent and no state changed."""


class RemoteProtocolError(ProtocolError):
    """The peer sent bytes that break WebSocket, HTTP or a limit of ours. The connection is over."""

    _retryable = True


class ConnectFailed(ProtocolError):
    """No connection came about; the text names host, port and cause. Not retryable when TLS was refused."""

    _retryable = True


class ConnectionLost(ProtocolError):
    """The connection ended before the work was done; ``status`` is the close code, 1006 if there was none."""

    _retryable = True


class Truncated(ProtocolError):
    """Speech broke off after some of it was heard. To ask again would say that part twice.

    Attributes beyond `ProtocolError`'s:
        audio_seconds: how much speech was handed out.
    """

    def __init__(self, text: str = "", *, audio_seconds: float = 0.0, **facts: Unpack[Facts]) -> None:
        super().__init__(text, **facts)
        self.audio_seconds = audio_seconds


class DeadlineExceeded(ProtocolError):
    """A deadline passed; ``code`` names it.

    ``connect``, ``handshake``, ``pong``, ``idle`` or ``first_audio``; for HTTP ``response``, ``idle`` or, at a
    server, ``request``; in LiveKit ``drain``, for an end of the stream that never came.
    """

    _retryable = True


class ServerError(ProtocolError):
    """The server refused or failed.

    Attributes beyond `ProtocolError`'s:
        message: the server's own words, "" when it gave none. May echo user content, so keep it out of logs.
        details: further items from a validation list, each a short line.
    """

    def __init__(
        self,
        text: str = "",
        *,
        message: str = "",
        details: tuple[str, ...] = (),
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(text, **facts)
        self.message = message
        self.details = details


class HandshakeRejected(ServerError):
    """The upgrade was refused; ``status`` is the HTTP status.

    Attributes beyond `ServerError`'s:
        headers: the response's headers, names in lower case, in order.
        body: the first bytes of the response body, cut at `Limits.max_error_body`.
    """

    def __init__(
        self,
        text: str = "",
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        message: str = "",
        details: tuple[str, ...] = (),
        **facts: Unpack[Facts],
    ) -> None:
        super().__init__(text, message=message, details=details, **facts)
        self.headers = headers
        self.body = body
