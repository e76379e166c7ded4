"""Speech whose every sample says which word it is of, and an engine that reports just what it heard.

A word lasts half a second. Its final comes with the word, its times count from the connection's first sample,
as a service's do.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import groupby

from smallest_proto.pulse import TranscriptMessage
from smallest_proto.pulse.messages import ServerMessage, Word
from smallest_transports.loopback.engines.base import RecognizerSetup

RATE = 8000
WORD = 0.5
"""Seconds."""

SAMPLES = int(RATE * WORD)


def speech(first: int, last: int) -> bytes:
    """The words from `first` to before `last`, as 16-bit samples; no word is 0."""
    return b"".join(array("h", [number]).tobytes() * SAMPLES for number in range(first, last))


class Listener:
    """One connection's ear; a `RecognizerSession`."""

    def __init__(self, setup: RecognizerSetup) -> None:
        self._words = setup.word_timestamps
        self._heard = array("h")
        self._told = 0

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        """A final for each word that another one follows; an interim for the one under way."""
        self._heard.frombytes(audio)
        whole = self._pieces()[:-1]
        return [self._final([piece]) for piece in whole]

    def finalize(self) -> Sequence[ServerMessage]:
        """What is heard and not told yet."""
        return [self._final(self._pieces(), from_finalize=True)]

    def finish(self) -> Sequence[ServerMessage]:
        """The last final."""
        return [self._final(self._pieces(), is_last=True)]

    def close(self) -> None:
        """Nothing is held."""

    def _pieces(self) -> list[tuple[int, int, int]]:
        """What is not told yet: each word's number, and where it begins and ends here."""
        pieces, at = [], self._told
        for number, samples in groupby(self._heard[self._told :]):
            end = at + sum(1 for _ in samples)
            pieces.append((number, at, end))
            at = end
        return pieces

    def _final(
        self, pieces: list[tuple[int, int, int]], *, is_last: bool = False, from_finalize: bool | None = None
    ) -> TranscriptMessage:
        if pieces:
            self._told = pieces[-1][2]
        words = tuple(Word(str(n), begin / RATE, end / RATE, 1.0) for n, begin, end in pieces)
        return TranscriptMessage(
            type="transcription",
            status="success",
            transcript=" ".join(word.word for word in words),
            is_final=True,
            is_last=is_last,
            from_finalize=from_finalize,
            words=words if self._words else (),
        )


class NumberedSpeech:
    """The engine; a `Recognizer`."""

    def open(self, setup: RecognizerSetup) -> Listener:
        """Begin to listen."""
        return Listener(setup)

    def close(self) -> None:
        """Nothing is held."""
