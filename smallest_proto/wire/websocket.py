"""A WebSocket as bytes, for each end: HTTP upgrade, frames, ping, close.

wire.connect(now)                  # then, in a loop:
transport.write(wire.data_to_send())
wire.receive_data(data, now)       # or receive_eof(now), or handle_timeout(now) at wire.next_deadline()
while (event := wire.next_event()) is not NEED_DATA: ...
# until wire.finished: write the rest, close the socket
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import RemoteProtocolError
from smallest_proto.limits import Limits
from smallest_proto.message_layer import MessageLayer
from smallest_proto.wire.base import BaseWire, Perform
from smallest_proto.wire.client_handshake import ClientHandshake
from smallest_proto.wire.detail import Detail
from smallest_proto.wire.frame_writer import Mask
from smallest_proto.wire.redaction import Redactor
from smallest_proto.wire.server_handshake import ServerHandshake
from smallest_proto.wire.states import CLIENT, SERVER, Action, Input, State

_ASKING = (State.HANDSHAKE, State.REJECTING)
_READING_REQUEST, _DECIDING = State.READING_REQUEST, State.DECIDING


class WebSocketWire(BaseWire):
    """The client end: asks for `request`, and runs `conn` over the WebSocket it gets.

    Events: `HandshakeCompleted`, then those of `conn`, then `ConnectionClosed`. A refused upgrade ends in a
    `ConnectionClosed` whose error is a `HandshakeRejected`; what the server echoes there hides the API key.

    mask: what puts a frame's payload under a key of 4 bytes, `mask(payload, key)`, if you have it faster than
        Python can (RFC 6455 section 5.3), such as `websockets.speedups.apply_mask`. The keys are ours.

    Raises ValueError for a request that cannot be written.
    """

    __slots__ = ("_handshake",)

    _actions: ClassVar[Mapping[Action, Perform]]

    def __init__(
        self,
        conn: MessageLayer,
        request: UpgradeRequest,
        *,
        limits: Limits = Limits(),
        mask: Mask | None = None,
    ) -> None:
        redactor = Redactor(request.headers)
        super().__init__(CLIENT, client=True, limits=limits, conn=conn, redactor=redactor, mask=mask)
        self._handshake: ClientHandshake | None = ClientHandshake(request, limits, redactor)

    def connect(self, now: float) -> None:
        """The socket is connected: ask for the upgrade. Raises LocalProtocolError if called twice."""
        self._machine.check(Input.CONNECT)
        assert self._handshake is not None
        self._now = now
        self._step(Input.CONNECT, Detail(data=self._handshake.request))

    def _receive(self, data: bytes) -> None:
        if self._handshake is not None and self._machine.state in _ASKING:
            for given, detail in self._handshake.receive(data):
                self._step(given, detail)
            data = self._handshake.rest
            if self._machine.state is State.OPEN:
                self._handshake = None  # with what it held: a stream may be long, and there may be thousands
        super()._receive(data)

    def _end_refused(self, _: Detail) -> None:
        assert self._handshake is not None
        self._end(Detail(error=self._handshake.rejection()))


WebSocketWire._actions = {**BaseWire._actions, Action.END_REFUSED: WebSocketWire._end_refused}


class WebSocketServerWire(BaseWire):
    """The server end: reads an upgrade request, reports it, and runs a message layer once it is accepted.

    Events: `UpgradeReceived`, then, after `accept`, those of the message layer, then `ConnectionClosed`. What
    is no upgrade request is answered with the fitting HTTP status and ends in a `ConnectionClosed`.
    """

    __slots__ = ("_early", "_handshake")

    def __init__(self, *, limits: Limits = Limits()) -> None:
        super().__init__(SERVER, client=False, limits=limits, conn=None, redactor=Redactor())
        self._handshake = ServerHandshake(limits)
        self._early = bytearray()

    def connect(self, now: float) -> None:
        """The socket is accepted: start the handshake deadline. Raises LocalProtocolError if repeated."""
        self._machine.check(Input.CONNECT)
        self._now = now
        self._step(Input.CONNECT)

    def accept(self, conn: MessageLayer, now: float, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Answer `UpgradeReceived` with 101 and run `conn` from here on.

        Raises LocalProtocolError, with nothing changed, when there is nothing to answer, and for headers that
        the handshake sets itself or that could not be sent.
        """
        self._machine.check(Input.ACCEPT)
        answer = self._handshake.acceptance(headers)
        self._conn, self._now = conn, now
        early, self._early = bytes(self._early), bytearray()
        self._step(Input.ACCEPT, Detail(data=answer))
        super()._receive(early)
        self._settle()

    def reject(
        self,
        status: int,
        now: float,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        reason: str = "",
    ) -> None:
        """Answer `UpgradeReceived` with an HTTP status from 300 to 599; the connection is then over.

        `reason` is the phrase beside the status, by default the usual one.
        Raises LocalProtocolError as `accept` does, and for a status or a phrase that cannot be sent.
        """
        self._machine.check(Input.REJECT)
        answer = self._handshake.refusal(status, headers, body, reason)
        self._now = now
        self._step(Input.REJECT, Detail(data=answer))

    def receive_data(self, data: bytes | bytearray | memoryview, now: float) -> None:
        """As for every wire. Frames that come before `accept` wait for it, up to `max_handshake_bytes`."""
        room = self._limits.max_handshake_bytes - len(self._early)
        if self._machine.state is _DECIDING and len(data) > room:
            self._now = now
            error = RemoteProtocolError("the client sent more than max_handshake_bytes before the answer")
            self._step(Input.FAULT, Detail(error=error))
        super().receive_data(data, now)

    def _receive(self, data: bytes) -> None:
        if self._machine.state is _READING_REQUEST:
            for given, detail in self._handshake.receive(data):
                self._step(given, detail)
            data = self._handshake.rest
        if self._machine.state is _DECIDING:
            self._early += data
        super()._receive(data)
