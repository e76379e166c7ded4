"""What the byte level needs of a protocol: the one interface between frames and meaning."""

from __future__ import annotations

from typing import Literal, Protocol

from smallest_proto.errors import ProtocolError
from smallest_proto.event_queue import EventQueue
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Need
from smallest_proto.timers import Timers


class MessageLayer(Protocol):
    """Implemented by `PulseConnection` and `LightningConnection`; drive it over any WebSocket library.

    The caller's duties, after every call that may have changed something: send what `messages_to_send`
    returns (str as a text message, bytes as a binary one), hand out `next_event` until NEED_DATA, close the
    WebSocket when `close_requested` is not None, and call `handle_timeout` once `next_deadline` has come.
    Nothing here raises because of what a peer sent.
    """

    @property
    def heartbeat(self) -> float | None:
        """Seconds of silence after which the byte level pings; None for never. Asked once, at the opening."""

    @property
    def close_requested(self) -> tuple[int, str] | None:
        """Close code and reason once this layer wants the WebSocket closed, else None."""

    def receive_open(self, now: float) -> None:
        """The WebSocket is open: timers that count from there start."""

    def receive_message(self, message: str | bytes, now: float) -> None:
        """One whole message from the peer, text as str and binary as bytes."""

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        """The WebSocket is closed, by whomever; 1006 without a close frame. Further calls change nothing."""

    def close(self, now: float) -> None:
        """Give up from our side: everything open is ended, and `close_requested` becomes set."""

    def messages_to_send(self) -> list[str | bytes]:
        """The messages to write now, in order. Each is handed out once."""

    def next_event(self) -> Event | Literal[Need.DATA]:
        """The next event, or NEED_DATA."""

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do; None for never."""

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed. An early call is harmless."""


class QueuedLayer:
    """The half of a `MessageLayer` that is the same for every protocol: queues, timers and the wish to close.

    heartbeat: seconds of silence after which the byte level pings; None for never.
    close_requested: close code and reason once this layer wants the WebSocket closed, else None.
    closed: the last event, from the moment it is emitted, whether or not it was handed out yet.

    All are to be read. `outbox`, `events`, `timers`, `request_close` and `finish` are for the protocol's own code.
    """

    __slots__ = ("__weakref__", "close_requested", "closed", "events", "heartbeat", "outbox", "timers")

    def __init__(self, heartbeat: float | None) -> None:
        self.heartbeat = heartbeat
        self.close_requested: tuple[int, str] | None = None
        self.closed: ConnectionClosed | None = None
        self.outbox: list[str | bytes] = []
        self.events = EventQueue()
        self.timers = Timers()

    def messages_to_send(self) -> list[str | bytes]:
        """The messages to write now, in order: str as text, bytes as binary. Each is handed out once."""
        outbox, self.outbox = self.outbox, []
        return outbox

    def next_event(self) -> Event | Literal[Need.DATA]:
        """The next event, or NEED_DATA: then feed more messages or wait for the next deadline."""
        return self.events.popleft() if self.events else NEED_DATA

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do, on the clock that `now` comes from; None for never."""
        return self.timers.next_deadline()

    def request_close(self, code: int = 1000, reason: str = "") -> None:
        """Ask for the WebSocket to be closed once everything queued is written. The first to ask says why."""
        if self.close_requested is None:
            self.close_requested = code, reason

    def finish(self, closed: ConnectionClosed) -> None:
        """Emit the last event; no deadline and no message outlives it."""
        self.closed = closed
        self.timers.clear()
        self.outbox.clear()
        self.events.append(closed)
