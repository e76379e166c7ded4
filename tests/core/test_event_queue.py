"""The queue of events is a first-in, first-out queue, and forgets what it handed out."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.event_queue import EventQueue
from smallest_proto.events import Event, UnknownMessage


def event(number: int) -> Event:
    return UnknownMessage(reason=str(number), data="")


@given(st.lists(st.one_of(st.integers(1, 3000), st.integers(-3000, -1), st.just("all")), max_size=8))
def test_it_hands_out_what_a_deque_would(steps: list[int | str]) -> None:
    queue, model = EventQueue(), deque[Event]()
    for step in steps:
        if step == "all":
            assert queue.take_all() == list(model)
            model.clear()
        elif isinstance(step, int) and step > 0:
            some = [event(number) for number in range(step)]
            queue.extend(some)
            model.extend(some)
        elif isinstance(step, int):
            for _ in range(min(-step, len(model))):
                assert queue.popleft() is model.popleft()
        assert bool(queue) == bool(model)
        assert len(queue) - len(model) < 1000  # what is still held of what was handed out
    assert queue.take_all() == list(model)
    with pytest.raises(IndexError):
        queue.popleft()
