"""One stream of events out of those of several connections: one clock, one turn, nothing final twice.

Also where the log learns what is covered. With word times, a final covers up to the end of its last word.
Without, an answer marked `from_finalize` covers what was sent before the finalize, and a pause reported by the
server's VAD is covered by the first final after the speech that followed it, or else by the second final; what
lies between is recognised again after a drop, and its words are known by their text.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import takewhile
from typing import NamedTuple

import msgspec

from smallest_proto.events import Event
from smallest_proto.pulse.events import FinalTranscript, InterimTranscript, SpeechEnded, SpeechStarted
from smallest_proto.pulse.repeats import Repeats, split_text
from smallest_proto.pulse.replay import ReplayLog
from smallest_proto.pulse.transcript import shift_utterances, shift_words

TIME_SLACK = 0.5
"""Seconds by which a word may end after the audio sent; later ones are nonsense and cover nothing. Ours."""


VAD_SLACK = 0.1
"""Seconds by which the VAD may tell the same edge later when it hears it again. Ours."""


MOST_SAID = 2000
"""Words remembered; a minute of fast speech is 300, or 400 characters of Chinese."""


class _Said(NamedTuple):
    """A word of a final, the `serial`th of all: its end in seconds, None when unknown, what was sent then."""

    serial: int
    token: str
    end: float | None
    sent: int


class Continuity:
    """Translates the events of the live connection; tells the log what is covered.

    `held` says that the turn was open when the connection before was lost, and has not gone on since.
    """

    __slots__ = (
        "_doubtful_serial",
        "_early_start",
        "_final_since_pause",
        "_last_end",
        "_log",
        "_lost_at",
        "_offset",
        "_old_until",
        "_pause",
        "_pause_serial",
        "_repeats",
        "_said",
        "_serial",
        "_settled",
        "_settled_serial",
        "_turn_open",
        "_turn_since",
        "_unproven",
        "_vad_until",
        "finals",
        "held",
    )

    def __init__(self, log: ReplayLog) -> None:
        self._log = log
        self._said: list[_Said] = []
        self._offset = 0.0
        self._repeats: Repeats | None = None
        self._unproven = False
        self._early_start: SpeechStarted | None = None
        self._turn_open = False
        self._lost_at = 0.0
        self._turn_since = 0.0
        self._last_end: float | None = None
        self._vad_until = -VAD_SLACK  # it has told nothing yet
        self._old_until = 0.0
        self._pause: float | None = None
        self._pause_serial = 0
        self._final_since_pause = False
        self._settled: float | None = None
        self._settled_serial = 0
        self._doubtful_serial = 0
        self._serial = 0
        self.held = False
        self.finals = 0

    def begin(self, start: int) -> None:
        """Another connection is live, and hears the audio from this position on."""
        self._offset = self._log.seconds(start)
        self._said = [s for s in self._said if s.end is None or s.end > self._offset]
        if self._repeats is not None:  # on the first connection nothing is a repeat
            self._old_until = max(self._log.seconds(self._log.covered), self._vad_until + VAD_SLACK)
        expected = [said.token for said in self._said]
        doubtful = sum(said.serial <= self._doubtful_serial for said in self._said)
        self._repeats = Repeats(self._log.seconds(self._log.covered), expected, doubtful)
        self._unproven = bool(expected)
        self._pause = self._settled = None

    def leave(self, sent: int) -> None:
        """The live connection is gone, after so much audio. A turn that is open stays open."""
        self._early_start = None
        self.held = self._turn_open
        self._lost_at = self._log.seconds(sent)

    def end_turn(self) -> list[Event]:
        """Nothing more will come of the open turn, if there is one."""
        self.held = False
        if not self._turn_open:
            return []
        self._turn_open = False
        return [SpeechEnded(time=self._last_end)]

    def take(self, event: Event, sent: int) -> list[Event]:
        """An event of the live connection, to which the audio up to `sent` has gone."""
        if isinstance(event, FinalTranscript):
            return self._final(event, sent)
        if isinstance(event, InterimTranscript):
            return self._interim(event)
        if isinstance(event, SpeechStarted):
            return self._start(event)
        assert isinstance(event, SpeechEnded)  # the session keeps the rest
        return self._end(event)

    def cover(self, position: int) -> None:
        """The server has said that everything before this position is final."""
        # in the middle of a replay, what has not come again lies behind
        left = self._repeats.left if self._repeats is not None else 0
        del self._said[: max(0, len(self._said) - left)]
        self._log.cover(position, exact=True)

    def age(self, position: int) -> None:
        """The audio before this position has to go. Finals without times that came since have covered it."""
        self._unsay(lambda said: said.sent <= position)
        if self._said and self._said[-1].end is None:
            self._log.cover(max(position, self._log.covered), exact=True)

    def _start(self, event: SpeechStarted) -> list[Event]:
        event = msgspec.structs.replace(event, time=self._shifted(event.time))
        if event.source == "vad":
            self._settle(self._serial)
            repeated = event.time is not None and event.time < self._old_until
            self._vad_until = max(self._vad_until, event.time or 0.0)
        else:
            repeated = self._unproven
        if repeated:
            self._early_start = event
            return []
        return self._begin_turn(event)

    def _begin_turn(self, event: SpeechStarted) -> list[Event]:
        ended: list[Event] = []
        if self.held and event.time is not None and event.time > self._lost_at:
            ended = self.end_turn()
        self._unproven = self.held = False
        if self._turn_open:
            return []
        self._turn_open = True
        self._turn_since = self._vad_until + VAD_SLACK if event.time is None else event.time
        self._last_end = None
        return [*ended, event]

    def _prove(self, time: float | None) -> list[Event]:
        """Something new was said: a start of speech that could have been a repeat was none."""
        event, self._early_start = self._early_start, None
        if event is not None:
            inferred = event.source == "inferred"
            return self._begin_turn(msgspec.structs.replace(event, time=time) if inferred else event)
        self._unproven = self.held = False
        return []

    def _end(self, event: SpeechEnded) -> list[Event]:
        event = msgspec.structs.replace(event, time=self._shifted(event.time))
        self._early_start = None
        if event.source == "vad":
            if self._final_since_pause:
                self._settle(self._pause_serial)
            self._pause, self._pause_serial, self._final_since_pause = event.time, self._serial, False
            # of a turn before the one that was open when the connection was lost
            repeated = event.time is not None and event.time < min(self._turn_since, self._old_until)
            self._vad_until = max(self._vad_until, event.time or 0.0)
        else:
            repeated = self._unproven
        if repeated or not self._turn_open:
            return []
        self._turn_open = self.held = False
        return [event]

    def _interim(self, event: InterimTranscript) -> list[Event]:
        assert self._repeats is not None  # since it is live
        if self._unproven and self._repeats.is_old_interim(event):
            return []
        if self._offset:
            event = msgspec.structs.replace(event, words=shift_words(event.words, self._offset))
        return [*self._prove(self._repeats.fresh_from(event)), event]

    def _final(self, event: FinalTranscript, sent: int) -> list[Event]:
        if self._offset:
            event = msgspec.structs.replace(
                event,
                words=shift_words(event.words, self._offset),
                utterances=shift_utterances(event.utterances, self._offset),
                start=event.start + self._offset if event.words else event.start,
                end=event.end + self._offset if event.words else event.end,
            )
        timed = self._is_timed(event, sent)
        fresh = event if self._repeats is None else self._repeats.fresh_part(event, timed=timed)
        if fresh is None:
            self._final_since_pause = True
            return []
        started = self._prove(fresh.start if timed else None)
        self.finals += 1
        self._note(fresh, sent, timed=timed)
        return [*started, fresh]

    def _is_timed(self, event: FinalTranscript, sent: int) -> bool:
        """Whether its word times can be believed: a missing one reads as 0.0."""
        last = event.words[-1].end if event.words else 0.0
        return self._offset < last <= self._log.seconds(sent) + TIME_SLACK

    def _note(self, event: FinalTranscript, sent: int, *, timed: bool) -> None:
        if timed:
            self._last_end = event.words[-1].end
            self._log.cover(min(self._log.position(self._last_end), sent))
            self._said = [s for s in self._said if s.end is not None]
            for word in event.words:
                self._say(word.word, word.end, sent)
            since = self._log.seconds(self._log.replay_from)
            self._unsay(lambda said: (said.end or 0.0) <= since)
            return
        if self._final_since_pause:
            self._settle(self._pause_serial)
        if self._settled is not None:
            self._log.cover(min(self._log.position(self._settled), sent), exact=True)
            self._unsay(lambda said: said.serial <= self._settled_serial)
            self._settled = None
        self._final_since_pause = True
        for token in split_text(event.text, event.language):
            self._say(token, None, sent)

    def _say(self, token: str, end: float | None, sent: int) -> None:
        self._serial += 1
        self._said.append(_Said(self._serial, token, end, sent))
        if len(self._said) > MOST_SAID:  # finals without audio: a server gone mad
            del self._said[0]

    def _unsay(self, is_old: Callable[[_Said], bool]) -> None:
        """Forget the oldest words, up to the first that is not old."""
        del self._said[: sum(1 for _ in takewhile(is_old, self._said))]

    def _settle(self, serial: int) -> None:
        """The next final is of speech after the pause: the words up to the `serial`th were before it.

        Those since may have been.
        """
        if self._pause is not None:
            self._settled, self._pause = self._pause, None
            self._settled_serial, self._doubtful_serial = serial, self._serial

    def _shifted(self, time: float | None) -> float | None:
        return None if time is None else time + self._offset
