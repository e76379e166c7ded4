"""What both ends of a WebSocket share: states, frames, heartbeat, deadlines and the close handshake.

Bytes in and bytes out, no I/O: the transport writes what `data_to_send` returns after every call, and calls
`handle_timeout` when `next_deadline` has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeAlias

from wsproto.frame_protocol import ParseFailed

from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.event_queue import EventQueue
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Need
from smallest_proto.limits import Limits
from smallest_proto.machine import Machine, Table
from smallest_proto.message_layer import MessageLayer
from smallest_proto.timers import Timers
from smallest_proto.wire.detail import NO_CLOSE_FRAME, NOTHING, Detail
from smallest_proto.wire.frame_writer import FrameWriter, Mask
from smallest_proto.wire.frames import Close, FrameReader, Received
from smallest_proto.wire.redaction import Redactor
from smallest_proto.wire.states import OVER, Action, Input, State

_SLICE = 256 * 1024
"""Bytes taken from a read at a time: a fault in the first ones spares us the copy of the rest."""

_MESSAGE = (str, bytes)
_CONNECTING, _OPEN, _REMOTE_CLOSING = State.CONNECTING, State.OPEN, State.REMOTE_CLOSING
_READING = (State.OPEN, State.LOCAL_CLOSING)

# at most one of the first four is armed at any time
_HANDSHAKE, _HEARTBEAT, _PONG, _CLOSE = "handshake", "heartbeat", "pong", "close"
_CLOSING, _IDLE = "closing", "idle"

Perform: TypeAlias = Callable[[Any, Detail], None]
"""An action as an unbound method of the wire whose table it stands in."""


class BaseWire:
    """The byte level under one `MessageLayer`; see `WebSocketWire` and `WebSocketServerWire`.

    answers_pings: set it to False to play dead, as a server that tests clients may.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_conn",
        "_events",
        "_heartbeat",
        "_limits",
        "_machine",
        "_now",
        "_out",
        "_reader",
        "_redactor",
        "_relaying",
        "_timers",
        "_writer",
        "answers_pings",
    )

    _actions: ClassVar[Mapping[Action, Perform]]

    def __init__(
        self,
        table: Table[State, Input, Action],
        *,
        client: bool,
        limits: Limits,
        conn: MessageLayer | None,
        redactor: Redactor,
        mask: Mask | None = None,
    ) -> None:
        self._machine = Machine(table, State.CONNECTING)
        self._limits = limits
        self._conn = conn
        self._redactor = redactor
        self._reader = FrameReader(client=client, limits=limits)
        self._writer = FrameWriter(client=client, mask=mask)
        self._timers = Timers()
        self._heartbeat: float | None = None
        self._out: list[bytes] = []
        self._events = EventQueue()
        self._relaying = False
        self._asked = NOTHING
        self._now = 0.0
        self.answers_pings = True

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._machine.state

    @property
    def finished(self) -> bool:
        """True once `ConnectionClosed` is queued: write the rest of `data_to_send`, then close the socket."""
        return self._machine.state in OVER

    @property
    def awaits_pong(self) -> bool:
        """True from a ping to the next byte of the peer."""
        return _PONG in self._timers

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """Take bytes from the peer, cut in any way. Empty ones mean nothing; the end is `receive_eof`.

        Nothing the peer sent makes this raise: faults end in a `ConnectionClosed` with an error. Ignored once
        `finished`. Raises LocalProtocolError before `connect`.
        """
        self._enter("receive_data", now)
        if data and self._machine.state is _OPEN:
            self._hear()
        if len(data) > _SLICE:
            for start in range(0, len(data), _SLICE):
                self._receive(bytes(data[start : start + _SLICE]))
        elif data:
            self._receive(bytes(data))
        self._catch_up()

    def receive_eof(self, now: float) -> None:
        """The peer sends no more bytes, or the socket failed. Raises LocalProtocolError before `connect`."""
        self._enter("receive_eof", now)
        if self.state in _READING:
            error: ProtocolError = error_for_close(NO_CLOSE_FRAME)
        else:
            text = "the connection ended before the upgrade was complete"
            error = ConnectionLost(text, status=NO_CLOSE_FRAME)
        self._step(Input.EOF, Detail(error=error))
        self._settle()

    def data_to_send(self) -> bytes:
        """The bytes to write now, b"" for none; each is handed out once.

        While the connection is open this takes the waiting messages of the message layer.
        """
        self._pump()
        if not self._out:
            return b""  # never in REMOTE_CLOSING, which begins with a close frame
        data = b"".join(self._out)
        self._out.clear()
        if self._machine.state is _REMOTE_CLOSING:
            self._step(Input.WRITTEN)
        return data

    def next_event(self) -> Event | Literal[Need.DATA]:
        """The next event, or NEED_DATA. `ConnectionClosed` is the last."""
        if not self._events:
            self._relay()
        return self._events.popleft() if self._events else NEED_DATA

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do, on the clock that `now` comes from; None for never."""
        own = self._timers.next_deadline()
        other = self._conn.next_deadline() if self._conn is not None else None
        return other if own is None or (other is not None and other < own) else own

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed, ours and the message layer's. An early call is harmless."""
        self._now = now
        due = self.next_deadline()
        if due is None or due > now:
            return
        if self._conn is not None:
            self._conn.handle_timeout(now)
        self._settle()
        for name in self._timers.pop_expired(now):
            if not self.finished:  # two deadlines at once, and the first was the end
                self._step(*self._deadline(name))
        self._settle()

    def close(self, now: float) -> None:
        """Give up from our side: close the message layer, and the WebSocket after it.

        When it is open, its last messages and a close frame are written, and `finished` comes with the peer's
        answer or the close deadline; before that, at once. A second call changes nothing.
        """
        self._now = now
        if self._conn is not None and not self.finished:
            self._conn.close(now)
        if self.state is not State.OPEN:  # there, the wish of the message layer does it
            self._step(Input.CLOSE)
        self._settle()

    # -- for the two roles

    def _enter(self, call: str, now: float) -> None:
        if self._machine.state is _CONNECTING:
            raise LocalProtocolError(f"{call} is not allowed before connect")
        self._now = now

    def _receive(self, data: bytes) -> None:
        """Take frames, once there are any: before that, a role takes what is its own."""
        if self._machine.state not in _READING:
            return
        self._reader.receive_bytes(data)
        while self._machine.state in _READING:
            try:
                received = self._reader.next()
            except ParseFailed as fault:
                self._pump()
                code, text = int(fault.code), str(fault)
                error = RemoteProtocolError(f"the peer sent what WebSocket forbids: {text}", status=code)
                self._step(Input.FAULT, Detail(code, text, error))
                return
            if received is None:
                return
            self._take(received)

    def _take(self, received: Received) -> None:
        # what waits goes out before what a frame causes, and a wish to close is seen to before the next frame, so
        # that our bytes do not depend on how theirs were cut
        conn = self._conn
        assert conn is not None
        if isinstance(received, _MESSAGE):
            conn.receive_message(received, self._now)
            if conn.close_requested is not None:
                self._pump()
            return
        self._pump()
        if isinstance(received, Close):
            self._step(Input.PEER_CLOSE, Detail(received.code, received.reason))
        elif self.answers_pings and self._machine.state is _OPEN:
            self._out.append(self._writer.pong(received.payload))

    def _hear(self) -> None:
        """A byte of the peer, whatever it means, shows that it is alive."""
        self._timers.clear(_PONG)
        if self._heartbeat is not None:
            self._timers.set(_HEARTBEAT, self._now + self._heartbeat)
        if self._limits.websocket_idle_timeout is not None:
            self._timers.set(_IDLE, self._now + self._limits.websocket_idle_timeout)

    def _pump(self) -> None:
        """Frame the waiting messages, then see to the wish to close."""
        if self._machine.state is not _OPEN:
            return
        conn = self._conn
        assert conn is not None
        messages = conn.messages_to_send()
        if len(messages) > 1:
            self._out.append(self._writer.row(messages))
        else:
            self._out += map(self._writer.message, messages)
        if (asked := conn.close_requested) is not None:
            self._step(Input.CLOSE, Detail(*asked))

    def _settle(self) -> None:
        """At the end of every call that knows the time."""
        self._pump()
        self._catch_up()

    def _catch_up(self) -> None:
        if _CLOSING in self._timers:
            self._timers.clear(_CLOSING)
            if self._limits.close_timeout is not None:
                self._timers.set(_CLOSE, self._now + self._limits.close_timeout)
        self._relay()

    def _relay(self) -> None:
        if self._relaying and self._conn is not None:
            while (event := self._conn.next_event()) is not NEED_DATA:
                if isinstance(error := getattr(event, "error", None), ServerError):
                    self._redactor.error(error)
                self._events.append(event)

    def _deadline(self, name: str) -> tuple[Input, Detail]:
        if name == _HEARTBEAT:
            return Input.SILENCE, Detail()
        if name == _PONG:
            error = DeadlineExceeded("the peer was silent after a ping", code="pong", status=NO_CLOSE_FRAME)
            return Input.PONG_TIMEOUT, Detail(error=error)
        if name == _IDLE:
            error = DeadlineExceeded("the peer was silent for too long", code="idle", status=NO_CLOSE_FRAME)
            return Input.IDLE_TIMEOUT, Detail(error=error)
        if name == _CLOSE:
            # no error: the close was asked for, and whoever asked need not care that nobody answered
            return Input.CLOSE_TIMEOUT, Detail()
        error = DeadlineExceeded("the upgrade was not complete in time", code="handshake")
        return Input.HANDSHAKE_TIMEOUT, Detail(error=error)

    # -- the table and its actions

    def _step(self, given: Input, detail: Detail = NOTHING) -> None:
        for action in self._machine.step(given):
            self._actions[action](self, detail)

    def _write(self, detail: Detail) -> None:
        self._out.append(detail.data)

    def _tell(self, detail: Detail) -> None:
        assert detail.event is not None
        self._events.append(detail.event)

    def _arm_handshake(self, _: Detail) -> None:
        if self._limits.handshake_timeout is not None:
            self._timers.set(_HANDSHAKE, self._now + self._limits.handshake_timeout)

    def _disarm(self, _: Detail) -> None:
        self._timers.clear()

    def _open(self, _: Detail) -> None:
        assert self._conn is not None
        self._relaying = True
        self._heartbeat = self._conn.heartbeat
        self._conn.receive_open(self._now)
        self._hear()

    def _ping(self, _: Detail) -> None:
        self._out.append(self._writer.ping())
        timeout = self._limits.pong_timeout
        if timeout is None:
            timeout = (self._heartbeat or 0.0) / 2
        self._timers.set(_PONG, self._now + timeout)

    def _close_frame(self, detail: Detail) -> None:
        self._asked = Detail(detail.code, detail.reason)
        self._out.append(self._writer.close(detail.code, detail.reason))

    def _arm_close(self, _: Detail) -> None:
        # data_to_send does not know the time: due at once, and the call that follows starts the real one
        self._timers.set(_CLOSING, self._now)

    def _end(self, detail: Detail) -> None:
        self._timers.clear()
        code, reason, error = detail.code, self._redactor.text(detail.reason), detail.error
        if self._conn is not None:
            self._conn.receive_close(code, reason, self._now, error=error)
            self._relaying = True
        else:
            expected = error is None
            self._events.append(ConnectionClosed(code=code, reason=reason, expected=expected, error=error))

    def _end_as_asked(self, _: Detail) -> None:
        self._end(self._asked)


BaseWire._actions = {
    Action.WRITE: BaseWire._write,
    Action.TELL: BaseWire._tell,
    Action.ARM_HANDSHAKE: BaseWire._arm_handshake,
    Action.DISARM: BaseWire._disarm,
    Action.OPEN: BaseWire._open,
    Action.PING: BaseWire._ping,
    Action.CLOSE_FRAME: BaseWire._close_frame,
    Action.ARM_CLOSE: BaseWire._arm_close,
    Action.END: BaseWire._end,
    Action.END_AS_ASKED: BaseWire._end_as_asked,
}
