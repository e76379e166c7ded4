"""The protocol that the conformance suite speaks with those it tests: every message comes back as it was."""

from __future__ import annotations

from smallest_proto.errors import ProtocolError
from smallest_proto.events import ConnectionClosed
from smallest_proto.message_layer import QueuedLayer


class EchoLayer(QueuedLayer):
    """A `MessageLayer` that sends each message back, text as text and binary as binary."""

    def __init__(self) -> None:
        super().__init__(heartbeat=None)

    def receive_open(self, now: float) -> None:
        """Nothing to say."""

    def receive_message(self, message: str | bytes, now: float) -> None:
        """Send it back."""
        self.outbox.append(message)

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        """Report the end."""
        self.finish(ConnectionClosed(code=code, reason=reason, expected=error is None, error=error))

    def close(self, now: float) -> None:
        """Ask for a close without more ado."""
        self.request_close()

    def handle_timeout(self, now: float) -> None:
        """There are no timers."""
