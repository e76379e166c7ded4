"""Whatever has to go, what is kept stays within its bound, begins at a sample, and is replayed as it was said."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.session.hand import Hand
from smallest_proto.pulse import Audio, AudioDropped, Flush, PulseOptions, Resumed

WIDTHS: dict[str, int] = {"linear16": 2, "linear32": 4, "alaw": 1, "mulaw": 1}


def _numbered(begin: int, end: int) -> bytes:
    """So many bytes of a stream in which no two seconds are alike."""
    return bytes((i * i + i // 256) % 251 for i in range(begin, end))


@pytest.mark.parametrize("encoding", list(WIDTHS))
@given(
    keep=st.integers(1024, 1100),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=20),
    heard=st.booleans(),
)
def test_bounds_in_bytes_cut_between_samples(
    encoding: Literal["linear16", "linear32", "alaw", "mulaw"], keep: int, sizes: list[int], heard: bool
) -> None:
    options = PulseOptions(encoding=encoding, sample_rate=8000)
    second = WIDTHS[encoding] * 8000
    hand = Hand(options, keep_bytes=keep, retry_first=True)
    connection = hand.open() if heard else None
    said = b""
    for size in sizes:
        piece = _numbered(len(said), len(said) + size * WIDTHS[encoding])
        said += piece
        hand.session.send(Audio(piece), hand.now)
        kept = round(hand.session.kept_seconds * second)
        assert kept <= keep
        assert kept % WIDTHS[encoding] == 0
    if connection is not None:
        hand.drop(connection)
        connection = hand.dial_later()
    else:
        connection = hand.dial()
    connection.receive_open(hand.now)
    hand.session.send(Flush(), hand.now)
    replayed = b"".join(m for m in connection.messages_to_send() if isinstance(m, bytes))
    assert replayed == said[len(said) - len(replayed) :]
    assert len(replayed) == round(hand.session.kept_seconds * second)
    events = hand.events()
    gone = sum(event.end - event.start for event in events if isinstance(event, AudioDropped))
    assert round(gone * second) == len(said) - len(replayed)
    if heard:
        (resumed,) = (event for event in events if isinstance(event, Resumed))
        assert round(resumed.start * second) == len(said) - len(replayed)
        assert round(resumed.replayed * second) == len(replayed)
