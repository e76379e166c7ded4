"""A Lightning connection at the message level: fits over any WebSocket library, or under `WebSocketWire`."""

from __future__ import annotations

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Role
from smallest_proto.lightning.client import ClientEnd
from smallest_proto.lightning.commands import ClientCommand, ServerCommand
from smallest_proto.lightning.decode import Base64
from smallest_proto.lightning.options import LightningOptions
from smallest_proto.lightning.server import ServerEnd
from smallest_proto.message_layer import QueuedLayer


class LightningConnection(QueuedLayer):
    """Syntheses over one WebSocket, one after the other, from either end. Does no I/O and reads no clock.

    `now` is seconds on any monotonic clock, the same one throughout. After every call: write what
    `messages_to_send` returns, take `next_event` until NEED_DATA, close the WebSocket once `close_requested`
    is set, and call `handle_timeout` when `next_deadline` has come. The last event is `ConnectionClosed`.

    Client: `send` takes `SendText` and `FinishContext`, or `Speak` with `text_mode="segment"`, and the other
    commands of a client. When a synthesis has ended, look at `reusable`: one that failed, was cancelled or is
    unconfirmed may leave frames behind that nobody could tell from the next one's.

    Server: `send` takes `SendAudio`, `SendWord`, `SendComplete`, `SendError`. Of the options only
    `idle_timeout` counts, 60 s when None: what to synthesise comes with every message, as `SynthesisSetup`.
    `session_id` goes into every message to the client; choose one for each connection.

    base64: client: what decodes the audio, if you have it faster than msgspec, such as `pybase64.b64decode` with
        `validate=True`. It takes base64 of RFC 4648 section 4, padded, and raises ValueError for anything else.
    """

    __slots__ = ("_end", "options", "role")

    def __init__(
        self,
        options: LightningOptions,
        role: Role = Role.CLIENT,
        *,
        session_id: str = "ws_1",
        base64: Base64 | None = None,
    ) -> None:
        super().__init__(options.heartbeat if role is Role.CLIENT else None)
        self.options = options
        self.role = role
        self._end: ClientEnd | ServerEnd
        if role is Role.SERVER:
            self._end = ServerEnd(self, options, session_id)
        else:
            self._end = ClientEnd(self, options, base64)

    @property
    def reusable(self) -> bool:
        """Whether nothing is being synthesised and another synthesis may begin on this connection."""
        return self._end.reusable

    @property
    def context_id(self) -> str | None:
        """The id of the active synthesis, None when there is none; on the server, "" if it has no id."""
        return self._end.context_id

    def send(self, command: ClientCommand | ServerCommand, now: float) -> None:
        """Queue what the command stands for.

        Raises LocalProtocolError when it is not allowed in this state, or is malformed (empty text, an id
        that was used, a piece of a sample); then nothing has changed.
        """
        self._end.send(command, now)

    def receive_open(self, now: float) -> None:
        """The WebSocket is open. Optional here: timers then count from now, not from the first message."""
        self._end.receive_open(now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """One whole message from the peer, text as str and binary as bytes. Never raises for its content."""
        self._end.receive_message(message, now)

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        """The WebSocket is gone: its close code (1005 for a close without one, 1006 for none) and reason.

        `error` is what a lower level knows better, such as a refused upgrade.
        """
        self._end.receive_close(code, reason, now, error)

    def close(self, now: float) -> None:
        """Give the connection up: an active synthesis is cancelled, and `close_requested` is set."""
        self._end.close(now)

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed. An early call is harmless."""
        self._end.handle_timeout(now)
