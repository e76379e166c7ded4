"""Usage accounting: how many seconds of audio went out, reported now and then."""

from __future__ import annotations

PERIOD = 5.0
"""Seconds between reports [seed]."""


class UsageMeter:
    """Adds up seconds of audio and says when to report them, as [seed] does.

    Only a push looks at the time, so silence reports nothing, and the first packet after a gap of five
    seconds is reported alone. The reports always add up to what was pushed.
    """

    __slots__ = ("_since", "_total")

    def __init__(self) -> None:
        self._total = 0.0
        self._since: float | None = None

    def start(self, now: float) -> None:
        """Count the period from here, unless it has begun."""
        if self._since is None:
            self._since = now

    def push(self, seconds: float, now: float) -> float:
        """Add audio; return what is to be reported, 0.0 for nothing yet."""
        if self._since is None:
            self._since = now
        self._total += seconds
        return self.flush(now) if now - self._since >= PERIOD else 0.0

    def flush(self, now: float) -> float:
        """Return what has not been reported yet and begin a new period."""
        total, self._total, self._since = self._total, 0.0, now
        return round(total, 9)  # a hundred packets of 0.05 s are 5 s
