"""A schedule is the seed's alone, and nonsense is refused."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_transports.loopback.chaos_schedule import (
    ENDINGS,
    FIELDS,
    HANDSHAKE_BYTES,
    HANDSHAKE_SECONDS,
    PAUSES,
    ChaosSchedule,
    Kind,
    Mishap,
    Way,
)


def test_a_seed_is_a_schedule_for_ever() -> None:
    assert str(ChaosSchedule.from_seed(1, drops=4, over_bytes=100_000)) == GOLDEN
    assert ChaosSchedule.from_seed(5) == ChaosSchedule.from_seed(5)
    assert ChaosSchedule.from_seed(5) != ChaosSchedule.from_seed(6)


GOLDEN = """\
connection 0: RESET, at 21628 B total
connection 1: REFUSE, for 0.014 s
connection 1: CLOSE_AT_ONCE
connection 2: CLOSE_AT_ONCE
connection 3: REFUSE, for 0.223 s
connection 3: DUPLICATE
connection 3: STALL, of UP, for 0.271 s, at 16557 B total
connection 3: TRUNCATE, of DOWN, 16 B left"""


@given(
    seed=st.integers(0, 2**63 - 1),
    drops=st.integers(0, 20),
    counting=st.sampled_from(Way),
    over_bytes=st.integers(0, 10**7),
    over_seconds=st.none() | st.floats(0, 1000),
    longest_pause=st.floats(0, 10),
    first_opens=st.booleans(),
    kinds=st.sets(st.sampled_from(Kind)),
)
def test_so_many_connections_end_badly_and_then_all_is_calm(
    seed: int,
    drops: int,
    counting: Way,
    over_bytes: int,
    over_seconds: float | None,
    longest_pause: float,
    first_opens: bool,
    kinds: set[Kind],
) -> None:
    kinds.add(Kind.RESET)
    schedule = ChaosSchedule.from_seed(
        seed,
        drops=drops,
        counting=counting,
        over_bytes=over_bytes,
        over_seconds=over_seconds,
        longest_pause=longest_pause,
        first_opens=first_opens,
        kinds=kinds,
    )
    endings = [mishap for mishap in schedule.mishaps if mishap.kind in ENDINGS]
    assert [mishap.connection for mishap in endings] == list(range(drops))
    assert all(mishap.connection < drops for mishap in schedule.mishaps)
    assert {mishap.kind for mishap in schedule.mishaps} <= kinds
    slow = (*PAUSES, Kind.REFUSE)
    assert all((m.lasts or 0) <= longest_pause + 0.001 for m in schedule.mishaps if m.kind in slow)
    last = [max(m.up or 0, m.down or 0, m.total or 0) for n in range(drops) for m in schedule.of(n)[-1:]]
    if over_seconds is None:
        assert sum(max(0, count - HANDSHAKE_BYTES) for count in last) <= over_bytes
    else:
        waits = sum(mishap.after for mishap in schedule.mishaps)
        assert waits <= over_seconds + HANDSHAKE_SECONDS + 0.001 * len(schedule.mishaps)
    if first_opens:
        assert schedule.refusal(0) is None
        assert all(m.kind is not Kind.CLOSE_AT_ONCE for m in schedule.of(0))
        for m in schedule.of(0)[-1:] if over_seconds is None else []:
            before = max(max(b.up or 0, b.down or 0, b.total or 0) for b in schedule.of(0))
            assert before >= HANDSHAKE_BYTES, m


def test_seeds_draw_every_mishap() -> None:
    drawn = [ChaosSchedule.from_seed(seed) for seed in range(50)]
    assert {mishap.kind for schedule in drawn for mishap in schedule.mishaps} == set(Kind)


@given(st.integers(0, 1000))
def test_a_schedule_shows_each_of_its_mishaps(seed: int) -> None:
    schedule = ChaosSchedule.from_seed(seed)
    assert len(str(schedule).splitlines()) == len(schedule.mishaps)
    assert str(ChaosSchedule()) == "calm"


@pytest.mark.parametrize("kind", Kind)
def test_a_mishap_has_the_fields_of_its_kind_and_no_others(kind: Kind) -> None:
    values: dict[str, Any] = {"up": 1, "down": 1, "total": 1, "after": 1.0, "way": Way.UP}
    values |= {"lasts": 1.0, "size": 2, "pause": 1.0}
    for name, value in values.items():
        if name in FIELDS[kind]:
            assert getattr(Mishap(kind, 3, **{name: value}), name) == value
        else:
            with pytest.raises(ValueError, match=f"{name}: means nothing to {kind.name}"):
                Mishap(kind, 3, **{name: value})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Mishap("DROP"),  # type: ignore[arg-type]  # that is the point
            "kind='DROP'",
        ),
        (lambda: Mishap(Kind.DROP, -1), "connection=-1"),
        (lambda: Mishap(Kind.DROP, up=-1), "up=-1"),
        (lambda: Mishap(Kind.DROP, up=1, down=1), "at most one"),
        (lambda: Mishap(Kind.DROP, after=float("nan")), "after=nan"),
        (
            lambda: Mishap(Kind.STALL, way="up"),  # type: ignore[arg-type]  # that is the point
            "way='up'",
        ),
        (lambda: Mishap(Kind.TRUNCATE, size=0), "size=0"),
        (lambda: ChaosSchedule([Mishap(Kind.DROP), Mishap(Kind.STALL)]), "STALL never happens"),
        (lambda: ChaosSchedule([Mishap(Kind.STALL), Mishap(Kind.DROP)]), "DROP never happens"),
        (lambda: ChaosSchedule([Mishap(Kind.REFUSE, lasts=1)] * 2), "more than one REFUSE"),
        (lambda: ChaosSchedule.from_seed(-1), "seed=-1"),
        (lambda: ChaosSchedule.from_seed(1, drops=-1), "drops=-1"),
        (lambda: ChaosSchedule.from_seed(1, over_bytes=-1), "over_bytes=-1"),
        (lambda: ChaosSchedule.from_seed(1, over_seconds=-1), "over_seconds=-1"),
        (lambda: ChaosSchedule.from_seed(1, longest_pause=-1), "longest_pause=-1"),
        (lambda: ChaosSchedule.from_seed(1, kinds=[Kind.STALL]), "kinds: expected one that ends"),
        (lambda: ChaosSchedule.from_seed(1, kinds=[Kind.CLOSE_AT_ONCE]), "kinds: expected one that ends"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        make()
