"""What one HTTP response means: head and body in, events out. The bytes are `HttpWire`'s, or any library's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal, TypeAlias

from smallest_proto.error_shapes import Headers, decode_body, server_error
from smallest_proto.errors import ConnectionLost, ProtocolError, RemoteProtocolError
from smallest_proto.events import NEED_DATA, Event, Need
from smallest_proto.exchange_states import TABLE, Action, Input, State
from smallest_proto.limits import Limits
from smallest_proto.machine import Machine


class RequestFailed(Event, frozen=True, kw_only=True):
    """The request failed; the last event. What was handed out before is sound, and not the whole.

    `error` is a `ServerError` for a refusal, whatever its shape, and otherwise what the byte level reported:
    ConnectionLost, DeadlineExceeded, RemoteProtocolError.
    """

    error: ProtocolError


class HttpExchange:
    """Base of the machines that read one response each. The last event is a result or `RequestFailed`.

    Feed it `HttpWire`'s events with `receive`; with another HTTP library call `receive_head`, then
    `receive_body` with every piece, then `receive_end`, or at any time `receive_failure`. After the last event
    the rest of a body is ignored: close the connection, or read on to use it again.
    Calls out of that order raise LocalProtocolError, and change nothing.
    """

    _actions: ClassVar[Mapping[Action, Callable[[HttpExchange, _Detail], None]]]

    def __init__(self, *, limits: Limits = Limits()) -> None:
        self._limits = limits
        self._machine = Machine(TABLE, State.WAITING)
        self._events: deque[Event] = deque()
        self._refusal = bytearray()
        self._status = 0
        self._headers: tuple[tuple[str, str], ...] = ()

    @property
    def over(self) -> bool:
        """Whether the last event is queued or was handed out."""
        return self._machine.state is State.OVER

    def receive(self, event: Event) -> None:
        """Take an event of `HttpWire`; those that are not of a response are ignored."""
        from smallest_proto.wire import http_events  # loads h11, which the other calls do without

        match event:
            case http_events.ResponseStarted():
                self.receive_head(event.status, event.headers)
            case http_events.BodyReceived():
                self.receive_body(event.data)
            case http_events.ExchangeEnded():
                self.receive_end()
            case http_events.ExchangeFailed():
                self.receive_failure(event.error)

    def receive_head(self, status: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """The final status (no 1xx) and the headers."""
        found = tuple((name.lower(), value) for name, value in headers)
        accepted = 200 <= status < 300 and self._answers(found)
        row = self._machine.check(Input.ACCEPTED if accepted else Input.REFUSAL)
        self._status, self._headers = status, found
        self._run(self._machine.commit(row))

    def receive_body(self, data: bytes | bytearray | memoryview) -> None:
        """Some bytes of the body, cut in any way, with transfer and content encodings undone."""
        self._step(Input.BODY, bytes(data))

    def receive_end(self) -> None:
        """The response is complete."""
        lost = ConnectionLost("the exchange ended without a response")
        self._step(Input.END, RequestFailed(error=lost))

    def receive_failure(self, error: ProtocolError) -> None:
        """The byte level gave up. With the status known to be a refusal, that is what is reported."""
        self._step(Input.FAILURE, RequestFailed(error=error))

    def next_event(self) -> Event | Literal[Need.DATA]:
        """The next event, or NEED_DATA."""
        return self._events.popleft() if self._events else NEED_DATA

    # -- what a kind of response fills in

    def _answers(self, headers: Headers) -> bool:
        """Whether a 2xx with these headers can be what was asked for; if not, its body says why."""
        return True

    def _begin(self) -> None:
        """The head of a 2xx is in `_status` and `_headers`."""

    def _read(self, data: bytes) -> Event | None:
        """Read a piece of the body of a 2xx; return the last event if this settles the exchange."""
        raise NotImplementedError

    def _finish(self) -> Event:
        """The body is complete: return the last event, with any before it already queued."""
        raise NotImplementedError

    # -- the table and its actions

    def _step(self, given: Input, detail: _Detail) -> None:
        self._run(self._machine.step(given), detail)

    def _run(self, actions: tuple[Action, ...], detail: _Detail = None) -> None:
        for action in actions:
            self._actions[action](self, detail)

    def _take_head(self, _: _Detail) -> None:
        self._begin()

    def _read_body(self, detail: _Detail) -> None:
        assert isinstance(detail, bytes)
        if (last := self._read(detail)) is not None:
            self._step(Input.SETTLED, last)

    def _keep(self, detail: _Detail) -> None:
        assert isinstance(detail, bytes)
        self._refusal += detail[: self._limits.max_error_body - len(self._refusal)]

    def _tell(self, detail: _Detail) -> None:
        assert isinstance(detail, Event)
        self._events.append(detail)

    def _tell_finish(self, _: _Detail) -> None:
        self._events.append(self._finish())

    def _refuse(self, _: _Detail) -> None:
        status = None if 200 <= self._status < 300 else self._status  # it says nothing of what went wrong
        text = "the server answered with a document instead of what was asked for"
        error = server_error(decode_body(bytes(self._refusal)), self._headers, status=status, text=text)
        self._events.append(RequestFailed(error=error))


HttpExchange._actions = {
    Action.BEGIN: HttpExchange._take_head,
    Action.READ: HttpExchange._read_body,
    Action.KEEP: HttpExchange._keep,
    Action.FINISH: HttpExchange._tell_finish,
    Action.TELL: HttpExchange._tell,
    Action.REFUSE: HttpExchange._refuse,
}


_Detail: TypeAlias = bytes | Event | None


class DocumentExchange(HttpExchange):
    """Base for responses that mean something only as a whole: one JSON document of bounded size."""

    def __init__(self, *, limits: Limits = Limits()) -> None:
        super().__init__(limits=limits)
        self._document = bytearray()

    def _read(self, data: bytes) -> Event | None:
        if len(self._document) + len(data) > self._limits.max_message_bytes:
            self._document.clear()
            error = RemoteProtocolError(
                "the server's answer is longer than max_message_bytes", status=self._status
            )
            return RequestFailed(error=error)
        self._document += data
        return None

    def _finish(self) -> Event:
        return self._parse(self._status, self._headers, bytes(self._document))

    def _parse(self, status: int, headers: Headers, body: bytes) -> Event:
        """The last event, from the whole response."""
        raise NotImplementedError
