"""Many streams of one client at the rate of speech."""

from __future__ import annotations

import gc
from time import monotonic
from typing import Any, NamedTuple

from bench.jobs import HELD, LOOKS_EVERY, Client, Sleep, SttJob
from bench.one_client import Figures, measured, task_group
from bench.usage import cpu, percentile

SPREAD = 0.5
"""Seconds over which streams that are opened together begin to speak."""

LATE_MS = 50.0
"""A stream is held in real time as long as 99 of 100 events are handed out within this."""


class Watched(NamedTuple):
    """What was seen for a while: lateness in ms, the share of the core, CPU seconds for each second of audio sent."""

    middle_ms: float
    late_ms: float
    share: float
    cpu: float


class Crowd:
    """Many paced streams of one client, and how late their transcripts were handed out."""

    def __init__(self, client: Client, url: str, sleep: Sleep) -> None:
        self._client = client
        self._url = url
        self._sleep = sleep
        self._jobs: list[SttJob] = []
        self.opened = 0
        self.late: list[float] = []

    def __len__(self) -> int:
        return len(self._jobs)

    async def join(self, count: int, group: Any, *, held: bool = False) -> None:
        """Open so many more, not too many at a time. They speak at once or, if held, with `begin`."""
        start = getattr(group, "start_soon", None) or (lambda call, *given: group.create_task(call(*given)))
        target = len(self._jobs) + count
        while len(self._jobs) < target:
            before = self.opened
            some = min(25, target - len(self._jobs))
            for index in range(some):
                begin = HELD if held else monotonic() + 0.1 + SPREAD * index / some
                job = SttJob(self._sleep, 3600, begin=begin, heard=self.late.append, opened=self._one_more)
                self._jobs.append(job)
                start(self._client.stt, self._url, job)
            while self.opened < before + some:
                await self._sleep(0.005)

    async def begin(self) -> None:
        """Have those that are held speak, all of them after this."""
        first = monotonic() + 2 * LOOKS_EVERY
        for index, job in enumerate(self._jobs):
            job.begin = first + SPREAD * index / len(self._jobs)
        await self._sleep(2 * LOOKS_EVERY + SPREAD)

    def _one_more(self) -> None:
        self.opened += 1

    def stop(self) -> None:
        """Have all of them end their input."""
        for job in self._jobs:
            job.stop()

    async def watch(self, seconds: float) -> Watched:
        """Listen for so long."""
        self.late.clear()
        sent, before, begun = self._audio_sent(), cpu(), monotonic()
        await self._sleep(seconds)
        used = cpu() - before
        share, each = used / (monotonic() - begun), used / max(0.001, self._audio_sent() - sent)
        late = list(self.late)
        if not late:
            return Watched(1e9, 1e9, share, each)
        return Watched(1000 * percentile(late, 0.5), 1000 * percentile(late, 0.99), share, each)

    def _audio_sent(self) -> float:
        """Seconds; less than those that passed if the client cannot keep up."""
        return sum(job.sent * job.interval for job in self._jobs)


def paced(peer: str, url: str, streams: int, seconds: float) -> Figures:
    """Streams at the rate of speech: latency from server send to event, CPU for each second of audio."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        async with task_group() as group:
            crowd = Crowd(client, url, sleep)
            await crowd.join(streams, group, held=True)
            await crowd.begin()
            await sleep(0.5)
            gc.collect()
            await sleep(0.3)  # what came meanwhile was not late by its own doing
            seen = await crowd.watch(seconds)
            crowd.stop()
        return {"p50_us": 1000 * seen.middle_ms, "p99_us": 1000 * seen.late_ms, "cpu_us": 1e6 * seen.cpu}

    return measured(peer, main)


def streams(peer: str, url: str, window: float) -> Figures:
    """How many real-time streams the core holds: ever more of them, until p99 exceeds 50 ms twice."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        async with task_group() as group:
            crowd = Crowd(client, url, sleep)
            held, step = 0, 100
            while len(crowd) < 8000:
                await crowd.join(step, group)
                await sleep(SPREAD + 0.2)
                seen = await crowd.watch(window)
                if seen.late_ms > LATE_MS:  # once may be the machine's doing
                    seen = await crowd.watch(window)
                if seen.late_ms > LATE_MS:
                    break
                step = max(10, int(0.35 * 100 / seen.share) - 100) if held == 0 else max(10, len(crowd) // 6)
                held = len(crowd)
            crowd.stop()
        return {"streams": held}

    return measured(peer, main)
