"""The measurements of speech."""

from __future__ import annotations

import gc
from typing import Any

from bench.jobs import Client, Sleep, TtsJob
from bench.one_client import Figures, measured
from bench.usage import cpu, percentile

PCM_BYTES_PER_SECOND = 48000
TURN = 0.1
"""Seconds between the end of a text and the next: a client that opens another connection then has it by now."""


def tts(peer: str, url: str, texts: int, pieces: int, piece_seconds: float = 0.2) -> Figures:
    """CPU for each second of speech, sent as fast as it goes."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        await client.tts(url, TtsJob(sleep, 1, 2, piece_seconds=piece_seconds))
        gc.collect()
        job = TtsJob(sleep, texts, pieces, piece_seconds=piece_seconds)
        before = cpu()
        await client.tts(url, job)
        return _each_second([job], texts * pieces * piece_seconds, cpu() - before)

    return measured(peer, main)


def contexts(peer: str, url: str, at_once: int, texts: int, pieces: int) -> Figures:
    """The same over a pool that speaks so many texts at a time, from the first that is sent to the last known end."""

    async def main(client: Any, sleep: Sleep) -> Figures:
        marks: list[float] = []
        jobs = [TtsJob(sleep, texts, pieces, mark=lambda: marks.append(cpu())) for _ in range(at_once)]
        gc.collect()
        await client.tts_together(url, jobs)
        return _each_second(jobs, at_once * texts * pieces * 0.2, marks[-1] - marks[0])

    return measured(peer, main)


def _each_second(jobs: list[TtsJob], expected: float, used: float) -> Figures:
    seconds = sum(job.audio_bytes for job in jobs) / PCM_BYTES_PER_SECOND
    if abs(seconds - expected) > 0.001:
        raise RuntimeError(f"{seconds} s of speech of {expected}")
    return {"cpu_us": 1e6 * used / seconds}


def speech(peer: str, url: str, texts: int, silently: bool = False) -> Figures:
    """Short texts: text sent to first audio, first audio (all is sent at once) to knowing the end; milliseconds."""

    async def main(client: Client, sleep: Sleep) -> Figures:
        await client.tts(url, TtsJob(sleep, 1, 2))
        job = TtsJob(sleep, texts, 3, pause=TURN, silently=silently)
        await client.tts(url, job)
        figures = {"first_ms": 1000 * percentile(job.first_audio, 0.5)}
        for key, ends in (("confirmed_ms", job.confirmed), ("inferred_ms", job.inferred)):
            if ends:
                figures[key] = 1000 * percentile(ends, 0.5)
        return figures

    return measured(peer, main)
