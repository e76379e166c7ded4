"""What is kept is what came, less what was forgotten, however it was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.pulse.kept_audio import KeptAudio

SIZES = st.one_of(st.integers(1, 5), st.integers(200, 300), st.integers(1000, 4000))
STEPS = st.lists(st.tuples(st.sampled_from(["append", "forget", "read"]), SIZES, SIZES), max_size=30)


@given(STEPS)
def test_it_is_a_window_over_the_stream(steps: list[tuple[str, int, int]]) -> None:
    kept, expected, count = KeptAudio(), b"", 0
    for step, size, other in steps:
        if step == "append":
            audio = bytes((count + i) % 251 for i in range(size))
            count += size
            kept.append(audio)
            expected += audio
        elif step == "forget":
            kept.forget(size)
            expected = expected[size:]
        else:
            assert kept.read(size, size + other) == expected[size : size + other]
        assert len(kept) == len(expected)
        assert kept.read(0, len(expected)) == expected


def test_scraps_do_not_weigh_more_than_what_they_hold() -> None:
    kept = KeptAudio()
    for _ in range(10_000):
        kept.append(bytes(2))
    assert len(kept) == 20_000
    assert len(kept._pieces) < 100
