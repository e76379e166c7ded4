"""How much of the user's audio was sent, each second of it once, over however many connections."""

from __future__ import annotations

NO_USAGE = 1e-6
"""Seconds that are none: what adding up floats leaves."""


class UsageOnce:
    """Turns the reports of a stream that resumes, which include what is sent again, into `RECOGNITION_USAGE`.

    LiveKit's users take its sum for the length of the audio, and bill by it: a lost connection must not make
    that longer. Whether the service charges for audio that it hears twice is not documented.
    """

    def __init__(self) -> None:
        self._position = 0.0
        self._reported = 0.0

    def resumed(self, start: float) -> None:
        """Another connection hears the audio from this second on."""
        self._position = start

    def sent(self, seconds: float) -> float:
        """A report of the machine; the seconds of it that are new."""
        self._position += seconds
        return self._up_to(self._position)

    def rest(self, handed_over: float) -> float:
        """What no report has covered, of all audio that the machine was given and has sent."""
        return self._up_to(handed_over)

    def _up_to(self, position: float) -> float:
        fresh = position - self._reported
        if fresh <= NO_USAGE:
            return 0.0
        self._reported = position
        return round(fresh, 9)
