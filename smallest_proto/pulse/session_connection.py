"""One connection of a session: a `PulseConnection` towards its wire, and the session's eyes and hands there."""

from __future__ import annotations

from enum import Enum
from typing import Literal, Protocol

from smallest_proto.errors import ProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Need, ServerErrorReceived
from smallest_proto.limits import Limits
from smallest_proto.pulse.commands import CloseStream, Finalize, KeepAlive
from smallest_proto.pulse.connection import PulseConnection
from smallest_proto.pulse.decode import answers_finalize
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.replay import Mark, ReplayLog

_FOR_THE_WIRE = (ServerErrorReceived, ConnectionClosed)


class ClosedBy(Enum):
    """For whom `close_stream` was sent on a connection."""

    CALLER = "the input has ended"
    SESSION = "another connection takes over"


class Owner(Protocol):
    """What a connection asks of its session and tells it."""

    def next_deadline(self) -> float | None:
        """When the session has something to do."""

    def handle_timeout(self, now: float) -> None:
        """Have it done."""

    def _opened(self, connection: SessionConnection, now: float) -> None:
        """It can be used."""

    def _heard(self, connection: SessionConnection, events: list[Event], now: float) -> None:
        """It has something to say."""

    def _answered(self, connection: SessionConnection, position: int) -> None:
        """The server has answered the finalize at this position, and says so."""


class SessionConnection(PulseConnection):
    """Give it to a `WebSocketWire`, or drive it as any `MessageLayer`; `receive_open` is then not optional.

    Its events are the session's: take them from `PulseSession.next_event`. `next_event` here has only what
    carries a server's error, for the wire to hide the API key in, and `ConnectionClosed`: drain it, ignore it.
    What it sends is the session's, too: give commands to `PulseSession.send`.
    `options` are what its request is made from.
    """

    __slots__ = (
        "_finalizes",
        "_for_the_wire",
        "_owner",
        "closed_by",
        "last_serial",
        "opened_at",
        "replay_due",
        "sent",
    )

    def __init__(self, owner: Owner, options: PulseOptions, limits: Limits) -> None:
        super().__init__(options, limits=limits)
        self.sent = 0
        self.last_serial = 0
        self.opened_at: float | None = None
        self.closed_by: ClosedBy | None = None
        self.replay_due: float | None = None
        self._owner = owner
        self._finalizes: list[int] | None = None
        self._for_the_wire: list[Event] | None = None

    # -- towards the wire

    def receive_open(self, now: float) -> None:
        """The WebSocket is open."""
        super().receive_open(now)
        self.opened_at = now
        self._owner._opened(self, now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """One whole message from the server: str for text, bytes for binary."""
        outstanding = self.finalizes_outstanding if self._finalizes else 0
        self._end.receive_message(message, now)
        self._hand_in(now)
        if outstanding and self.finalizes_outstanding < outstanding:
            self._answered(message)

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        """The WebSocket is gone, or could not be opened: then code 1006, and `error` says why."""
        super().receive_close(code, reason, now, error=error)
        self._hand_in(now)

    def close(self, now: float) -> None:
        """Give up this connection. To the session it is lost: to end that, call the session's `close` first."""
        super().close(now)
        self._hand_in(now)

    def next_event(self) -> Event | Literal[Need.DATA]:
        """Nothing for you: see the class."""
        return self._for_the_wire.pop(0) if self._for_the_wire else NEED_DATA

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do, for this connection or for its session."""
        own, other = self.timers.next_deadline(), self._owner.next_deadline()
        return other if own is None or (other is not None and other < own) else own

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed, the session's included. An early call is harmless."""
        super().handle_timeout(now)
        self._hand_in(now)
        self._owner.handle_timeout(now)

    # -- towards the session

    @property
    def takes_input(self) -> bool:
        """Whether it may be sent more: `close_stream` was not."""
        return self.closed_by is None

    @property
    def up_to_date(self) -> bool:
        """Whether it is sent everything at once: no replay is under way, and `close_stream` was not sent."""
        return self.replay_due is None and self.takes_input

    def send_audio(self, audio: bytes, now: float) -> None:
        """Audio that was checked, and that follows what was sent."""
        self.send_checked_audio(audio, now)
        self.sent += len(audio)
        if self.events:  # usage
            self._hand_in(now)

    def send_up_to(self, end: int, log: ReplayLog, now: float) -> None:
        """The audio and the marks of the log that it has not got yet, unless it gives its last finals."""
        if not self.takes_input:
            return
        for mark in log.marks_after(self.last_serial):
            if mark.position > end:
                break
            self._send_audio_up_to(mark.position, log, now)
            self._send_mark(mark, now)
        if self.takes_input:
            self._send_audio_up_to(end, log, now)

    def _send_audio_up_to(self, end: int, log: ReplayLog, now: float) -> None:
        if self.sent < end:
            self.send_audio(log.read(self.sent, end), now)

    def _send_mark(self, mark: Mark, now: float) -> None:
        self.last_serial = mark.serial
        self.send(mark.command, now)
        if isinstance(mark.command, Finalize):
            self._finalizes = [*(self._finalizes or ()), mark.position]
        elif isinstance(mark.command, CloseStream):
            self.closed_by = ClosedBy.CALLER
        self._hand_in(now)

    def keep_alive(self, now: float) -> None:
        """Send a keepalive, unless nothing may be sent any more."""
        if self.takes_input:
            self.send(KeepAlive(), now)

    def retire(self, now: float, *, ask: bool) -> None:
        """Send no more; ask for the last finals if wanted, unless that was done already."""
        if self.takes_input:
            self.closed_by = ClosedBy.SESSION
            if ask:
                self.send(CloseStream(), now)

    def release(self, now: float) -> list[Event]:
        """Close it if it is open; what it has still to say, which is no transcript."""
        super().close(now)
        return self._drain()

    def _answered(self, message: str | bytes) -> None:
        """Without the mark, it may be a final that was on its way before the finalize [probe stt]."""
        if answers_finalize(message):
            assert self._finalizes
            self._owner._answered(self, self._finalizes.pop(0))

    def _hand_in(self, now: float) -> None:
        if self.events:
            self._owner._heard(self, self._drain(), now)

    def _drain(self) -> list[Event]:
        events = self.events.take_all()
        for event in events:
            if isinstance(event, _FOR_THE_WIRE):
                self._for_the_wire = [*(self._for_the_wire or ()), event]
        return events
