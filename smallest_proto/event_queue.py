"""Events that wait to be handed out."""

from __future__ import annotations

from smallest_proto.events import Event

_FEW = 50
"""Events that are moved up at no cost worth counting."""

_CHUNK = 1000
"""Events after which what was handed out is forgotten, though others still wait."""


class EventQueue(list[Event]):
    """First in, first out: `append`, `extend`, `popleft` and `take_all`; it is true while something waits.

    A `deque` keeps 600 bytes ready while it is empty, and a stream has three queues, which mostly are.
    """

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0

    def popleft(self) -> Event:
        """Take the first. Raises IndexError when none waits."""
        if len(self) < _FEW and not self._taken:
            return self.pop(0)
        event = self[self._taken]
        self._taken += 1
        if self._taken == len(self) or self._taken == _CHUNK:
            del self[: self._taken]
            self._taken = 0
        return event

    def take_all(self) -> list[Event]:
        """Take all, in order."""
        events = self[self._taken :]
        del self[:]
        self._taken = 0
        return events
