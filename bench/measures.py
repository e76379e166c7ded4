"""The measurements, each of one client in this process against a server in another."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from bench.jobs import FRAME_10_MS, PACKET, PACKET_SECONDS, Client, Sleep, SttJob, TtsJob
from bench.peers import BY_NAME
from bench.servers.child import allow_many_sockets
from bench.usage import cpu, percentile, resident_kb

Figures = dict[str, float]
PCM_BYTES_PER_SECOND = 48000
SPREAD = 0.5
"""Seconds over which streams that are opened together begin to speak."""

LATE_MS = 50.0
"""A stream is held in real time as long as 99 of 100 events are handed out within this."""


def _run(peer: str, main: Callable[[Client, Sleep], Awaitable[Figures]]) -> Figures:
    allow_many_sockets()
    client = BY_NAME[peer].make()
    figures: Figures = {}

    async def on_loop(sleep: Sleep) -> None:
        figures.update(await main(client, sleep))

    client.run(on_loop)
    return figures


def stt(peer: str, url: str, seconds: float, frame_ms: int = 50) -> Figures:
    """CPU for each second of audio, sent as fast as it goes."""
    frame = FRAME_10_MS if frame_ms == 10 else PACKET

    async def main(client: Client, sleep: Sleep) -> Figures:
        await client.stt(url, SttJob(sleep, 5, frame=frame))
        gc.collect()
        job = SttJob(sleep, seconds, frame=frame)
        before, resident = cpu(), resident_kb()
        await client.stt(url, job)
        used, grown = cpu() - before, resident_kb() - resident
        _check(job, seconds)
        return {"cpu_us": 1e6 * used / seconds, "grown_kb": grown}

    return _run(peer, main)


def _check(job: SttJob, seconds: float) -> None:
    expected = round(seconds / PACKET_SECONDS) // 5
    if job.transcripts != expected:
        raise RuntimeError(f"{job.transcripts} transcripts of {expected}")


def tts(peer: str, url: str, texts: int, pieces: int) -> Figures:
    """CPU for each second of speech, sent as fast as it goes."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        await client.tts(url, TtsJob(1, 2))
        gc.collect()
        job = TtsJob(texts, pieces)
        before = cpu()
        await client.tts(url, job)
        seconds = job.audio_bytes / PCM_BYTES_PER_SECOND
        used = cpu() - before
        if round(seconds / 0.2) != texts * pieces:
            raise RuntimeError(f"{seconds} s of speech of {0.2 * texts * pieces}")
        return {"cpu_us": 1e6 * used / seconds}

    return _run(peer, main)


def speech(peer: str, url: str, texts: int) -> Figures:
    """Short texts: text sent to first audio, first audio (all is sent at once) to knowing the end; milliseconds."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        await client.tts(url, TtsJob(1, 2))
        job = TtsJob(texts, 3)
        await client.tts(url, job)
        return {
            "first_ms": 1000 * percentile(job.first_audio, 0.5),
            "end_ms": 1000 * percentile(job.end_known, 0.5),
        }

    return _run(peer, main)


class Crowd:
    """Many paced streams of one client, and how late their transcripts were handed out."""

    def __init__(self, client: Client, url: str, sleep: Sleep) -> None:
        self._client = client
        self._url = url
        self._sleep = sleep
        self._jobs: list[SttJob] = []
        self.opened = 0
        self.late: list[float] = []
        self.waiting: list[SttJob] = []

    def __len__(self) -> int:
        return len(self._jobs)

    async def join(self, count: int, group: Any) -> None:
        """Open so many more, not too many at a time."""
        start = getattr(group, "start_soon", None) or (lambda call, *given: group.create_task(call(*given)))
        target = len(self._jobs) + count
        while len(self._jobs) < target:
            before = self.opened
            some = min(25, target - len(self._jobs))
            for index in range(some):
                begin = monotonic() + 0.1 + SPREAD * index / some
                job = SttJob(self._sleep, 3600, begin=begin, heard=self.late.append, opened=self._one_more)
                self._jobs.append(job)
                start(self._client.stt, self._url, job)
            while self.opened < before + some:
                await self._sleep(0.005)

    def _one_more(self) -> None:
        self.opened += 1

    def stop(self) -> None:
        """Have all of them end their input."""
        for job in self._jobs:
            job.stop()

    async def watch(self, seconds: float) -> tuple[float, float, float]:
        """Listen for so long: p50 and p99 of the lateness in ms, and the share of the core."""
        self.late.clear()
        before, begun = cpu(), monotonic()
        await self._sleep(seconds)
        share = (cpu() - before) / (monotonic() - begun)
        late = list(self.late)
        if not late:
            return 1e9, 1e9, share
        return 1000 * percentile(late, 0.5), 1000 * percentile(late, 0.99), share


def paced(peer: str, url: str, streams: int, seconds: float) -> Figures:
    """Streams at the rate of speech: latency from server send to event, CPU for each second of audio."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        async with _group() as group:
            crowd = Crowd(client, url, sleep)
            await crowd.join(streams, group)
            await sleep(SPREAD + 0.5)
            gc.collect()
            middle, most, share = await crowd.watch(seconds)
            crowd.stop()
        return {"p50_us": 1000 * middle, "p99_us": 1000 * most, "cpu_us": 1e6 * share / streams}

    return _run(peer, main)


def streams(peer: str, url: str, window: float) -> Figures:
    """How many real-time streams the core holds: ever more of them, until p99 exceeds 50 ms twice."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        async with _group() as group:
            crowd = Crowd(client, url, sleep)
            held, step = 0, 100
            while len(crowd) < 8000:
                await crowd.join(step, group)
                await sleep(SPREAD + 0.2)
                _, late, share = await crowd.watch(window)
                if late > LATE_MS:  # once may be the machine's doing
                    _, late, share = await crowd.watch(window)
                if late > LATE_MS:
                    break
                step = max(10, int(0.35 * 100 / share) - 100) if held == 0 else max(10, len(crowd) // 6)
                held = len(crowd)
            crowd.stop()
        return {"streams": held}

    return _run(peer, main)


def memory(peer: str, url: str, streams: int) -> Figures:
    """Resident memory for each stream more, once finals have covered all audio sent."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        sizes = []
        async with _group() as group:
            jobs: list[SttJob] = []
            for count in (streams // 5, streams):
                done = [False] * count
                for index in range(count):
                    jobs.append(_Idle(sleep, done, index))
                    start = getattr(group, "start_soon", None) or (
                        lambda call, *given: group.create_task(call(*given))
                    )
                    start(client.stt, url, jobs[-1])
                    if index % 25 == 24:
                        await sleep(0.05)
                while not all(done):
                    await sleep(0.01)
                await sleep(0.2)
                gc.collect()
                sizes.append(resident_kb())
            for job in jobs:
                job.stop()
        return {"kb": (sizes[1] - sizes[0]) / streams}

    return _run(peer, main)


class _Idle(SttJob):
    """Two seconds of audio, which a final covers, then silence until it is stopped."""

    def __init__(self, sleep: Sleep, done: list[bool], index: int) -> None:
        super().__init__(sleep, 2.0)
        self._done = done
        self._index = index
        self._stopped = False

    async def pace(self) -> bool:
        """See `SttJob.pace`."""
        if await super().pace():
            return True
        while not self._stopped:
            await self._sleep(0.1)
            self._done[self._index] = self.transcripts >= 8
        return False

    def stop(self) -> None:
        """See `SttJob.stop`."""
        self._stopped = True


def connect(peer: str, url: str, connections: int) -> Figures:
    """Streams that send no audio, from connecting to the confirmed end: wall time (median) and CPU."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        for _ in range(3):
            await client.stt(url, SttJob(sleep, 0))
        times = []
        before = cpu()
        for _ in range(connections):
            begun = monotonic()
            await client.stt(url, SttJob(sleep, 0))
            times.append(monotonic() - begun)
        return {"ms": 1000 * percentile(times, 0.5), "cpu_us": 1e6 * (cpu() - before) / connections}

    return _run(peer, main)


def _group() -> Any:
    """A task group of the loop that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.open_nursery()
    return asyncio.TaskGroup()


MEASURES: dict[str, Callable[..., Figures]] = {
    "stt": stt,
    "tts": tts,
    "speech": speech,
    "paced": paced,
    "streams": streams,
    "memory": memory,
    "connect": connect,
    "tls": connect,
}
