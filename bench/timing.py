"""CPU time of small loops, measured in turns so that a busy machine troubles all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

ROUNDS = 9
ROUND_SECONDS = 0.1


class Case(NamedTuple):
    """`run(n)` does the work for n messages, each worth `audio_seconds` of audio."""

    name: str
    run: Callable[[int], None]
    audio_seconds: float
    peer: str = ""


class Result(NamedTuple):
    """CPU microseconds per message: median, least, most."""

    case: Case
    middle: float
    least: float
    most: float


def measure(cases: Sequence[Case]) -> list[Result]:
    """Time every case in every round; the number of messages is chosen so that a round is about 0.1 s."""
    counts = [_calibrate(case) for case in cases]
    times: list[list[float]] = [[] for _ in cases]
    gc.collect()
    gc.disable()
    try:
        for _ in range(ROUNDS):
            for case, count, taken in zip(cases, counts, times, strict=True):
                taken.append(_cpu(case, count) / count)
            gc.collect()
    finally:
        gc.enable()
    return [Result(c, median(t), min(t), max(t)) for c, t in zip(cases, times, strict=True)]


def _calibrate(case: Case) -> int:
    count = 1
    while (taken := _cpu(case, count)) < ROUND_SECONDS / 4 * 1e6:
        count *= 2
    return max(1, int(count * ROUND_SECONDS * 1e6 / taken))


def _cpu(case: Case, count: int) -> float:
    begun = time.process_time_ns()
    case.run(count)
    return (time.process_time_ns() - begun) / 1000
