"""Named deadlines. No clock is read: the caller passes `now`, in seconds, from any monotonic source."""

from __future__ import annotations


class Timers:
    """A handful of named deadlines, of which the caller only ever needs the earliest."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def set(self, name: str, at: float) -> None:
        """Arm `name` for the moment `at`, replacing its former deadline."""
        self._at[name] = at

    def clear(self, *names: str) -> None:
        """Disarm these names, or every name when none is given."""
        if not names:
            self._at.clear()
        for name in names:
            self._at.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def next_deadline(self) -> float | None:
        """The earliest deadline, or None when nothing is armed."""
        return min(self._at.values()) if self._at else None

    def pop_expired(self, now: float) -> list[str]:
        """Disarm and return the names whose deadline is not after `now`, earliest first."""
        if not self._at or min(self._at.values()) > now:
            return []  # as after nearly every message
        due = sorted((at, name) for name, at in self._at.items() if at <= now)
        for _, name in due:
            del self._at[name]
        return [name for _, name in due]
