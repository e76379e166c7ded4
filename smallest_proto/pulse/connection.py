"""A Pulse stream at the message level: fits over any WebSocket library, or under `WebSocketWire`."""

from __future__ import annotations

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Role
from smallest_proto.limits import Limits
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.pulse.client import ClientEnd
from smallest_proto.pulse.commands import ClientCommand, ServerCommand
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.server import ServerEnd


class PulseConnection(QueuedLayer):
    """One stream over one WebSocket, from either end. Does no I/O and reads no clock.

    `now` is seconds on any monotonic clock, the same one throughout. After every call: write what
    `messages_to_send` returns, take `next_event` until NEED_DATA, close the WebSocket once `close_requested`
    is set, and call `handle_timeout` when `next_deadline` has come. The last event is `ConnectionClosed`.

    Client: `send` takes `Audio`, `Flush`, `Finalize`, `KeepAlive`, `CloseStream`. Server: `send` takes
    `TranscriptMessage`, `VadMessage`, `ErrorMessage`.

    previous: the connection that this one replaces after a change of options; close it first. The audio not
    cut into packets yet and the clock of the times carry over; with `compat="seed"` the open turn and the
    usage not reported yet do instead.
    """

    __slots__ = ("_end", "options", "role")

    def __init__(
        self,
        options: PulseOptions,
        role: Role = Role.CLIENT,
        *,
        limits: Limits = Limits(),
        previous: PulseConnection | None = None,
    ) -> None:
        super().__init__(options.heartbeat if role is Role.CLIENT else None)
        self.options = options
        self.role = role
        self._end: ClientEnd | ServerEnd
        if role is Role.SERVER:
            self._end = ServerEnd(self, options)
        else:
            before = previous._end if previous is not None else None
            self._end = ClientEnd(self, options, limits, before if isinstance(before, ClientEnd) else None)

    @property
    def session_id(self) -> str:
        """The server's id for this stream, "" until its first message."""
        return self._end.session_id

    @property
    def finalizes_outstanding(self) -> int:
        """Client: how many `Finalize` no final has answered yet. An empty answer makes no event."""
        return self._end.finalizes_outstanding

    def send(self, command: ClientCommand | ServerCommand, now: float) -> None:
        """Queue what the command stands for.

        Raises LocalProtocolError when it is not allowed in this state, or is malformed (empty audio, a
        piece of a sample); then nothing has changed.
        """
        self._end.send(command, now)

    def send_checked_audio(self, audio: bytes, now: float) -> None:
        """Client: as `send(Audio(audio))`, for audio that was found to be whole samples already."""
        assert isinstance(self._end, ClientEnd)
        self._end.send_checked_audio(audio, now)

    def receive_open(self, now: float) -> None:
        """The WebSocket is open. Optional at this level: timers then count from here, not the first call."""
        self._end.receive_open(now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """One whole message from the peer: str for text, bytes for binary. Never raises for its content."""
        self._end.receive_message(message, now)

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        """The WebSocket is gone: its close code (1005 for a close without one, 1006 for none) and reason.

        `error` is what a lower level knows better, such as a refused upgrade.
        """
        self._end.receive_close(code, reason, now, error)

    def close(self, now: float) -> None:
        """Give the stream up. An open turn ends, `StreamEnded` says `abandoned`, `close_requested` is set."""
        self._end.close(now)

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed. An early call is harmless."""
        self._end.handle_timeout(now)
