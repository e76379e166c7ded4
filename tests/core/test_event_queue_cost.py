"""Handing out many events costs each of them little: counted, not timed."""

from __future__ import annotations

from typing import SupportsIndex

import pytest

from smallest_proto.event_queue import EventQueue
from smallest_proto.events import Event, UnknownMessage


class Counting(EventQueue):
    """Counts the events that move up because others before them are removed."""

    __slots__ = ("moved",)

    def __init__(self) -> None:
        super().__init__()
        self.moved = 0

    def pop(self, index: SupportsIndex = -1) -> Event:
        event = super().pop(index)
        self.moved += len(self)
        return event

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        super().__delitem__(index)
        self.moved += len(self)


@pytest.mark.parametrize("waiting", [10, 49, 50, 999, 1000, 20_000])
def test_few_events_move_up_for_each_that_is_handed_out(waiting: int) -> None:
    queue = Counting()
    queue.extend(UnknownMessage(reason="", data="") for _ in range(waiting))
    while queue:
        queue.popleft()
    assert queue.moved < 50 * waiting
