"""Events of HTTP exchanges, for both ends. Body bytes that lie side by side may come as one event or as many."""

from __future__ import annotations

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Event


class ResponseStarted(Event, frozen=True, kw_only=True):
    """Client: the head of a response with a status from 200 to 299; `BodyReceived` follow.

    `headers` have names in lower case, in order; the API key is masked where the server echoed it.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()


class BodyReceived(Event, frozen=True, kw_only=True):
    """Some bytes of the body, never none. How they are cut means nothing."""

    data: bytes

    def __repr__(self) -> str:
        return f"BodyReceived({len(self.data)} bytes)"


class ExchangeEnded(Event, frozen=True, kw_only=True):
    """Client: the response is complete, the last event of this exchange.

    `reusable` says whether both ends left the connection open for another `start`. Ask `HttpWire.reusable`
    at the time: the server may have closed since.
    """

    reusable: bool


class ExchangeFailed(Event, frozen=True, kw_only=True):
    """The exchange ended before it was complete, its last event.

    Client: `error` is a `ServerError` for a status of 300 or more (the API key masked), ConnectionLost for
    the end of the stream, RemoteProtocolError for what is not HTTP or beyond a limit, DeadlineExceeded with
    code `response` or `idle`. Server: the same without ServerError, with code `request` or `idle`; a refusal
    (400, 408, 413, ...) is then already in `data_to_send`, and `RequestStarted` need not have come before.
    """

    error: ProtocolError


class RequestStarted(Event, frozen=True, kw_only=True):
    """Server: the head of a request; `BodyReceived` and `RequestEnded` follow. `respond` may come at once.

    `target` is the path with its query; `headers` have names in lower case, in order. The repr shows neither
    header values nor the query: both can hold an API key.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        path = self.target.partition("?")[0]
        return f"RequestStarted({self.method} {path!r}, headers={[name for name, _ in self.headers]})"


class RequestEnded(Event, frozen=True, kw_only=True):
    """Server: the request is complete; `respond`, unless that is done."""
