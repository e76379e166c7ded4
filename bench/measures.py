"""The measurements, each of one client in this process against a server in another."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import monotonic
from typing import Any

from bench.crowds import paced, streams
from bench.jobs import FRAME_10_MS, PACKET, PACKET_SECONDS, Client, Sleep, SttJob
from bench.one_client import Figures, measured, task_group
from bench.speeches import contexts, speech, tts
from bench.usage import cpu, percentile, resident_kb


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

    return measured(peer, main)


def _check(job: SttJob, seconds: float) -> None:
    expected = round(seconds / PACKET_SECONDS) // 5
    if job.transcripts != expected:
        raise RuntimeError(f"{job.transcripts} transcripts of {expected}")


def defaults(peer: str, url: str, streams: int, seconds: float) -> Figures:
    """Of so many streams, opened at once on one `STT` as it comes, those that hear something within that time."""

    async def main(client: Any, sleep: Sleep) -> Figures:
        begin = monotonic() + 0.5
        jobs = [SttJob(sleep, 3600, begin=begin) for _ in range(streams)]
        await client.stt_on_defaults(url, jobs, seconds)
        return {"streams": sum(job.transcripts > 0 for job in jobs)}

    return measured(peer, main)


def memory(peer: str, url: str, streams: int, seconds: float) -> Figures:
    """Resident memory for each stream more, once finals have covered so many seconds of audio, which may be none."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        sizes = []
        async with task_group() as group:
            jobs: list[SttJob] = []
            for count in (streams // 5, streams):
                done = [False] * count
                for index in range(count):
                    jobs.append(_Idle(sleep, seconds, done, index))
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

    return measured(peer, main)


class _Idle(SttJob):
    """Some audio, which a final covers, then silence until it is stopped."""

    def __init__(self, sleep: Sleep, seconds: float, done: list[bool], index: int) -> None:
        super().__init__(sleep, seconds)
        self._expected = round(4 * seconds)
        self._done = done
        self._index = index
        self._stopped = False

    async def pace(self) -> bool:
        """See `SttJob.pace`."""
        if await super().pace():
            return True
        while not self._stopped:
            await self._sleep(0.1)
            self._done[self._index] = self.transcripts >= self._expected
        return False

    def stop(self) -> None:
        """See `SttJob.stop`."""
        self._stopped = True


def connect(peer: str, url: str, connections: int) -> Figures:
    """Streams that send no audio, from connecting to the confirmed end: wall time (median) and CPU."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        for _ in range(3):
            await client.stt(url, SttJob(sleep, 0))
        gc.collect()
        times = []
        before = cpu()
        for _ in range(connections):
            begun = monotonic()
            await client.stt(url, SttJob(sleep, 0))
            times.append(monotonic() - begun)
        return {"ms": 1000 * percentile(times, 0.5), "cpu_us": 1e6 * (cpu() - before) / connections}

    return measured(peer, main)


MEASURES: dict[str, Callable[..., Figures]] = {
    "stt": stt,
    "tts": tts,
    "contexts": contexts,
    "speech": speech,
    "paced": paced,
    "streams": streams,
    "defaults": defaults,
    "memory": memory,
    "connect": connect,
}
