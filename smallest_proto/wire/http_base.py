"""What both ends of an HTTP connection share: the table, the queues, the deadlines, reading heads and bodies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

import h11

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, RemoteProtocolError
from smallest_proto.events import NEED_DATA, Event, Need
from smallest_proto.limits import Limits
from smallest_proto.machine import Machine, Table
from smallest_proto.timers import Timers
from smallest_proto.wire.detail import NOTHING, Detail
from smallest_proto.wire.http_body import BodyReader, framing_fault
from smallest_proto.wire.http_events import BodyReceived, ExchangeFailed
from smallest_proto.wire.http_head import HeaderPairs, HeadReader, HeadTooLongError, HttpEvent
from smallest_proto.wire.http_states import EXTERNAL, Action, Input, State

_SLICE = 16 * 1024
"""Bytes taken from a read at a time, so that what one read makes us hold does not grow with it."""

_BEFORE_HEAD = (State.UPLOADING, State.AWAITING, State.READING_HEAD)

# at most one is armed at any time
_REQUEST, _RESPONSE, _IDLE, _KEEP_ALIVE = "request", "response", "idle", "keep-alive"

_EXPIRED: Mapping[str, tuple[Input, str]] = {
    _REQUEST: (Input.REQUEST_TIMEOUT, "the head of the request was not complete in time"),
    _RESPONSE: (Input.RESPONSE_TIMEOUT, "the response did not begin in time"),
    _IDLE: (Input.IDLE_TIMEOUT, "the peer was silent in the middle of a body"),
    _KEEP_ALIVE: (Input.KEEP_ALIVE_TIMEOUT, "no request came in time"),
}

Perform: TypeAlias = Callable[[Any, Detail], None]
"""An action as an unbound method of the wire whose table it stands in."""


class HttpEnd(ABC):
    """One end of an HTTP connection; see `HttpWire` and `HttpServerWire`."""

    _actions: ClassVar[Mapping[Action, Perform]]

    def __init__(
        self, table: Table[State, Input, Action], role: type[h11.CLIENT] | type[h11.SERVER], limits: Limits
    ) -> None:
        self._machine = Machine(table, State.READY, EXTERNAL)
        self._role = role
        self._limits = limits
        self._timers = Timers()
        self._out: list[bytes] = []
        self._events: deque[Event] = deque()
        self._body = bytearray()  # of the BodyReceived that comes after these events
        self._now = 0.0
        self._renew(self._connection())

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._machine.state

    @property
    def finished(self) -> bool:
        """True once this connection is of no more use: write the rest of `data_to_send`, close the socket."""
        return self.state is State.CLOSED

    def send_body(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Send some bytes of a streamed body; empty ones mean nothing.

        Raises LocalProtocolError, with nothing changed, when there is no streamed body to send: also once the
        exchange is over, which `next_event` tells. A client's are dropped after an error status.
        """
        self._machine.check(Input.SEND_BODY)
        piece = bytes(memoryview(data))
        self._now = now
        self._step(Input.SEND_BODY, Detail(data=piece))

    def end_body(self, now: float) -> None:
        """The streamed body is complete. Raises LocalProtocolError as `send_body` does."""
        self._machine.check(Input.END_BODY)
        self._now = now
        self._step(Input.END_BODY)

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Take bytes from the peer, cut in any way. Empty ones mean nothing; the end is `receive_eof`.

        Nothing that a peer sends makes this raise. Ignored once `finished`.
        """
        self._now = now
        for start in range(0, len(data), _SLICE):
            if self.finished:
                return
            self._receive(bytes(data[start : start + _SLICE]))

    def receive_eof(self, now: float) -> None:
        """The peer sends no more bytes, or the socket failed: it is taken as gone."""
        error = ConnectionLost("the connection ended before the exchange was complete")
        self._step(Input.EOF, Detail(error=error))

    def data_to_send(self) -> bytes:
        """The bytes to write now, b"" for none; each is handed out once."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def next_event(self) -> Event | Literal[Need.DATA]:
        """The next event, or NEED_DATA."""
        if not self._events:
            self._flush()
        return self._events.popleft() if self._events else NEED_DATA

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do, on the clock that `now` comes from; None for never."""
        return self._timers.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed. An early call is harmless."""
        self._now = now
        for name in self._timers.pop_expired(now):
            given, text = _EXPIRED[name]
            self._step(given, Detail(code=408, error=DeadlineExceeded(text, code=name)))

    def close(self, now: float) -> None:
        """Give up: `finished` at once. What was under way ends in `ExchangeFailed`; a second call is nothing."""
        error = ConnectionLost("the connection was closed from this side before the exchange was complete")
        self._step(Input.CLOSE, Detail(error=error))

    # -- for the two roles

    @abstractmethod
    def _receive(self, data: bytes) -> None:
        """Take some bytes in whatever state there is."""

    @abstractmethod
    def _begin(self, head: HttpEvent | None) -> None:
        """Take what h11 has read, if it is a head that matters."""

    @abstractmethod
    def _take(self, piece: bytes) -> bool:
        """Take a piece of the body; whether to go on."""

    @abstractmethod
    def _end(self) -> None:
        """The body is complete."""

    def _connection(self) -> h11.Connection:
        return h11.Connection(self._role, self._limits.max_handshake_bytes)

    def _renew(self, http: h11.Connection) -> None:
        """For each exchange: an h11 connection does not give back what it was fed too much."""
        self._http = http
        self._head = HeadReader(http, self._limits.max_handshake_bytes)
        self._reader = BodyReader(http, self._limits.max_handshake_bytes)

    def _both_go_on(self) -> bool:
        return (self._http.our_state, self._http.their_state) == (h11.DONE, h11.DONE)

    def _encode(self, event: h11.Event) -> bytes:
        return bytes(self._http.send(event) or b"")

    def _receive_head(self, data: bytes) -> bytes:
        """Returns what follows the head."""
        try:
            while data and self.state in _BEFORE_HEAD:
                event, data = self._head.receive(data)
                self._begin(event)
        except HeadTooLongError:
            self._fault(431, "the head is longer than max_handshake_bytes")
        except h11.RemoteProtocolError:
            self._fault(400, "the head is not HTTP")
        return data

    def _is_sound(self, headers: HeaderPairs, version: bytes) -> bool:
        if len(headers) > self._limits.max_headers:
            self._fault(431, "there are more headers than max_headers")
        elif wrong := framing_fault(headers, version):
            self._fault(400, f"the end of the body is not clear: {wrong}")
        return not self.finished

    def _receive_body(self, data: bytes) -> None:
        try:
            for piece in self._reader.receive(data):
                if not self._take(piece):
                    return
        except h11.RemoteProtocolError:
            self._fault(400, "the body is not HTTP, or has too much around its bytes")
        if self._reader.rest is not None:
            self._end()

    def _fault(self, code: int, text: str) -> None:
        self._step(Input.FAULT, Detail(code=code, error=RemoteProtocolError(text)))

    # -- the table and its actions

    def _step(self, given: Input, detail: Detail = NOTHING) -> None:
        for action in self._machine.step(given):
            self._actions[action](self, detail)

    def _flush(self) -> None:
        if self._body:
            self._events.append(BodyReceived(data=bytes(self._body)))
            self._body = bytearray()

    def _write(self, detail: Detail) -> None:
        self._out.append(detail.data)

    def _write_body(self, detail: Detail) -> None:
        self._out.append(self._encode(h11.Data(data=detail.data)))

    def _write_end(self, _: Detail) -> None:
        self._out.append(self._encode(h11.EndOfMessage()))

    def _tell(self, detail: Detail) -> None:
        assert detail.event is not None
        self._flush()
        self._events.append(detail.event)

    def _deliver(self, detail: Detail) -> None:
        self._body += detail.data

    def _fail(self, detail: Detail) -> None:
        assert detail.error is not None
        self._tell(Detail(event=ExchangeFailed(error=detail.error)))

    def _arm(self, name: str, seconds: float | None) -> None:
        if seconds is not None:
            self._timers.set(name, self._now + seconds)

    def _arm_request(self, _: Detail) -> None:
        self._arm(_REQUEST, self._limits.handshake_timeout)

    def _arm_response(self, _: Detail) -> None:
        self._arm(_RESPONSE, self._limits.response_timeout)

    def _arm_idle(self, _: Detail) -> None:
        self._arm(_IDLE, self._limits.idle_timeout)

    def _arm_keep_alive(self, _: Detail) -> None:
        self._arm(_KEEP_ALIVE, self._limits.keep_alive_timeout)

    def _disarm(self, _: Detail) -> None:
        self._timers.clear()


HttpEnd._actions = {
    Action.WRITE: HttpEnd._write,
    Action.WRITE_BODY: HttpEnd._write_body,
    Action.WRITE_END: HttpEnd._write_end,
    Action.TELL: HttpEnd._tell,
    Action.DELIVER: HttpEnd._deliver,
    Action.FAIL: HttpEnd._fail,
    Action.ARM_REQUEST: HttpEnd._arm_request,
    Action.ARM_RESPONSE: HttpEnd._arm_response,
    Action.ARM_IDLE: HttpEnd._arm_idle,
    Action.ARM_KEEP_ALIVE: HttpEnd._arm_keep_alive,
    Action.DISARM: HttpEnd._disarm,
}
