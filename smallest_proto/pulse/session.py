"""A Pulse stream that outlives its sockets. Pure: the driver owns the sockets and the clock.

The driver's contract, whole:

1. After every call below, and at the start: for each `connection` from `session.next_connection()` until None,
   open a socket, put a `WebSocketWire(connection, pulse_request(connection.options, ...))` on it and run that
   as ever until it is `finished`. If no socket comes about, say so:
   `connection.receive_close(1006, "", now, error=error)`. Two may run at the same time.
2. After every call: write what each wire's `data_to_send` has, and take `session.next_event()` until NEED_DATA.
   The wire's own events mean nothing here; drain them.
3. While no wire runs, call `session.handle_timeout` at `session.next_deadline()`. Where one runs, its deadlines
   include the session's.
4. `ConnectionClosed` is the last event; `session.closed` is then set, and the wires close by themselves.

Whether to dial again, when, what to send and what to tell is the session's; the driver decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import msgspec

from smallest_proto.checks import refuse
from smallest_proto.errors import LocalProtocolError, ProtocolError
from smallest_proto.event_queue import EventQueue
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Need, UnknownMessage
from smallest_proto.limits import Limits
from smallest_proto.machine import Machine
from smallest_proto.pulse.commands import ClientCommand
from smallest_proto.pulse.events import FinalTranscript, SpeechEnded, StreamEnded, Usage
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.resume_policy import ResumePolicy
from smallest_proto.pulse.session_connection import ClosedBy, SessionConnection
from smallest_proto.pulse.session_ends import ENDS, Attempts, Cause, cause_of
from smallest_proto.pulse.session_events import MigrationFailed, Reconnecting, Resumed
from smallest_proto.pulse.session_feed import Feed
from smallest_proto.pulse.session_states import (
    DIAL,
    DUE,
    HANDOVER,
    LOSSES,
    REPLAY,
    SESSION,
    SESSION_EXTERNAL,
    TURN,
    SessionAction,
    SessionInput,
    SessionState,
)
from smallest_proto.timers import Timers


class PulseSession:
    """One stream over as many connections as it takes: client side, `Audio` in, transcripts out.

    `send` takes what a `PulseConnection` takes, whether or not a connection is up. Audio is kept until a final
    has covered it, and replayed to the next connection when one is lost. All times in events are seconds from
    the first audio of the session, no final comes twice, and a turn that was open goes on. Beyond the events
    of a connection there are `Reconnecting`, `Resumed`, `AudioDropped` and `MigrationFailed`; `Usage` includes
    what is sent again, and `session_id` and `full_transcript` are those of the connection that says them.

    options: those of the stream. Audio without fixed width (`opus`, `ogg_opus`) cannot be cut by time, so it
        cannot be replayed: ValueError; use a `PulseConnection`.
    random: returns a number from 0 up to 1, for the waits between dials.

    See the module for what the driver has to do.
    """

    __slots__ = (
        "__weakref__",
        "_attempts",
        "_closed",
        "_continuity",
        "_events",
        "_feed",
        "_limits",
        "_log",
        "_machine",
        "_next",
        "_policy",
        "_random",
        "_timers",
        "_to_dial",
    )

    _do: ClassVar[Mapping[SessionAction, Callable[[PulseSession, Cause], None]]]

    def __init__(
        self,
        options: PulseOptions,
        *,
        policy: ResumePolicy = ResumePolicy(),
        limits: Limits = Limits(),
        random: Callable[[], float],
    ) -> None:
        if not options.audio_format.sample_width:
            accepted = "an encoding of fixed width; others cannot be replayed, use a PulseConnection"
            raise refuse("options.encoding", options.encoding, accepted)
        self._policy = policy
        self._limits = limits
        self._random = random
        self._machine = Machine(SESSION, SessionState.DIALLING, SESSION_EXTERNAL)
        self._timers = Timers()
        self._events = EventQueue()
        self._feed = Feed(options, policy, self._timers, self._events)
        self._log = self._feed.log
        self._continuity = self._feed.continuity
        self._attempts = Attempts(policy)
        self._to_dial: list[SessionConnection] = []
        self._next: SessionConnection | None = None
        self._closed: ConnectionClosed | None = None
        self._dial(Cause(0.0))

    @property
    def options(self) -> PulseOptions:
        """What is asked for, by the next connection at the latest."""
        return self._feed.options

    @property
    def state(self) -> SessionState:
        """Where the session stands."""
        return self._machine.state

    @property
    def session_id(self) -> str:
        """The server's id for the connection that hears the audio, "" when there is none."""
        return self._live.session_id if self._live is not None else ""

    @property
    def closed(self) -> ConnectionClosed | None:
        """The last event, from the moment it is emitted, whether or not it was handed out yet."""
        return self._closed

    @property
    def kept_seconds(self) -> float:
        """How much audio is kept for a replay."""
        return self._log.seconds(self._log.end) - self._log.seconds(self._log.start)

    @property
    def takes_input(self) -> bool:
        """Whether `send` takes anything: neither the session nor its input has ended."""
        return self._closed is None and not self._log.input_ended

    @property
    def is_heard(self) -> bool:
        """Whether audio that is sent now goes straight to a connection: `send` takes it, and `room` is None."""
        live = self._feed.live
        return live is not None and live.takes_input and self._closed is None and not self._log.input_ended

    @property
    def room(self) -> int | None:
        """Bytes of audio that can be taken before some must be dropped; None while a connection hears it."""
        return self._feed.room

    # -- the caller's side

    def send(self, command: ClientCommand, now: float) -> None:
        """Take a command, to be sent in its turn: at once, or by a later connection.

        `KeepAlive` is for the connection there is, and forgotten when there is none. Raises LocalProtocolError,
        with nothing changed, when the session or its input has ended, or for a malformed command.
        """
        if self._closed is not None or self._log.input_ended:
            what = "the session" if self._closed is not None else "its input"
            raise LocalProtocolError(f"{type(command).__name__} is not allowed any more: {what} has ended")
        self._feed.take(command, now)

    def update_options(self, options: PulseOptions, now: float) -> None:
        """Go on with these options; audio sent from here on is heard under them.

        The connection there is gives its last finals, for `handover_timeout` at most; meanwhile another one is
        dialled, and is sent what no final has covered. The same options again change nothing.
        Raises LocalProtocolError, with nothing changed, when the session or its input has ended, and for
        another encoding or sample rate: what is kept is in the old one, so that takes another session.
        """
        row = self._machine.check(SessionInput.UPDATE)
        if not self._feed.update(options):
            return
        for action in self._machine.commit(row):
            self._do[action](self, Cause(now))

    def migrate(self, now: float) -> None:
        """Move to another connection while this one still works: for servers that drain, and long calls.

        The other is opened first; then this one gives its last finals, for `handover_timeout` at most. Ends in
        `Resumed`, or in `MigrationFailed` with everything as before. Changes nothing while one is on its way
        or once the input has ended. Raises LocalProtocolError when the session has ended.
        """
        row = self._machine.check(SessionInput.MIGRATE)
        if not self._log.input_ended:
            for action in self._machine.commit(row):
                self._do[action](self, Cause(now))

    def close(self, now: float) -> None:
        """Give the session up. An open turn ends, `StreamEnded` says `abandoned`; a second call does nothing."""
        ended = StreamEnded(confirmed=False, reason="abandoned")
        self._step(SessionInput.ABANDON, Cause(now, ended=ended))

    # -- the driver's side

    def next_connection(self) -> SessionConnection | None:
        """A connection to dial now, None for none. Each is handed out once."""
        return self._to_dial.pop(0) if self._to_dial else None

    def next_event(self) -> Event | Literal[Need.DATA]:
        """The next event, or NEED_DATA."""
        return self._events.popleft() if self._events else NEED_DATA

    def next_deadline(self) -> float | None:
        """When `handle_timeout` has something to do; None for never."""
        return self._timers.next_deadline()

    def handle_timeout(self, now: float) -> None:
        """Act on the deadlines that have passed. An early call is harmless."""
        while (at := self._timers.next_deadline()) is not None and at <= now:
            for name in self._timers.pop_expired(at):
                if self._closed is None:  # one of them may have been the end
                    self._expire(name, now)

    def _expire(self, name: str, now: float) -> None:
        if name == REPLAY:
            self._feed.pump_paced(now)
        elif name != TURN:
            self._step(DUE[name], Cause(now))
        elif self._continuity.held:
            self._events.extend(self._continuity.end_turn())

    # -- what the connections tell

    @property
    def _live(self) -> SessionConnection | None:
        return self._feed.live

    def _opened(self, connection: SessionConnection, now: float) -> None:
        if connection is self._next:
            self._step(SessionInput.NEXT_OPENED, Cause(now))

    def _answered(self, connection: SessionConnection, position: int) -> None:
        if connection is self._live:
            self._continuity.cover(position)

    def _heard(self, connection: SessionConnection, events: list[Event], now: float) -> None:
        is_live = connection is self._live
        if not is_live and connection is not self._next:
            return  # it was let go of
        end = None
        for event in events:
            if isinstance(event, ENDS):
                end = event
                break
        ended_turns: list[Event] = []
        finals = self._continuity.finals
        for event in events:
            if isinstance(event, _OF_ANY):
                self._events.append(event)
            elif end is not None and isinstance(event, SpeechEnded):
                ended_turns.append(event)  # the end of a connection need not be the end of the turn
            elif is_live and not isinstance(event, ENDS):
                self._tell(event, connection)
        if self._continuity.finals != finals:
            self._attempts.progress()
            if self._log.input_ended:
                self._feed.arm_end(now)
        if end is not None:
            self._end_of(connection, end, ended_turns, now)

    def _tell(self, event: Event, connection: SessionConnection) -> None:
        for told in self._continuity.take(event, connection.sent):
            if isinstance(told, FinalTranscript) and told.is_last and connection.closed_by is not _CALLER:
                told = msgspec.structs.replace(told, is_last=False)
            self._events.append(told)

    def _end_of(
        self, connection: SessionConnection, end: Event, ended_turns: list[Event], now: float
    ) -> None:
        if isinstance(end, StreamEnded):
            if connection.closed_by is _CALLER:
                for event in ended_turns:
                    self._tell(event, connection)
                self._step(SessionInput.FINISHED, Cause(now, ended=end))
                return
            if connection.closed_by is not None:
                if end.confirmed:
                    self._continuity.cover(connection.sent)
                self._step(SessionInput.LIVE_RETIRED, Cause(now))
                return
        cause = cause_of(end, now)
        resumes = self._attempts.may_follow(end, cause, connection.opened_at)
        self._step(LOSSES[connection is self._live, resumes], cause)

    # -- the table and its actions

    def _step(self, given: SessionInput, cause: Cause) -> None:
        for action in self._machine.step(given):
            self._do[action](self, cause)

    def _dial(self, _: Cause) -> None:
        self._next = SessionConnection(self, self._feed.options, self._limits)
        self._to_dial.append(self._next)

    def _back_off(self, cause: Cause) -> None:
        delay = self._attempts.delay(cause.error, self._random())
        self._timers.set(DIAL, cause.now + delay)
        self._tell_reconnecting(delay, cause.error)

    def _tell_lost(self, cause: Cause) -> None:
        self._tell_reconnecting(0.0, cause.error)

    def _tell_reconnecting(self, delay: float, error: ProtocolError) -> None:
        self._events.append(Reconnecting(attempt=self._attempts.begin(), delay=delay, error=error))

    def _tell_staying(self, cause: Cause) -> None:
        self._discard_next(cause)
        self._events.append(MigrationFailed(error=cause.error))

    def _discard_next(self, cause: Cause) -> None:
        connection, self._next = self._next, None
        self._release(connection, cause.now)

    def _leave_live(self, cause: Cause) -> None:
        connection, self._feed.live = self._live, None
        assert connection is not None
        self._timers.clear(REPLAY, TURN, HANDOVER)
        self._continuity.leave(connection.sent)
        self._release(connection, cause.now)
        self._feed.tell_dropped()

    def _release(self, connection: SessionConnection | None, now: float) -> None:
        if connection is None:
            return
        if connection in self._to_dial:
            self._to_dial.remove(connection)
        self._events.extend(e for e in connection.release(now) if isinstance(e, Usage))

    def _retire_live(self, cause: Cause) -> None:
        assert self._live is not None
        self._timers.clear(REPLAY)
        # cut in the middle of a replay, words would come out that fit nothing said before
        replaying = self._live.replay_due is not None
        self._live.retire(cause.now, ask=not replaying)
        patience = 0.0 if replaying else self._policy.handover_timeout
        self._timers.set(HANDOVER, cause.now + patience)

    def _promote(self, cause: Cause) -> None:
        connection, self._next = self._next, None
        assert connection is not None
        if (attempt := self._attempts.succeed()) is not None:
            start, end = self._log.seconds(self._log.replay_from), self._log.seconds(self._log.end)
            self._events.append(Resumed(attempt=attempt, replayed=end - start, start=start))
        self._feed.replay(connection, cause.now)

    def _fail(self, cause: Cause) -> None:
        self._events.extend(cause.told)
        self._end(cause, heard=self._log.covered)
        closed = ConnectionClosed(code=cause.code, reason=cause.reason, expected=False, error=cause.error)
        self._last_event(closed)

    def _finish(self, cause: Cause) -> None:
        self._end(cause, heard=self._live.sent if self._live is not None else self._log.covered)
        self._events.append(cause.ended)
        self._last_event(ConnectionClosed(code=1000, expected=True))

    def _end(self, cause: Cause, *, heard: int) -> None:
        live, following = self._live, self._next
        self._feed.live = self._next = None
        self._release(live, cause.now)
        self._release(following, cause.now)
        self._timers.clear()
        if self._feed.options.compat == "default":  # the seed leaves its last turn open
            self._events.extend(self._continuity.end_turn())
        self._log.cover(heard, exact=True)
        self._feed.drop(self._log.end)

    def _last_event(self, closed: ConnectionClosed) -> None:
        self._closed = closed
        self._events.append(closed)


PulseSession._do = {
    SessionAction.DIAL: PulseSession._dial,
    SessionAction.BACK_OFF: PulseSession._back_off,
    SessionAction.TELL_LOST: PulseSession._tell_lost,
    SessionAction.TELL_STAYING: PulseSession._tell_staying,
    SessionAction.DISCARD_NEXT: PulseSession._discard_next,
    SessionAction.LEAVE_LIVE: PulseSession._leave_live,
    SessionAction.RETIRE_LIVE: PulseSession._retire_live,
    SessionAction.PROMOTE: PulseSession._promote,
    SessionAction.FAIL: PulseSession._fail,
    SessionAction.FINISH: PulseSession._finish,
}


_CALLER = ClosedBy.CALLER
_OF_ANY = (Usage, UnknownMessage)
"""Told whichever connection they are of."""
