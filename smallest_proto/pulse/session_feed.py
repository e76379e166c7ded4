"""What a session sends: audio and marks, to the connection that hears them, and for how long both are kept."""

from __future__ import annotations

from smallest_proto.errors import LocalProtocolError
from smallest_proto.event_queue import EventQueue
from smallest_proto.pulse.audio_input import audio_of
from smallest_proto.pulse.commands import Audio, ClientCommand, CloseStream, Finalize, Flush, KeepAlive
from smallest_proto.pulse.continuity import Continuity
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.replay import ReplayLog
from smallest_proto.pulse.resume_policy import ResumePolicy
from smallest_proto.pulse.session_connection import SessionConnection
from smallest_proto.pulse.session_events import AudioDropped
from smallest_proto.pulse.session_states import END, REPLAY, TURN
from smallest_proto.timers import Timers

PACKET = 0.1
"""Seconds of audio in one step of a paced replay."""


class Feed:
    """The log of a session and its live connection. Works on the timers and the events of its session."""

    __slots__ = ("_events", "_format", "_policy", "_timers", "continuity", "live", "log", "options")

    def __init__(
        self, options: PulseOptions, policy: ResumePolicy, timers: Timers, events: EventQueue
    ) -> None:
        self.options = options
        self.live: SessionConnection | None = None
        self.log = ReplayLog(
            options.audio_format,
            keep_seconds=policy.keep_seconds,
            keep_bytes=policy.keep_bytes,
            overlap=policy.overlap,
        )
        self.continuity = Continuity(self.log)
        self._format = options.audio_format
        self._policy = policy
        self._timers = timers
        self._events = events

    @property
    def room(self) -> int | None:
        """See `PulseSession`."""
        heard = self.live is not None and self.live.takes_input
        return None if heard else self.log.room

    def update(self, options: PulseOptions) -> bool:
        """Take other options; whether they are others. See `PulseSession.update_options`."""
        if self.log.input_ended:
            raise LocalProtocolError("update_options is not allowed any more: the input has ended")
        for name in ("encoding", "sample_rate"):
            if (value := getattr(options, name)) != (kept := getattr(self.options, name)):
                raise LocalProtocolError(
                    f"options.{name}={value!r}: expected {kept!r}, as the audio kept for a replay; "
                    "end this session and begin another"
                )
        before, self.options = self.options, options
        return options != before

    def take(self, command: ClientCommand, now: float) -> None:
        """Note a command and send it in its turn. See `PulseSession.send`."""
        if isinstance(command, Audio):
            self._take_audio(audio_of(command, self._format), now)
            return
        if isinstance(command, Flush | Finalize | CloseStream):
            self.log.mark(command)
            if self.log.input_ended:
                self.arm_end(now)
        elif isinstance(command, KeepAlive):
            self._keep_alive(now)
            return
        else:
            raise LocalProtocolError(
                f"a session cannot send {type(command).__name__}; "
                "expected Audio, Flush, Finalize, KeepAlive, CloseStream"
            )
        self._pump(now)

    def _take_audio(self, audio: bytes, now: float) -> None:
        self.log.append(audio)
        if self.live is not None and self.live.up_to_date:
            self.live.send_audio(audio, now)  # it has all that came before: `_pump` would send the same
        if self.log.is_full:
            self._stay_within_bounds(now)

    def replay(self, connection: SessionConnection, now: float) -> None:
        """It is live now: send it what no final has covered, at the pace of the policy."""
        self.live = connection
        connection.sent = self.log.replay_from
        self.continuity.begin(connection.sent)
        if self._policy.replay_pace is not None and connection.sent < self.log.end:
            connection.replay_due = now
            self.pump_paced(now)
        else:
            self._pump(now)
            self._caught_up(now)

    def pump_paced(self, now: float) -> None:
        """Send what is due of the replay; a timer that comes late does not slow it down."""
        live, pace = self.live, self._policy.replay_pace
        assert live is not None
        assert pace is not None
        packet = self.log.position(PACKET)
        while live.replay_due is not None and live.replay_due <= now:
            live.send_up_to(min(live.sent + packet, self.log.end), self.log, now)
            live.replay_due = live.replay_due + PACKET / pace if live.sent < self.log.end else None
        if self.log.input_ended:
            self.arm_end(now)
        if live.replay_due is None:
            self._caught_up(now)
        else:
            self._timers.set(REPLAY, live.replay_due)

    def arm_end(self, now: float) -> None:
        """The input has ended, or something came since: how long the stream may still take."""
        if self._policy.end_timeout is not None:
            self._timers.set(END, now + self._policy.end_timeout)

    def drop(self, position: int) -> None:
        """Give up the audio before this position, and tell of what no final has covered."""
        self._forget(position)
        self.tell_dropped()

    def tell_dropped(self) -> None:
        """Emit `AudioDropped` if there is something to tell."""
        if (span := self.log.take_dropped()) is not None:
            self._events.append(AudioDropped(start=span[0], end=span[1]))

    def _pump(self, now: float) -> None:
        """Send the live connection what it has not got yet: audio and marks, in order."""
        if self.live is not None and self.live.replay_due is None:
            self.live.send_up_to(self.log.end, self.log, now)

    def _caught_up(self, now: float) -> None:
        if self.continuity.held:
            self._timers.set(TURN, now + self._policy.turn_timeout)

    def _keep_alive(self, now: float) -> None:
        if self.options.endpoint == "transcribe":
            raise LocalProtocolError(
                "KeepAlive is not for endpoint 'transcribe': its server does not take it"
            )
        if self.live is not None:
            self.live.keep_alive(now)

    def _stay_within_bounds(self, now: float) -> None:
        if (position := self.log.excess()) is None:
            return
        if self.live is None:
            self.drop(position)
            return
        # however slow a replay is to be, nothing is lost by it
        self.live.send_up_to(position, self.log, now)
        self._forget(position)

    def _forget(self, position: int) -> None:
        self.continuity.age(position)
        self.log.forget(position)
