"""The audio that no final has covered yet, and what was asked for along it: what a new connection is sent.

Positions are bytes from the first audio of the session, so they are exact; seconds are made of them only to
be shown.
"""

from __future__ import annotations

from itertools import takewhile
from typing import NamedTuple, TypeAlias

from smallest_proto.audio import AudioFormat
from smallest_proto.pulse.commands import CloseStream, Finalize, Flush
from smallest_proto.pulse.kept_audio import KeptAudio

Marker: TypeAlias = Flush | Finalize | CloseStream

_STEPS = 16
"""The oldest audio goes in steps of this part of what may be kept, not packet by packet: fewer events."""


_NEAR = 0.05
"""Seconds from a finalize within which a word is taken to end because of it."""


class Mark(NamedTuple):
    """A command between two bytes of audio. `serial` counts from 1 over all marks."""

    position: int
    serial: int
    command: Marker


class ReplayLog:
    """Audio and marks from `start` to `end`; before `covered` everything is final.

    `start` lies before `covered` by the overlap, or behind it when audio had to go that no final has covered.
    """

    __slots__ = (
        "_audio",
        "_marks",
        "_most",
        "_near",
        "_overlap",
        "_rate",
        "_replay_from",
        "_width",
        "covered",
        "input_ended",
        "last_serial",
        "start",
    )

    def __init__(
        self, audio_format: AudioFormat, *, keep_seconds: float, keep_bytes: int, overlap: float
    ) -> None:
        self._width = audio_format.sample_width
        self._rate = audio_format.sample_rate
        self._most = min(self.position(keep_seconds), keep_bytes - keep_bytes % self._width)
        self._overlap = self.position(overlap)
        self._near = self.position(_NEAR)
        self._audio = KeptAudio()
        self._marks: list[Mark] = []
        self.start = 0
        self.covered = 0
        self.last_serial = 0
        self.input_ended = False
        self._replay_from = 0

    @property
    def end(self) -> int:
        """Where the next audio goes."""
        return self.start + len(self._audio)

    @property
    def room(self) -> int:
        """Bytes that may be appended before the oldest have to go."""
        return max(0, self._most - len(self._audio))

    @property
    def replay_from(self) -> int:
        """Where the audio for a new connection begins."""
        return max(self.start, self._replay_from)

    def seconds(self, position: int) -> float:
        """The time of a position on the session's clock."""
        return position / (self._width * self._rate)

    def position(self, seconds: float) -> int:
        """The position nearest to a time, between two samples."""
        return round(seconds * self._rate) * self._width

    def append(self, audio: bytes) -> None:
        """Audio goes on; see `is_full`."""
        self._audio.append(audio)

    def mark(self, command: Marker) -> None:
        """A command stands here. Said twice in one place, it stands once: there is nothing new to ask for."""
        self.input_ended |= isinstance(command, CloseStream)
        if self._marks and self._marks[-1].position == self.end and self._marks[-1].command == command:
            return
        self.last_serial += 1
        self._marks.append(Mark(self.end, self.last_serial, command))

    def marks_after(self, serial: int) -> list[Mark]:
        """The marks behind this one, in order."""
        behind = list(takewhile(lambda mark: mark.serial > serial, reversed(self._marks)))
        return behind[::-1]

    def read(self, begin: int, end: int) -> bytes:
        """The audio between two positions that are kept."""
        return self._audio.read(begin - self.start, end - self.start)

    def cover(self, position: int, *, exact: bool = False) -> None:
        """Everything before this position is final now.

        A replay begins right there when the position is `exact`, or that of a finalize: that cuts words, and the
        rest of one is new. Else it begins by the overlap before. What a replay does not need goes.
        """
        if self.covered <= position:
            exact = exact or any(abs(mark.position - position) <= self._near for mark in self._marks)
            self.covered = position
            self._replay_from = position if exact else max(self._replay_from, position - self._overlap)
        self.forget(min(self._replay_from, self.end))

    @property
    def is_full(self) -> bool:
        """Whether more is kept than may be."""
        return len(self._audio) > self._most

    def excess(self) -> int | None:
        """Where the audio would have to begin to be within bounds, None if it is."""
        if not self.is_full:
            return None
        step = self._most // _STEPS
        return self.end - self._most + step - step % self._width

    def forget(self, position: int) -> None:
        """Give up the audio before this position, covered or not; see `take_dropped`."""
        if position > self.start:
            self._audio.forget(position - self.start)
            self.start = position
        # a mark at the very edge has nothing to ask for any more; the end of the input is never void
        reached = max(self.covered, self.start)
        gone = takewhile(
            lambda mark: mark.position <= reached and not isinstance(mark.command, CloseStream), self._marks
        )
        del self._marks[: sum(1 for _ in gone)]

    def take_dropped(self) -> tuple[float, float] | None:
        """The span, in seconds, that is gone though no final has covered it, None for none. Told once."""
        if self.covered >= self.start:
            return None
        span = self.seconds(self.covered), self.seconds(self.start)
        self.cover(self.start, exact=True)
        return span
