"""Our transports: one class, since they are used alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

from bench.clients.loops import KEY, Main, on_asyncio
from bench.jobs import SttJob, TtsJob
from smallest_proto import AudioChunk, FinalTranscript, InterimTranscript, LightningOptions, PulseOptions
from smallest_proto.lightning.options import TextMode

Runner = Callable[[Main], None]


def on_trio(main: Main) -> None:
    """On trio."""
    import trio

    trio.run(main, trio.sleep)


def on_uvloop(main: Main) -> None:
    """On uvloop."""
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_awaited(main))


def on_anyio(main: Main, backend: str) -> None:
    """On anyio."""
    import anyio

    anyio.run(main, anyio.sleep, backend=backend)


async def _awaited(main: Main) -> None:
    await main(asyncio.sleep)


async def _together(group: Any, *calls: Callable[[], Awaitable[None]]) -> None:
    async with group as tasks:
        start = getattr(tasks, "start_soon", None) or (lambda call: tasks.create_task(call()))
        for call in calls[:-1]:
            start(call)
        await calls[-1]()


class Ours:
    """See `Client`. `transport` names a module of `smallest_transports`."""

    def __init__(
        self,
        transport: str,
        run: Runner = on_asyncio,
        *,
        resume: bool = True,
        text_mode: TextMode = "context",
    ) -> None:
        self.run = run
        self._module = import_module(f"smallest_transports.{transport}")
        self._connect: dict[str, Any] = {"api_key": KEY}
        self._resume = resume
        self._speech = LightningOptions(text_mode=text_mode)
        self._inferred = text_mode == "context"
        self._aiohttp = transport == "aiohttp"
        if transport == "trio":
            self._group = import_module("trio").open_nursery
        elif transport == "anyio":
            self._group = import_module("anyio").create_task_group
        else:
            self._group = asyncio.TaskGroup

    def _settings(self, url: str) -> dict[str, Any]:
        if self._aiohttp and "session" not in self._connect:
            import aiohttp

            self._connect["session"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return {**self._connect, "base_url": url}

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        opening = self._module.connect_pulse(PulseOptions(), resume=self._resume, **self._settings(url))
        async with opening as stream:
            job.opened()

            async def listen() -> None:
                async for event in stream:
                    if isinstance(event, InterimTranscript | FinalTranscript) and event.text:
                        job.heard(event.text)

            async def speak() -> None:
                while await job.pace():
                    await stream.send_audio(job.packet)
                await stream.end_input()

            await _together(self._group(), listen, speak)

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`. Over a warm pool, as turns of a conversation; aiohttp's pool takes what all do."""
        await self.tts_together(url, [job])

    async def tts_together(self, url: str, jobs: Sequence[TtsJob]) -> None:
        """All of them at the same time, over one warm pool with a connection for each."""
        opening = self._module.lightning_pool(self._speech, max_connections=len(jobs), **self._settings(url))
        async with opening as pool:
            await pool.prewarm(len(jobs))
            await _together(self._group(), *(partial(self._speak, pool, job) for job in jobs))

    async def _speak(self, pool: Any, job: TtsJob) -> None:
        while await job.again():
            async with pool.speak(job.ask()) as speech:
                async for event in speech:
                    if isinstance(event, AudioChunk):
                        job.audio(len(event.pcm))
            job.ended(inferred=self._inferred)


def asyncio_client() -> Ours:
    """Over asyncio, as it comes."""
    return Ours("asyncio")


def asyncio_no_resume() -> Ours:
    """Over asyncio, with streams that end with their connection."""
    return Ours("asyncio", resume=False)


def asyncio_segment() -> Ours:
    """Over asyncio, whole texts."""
    return Ours("asyncio", text_mode="segment")


def uvloop_client() -> Ours:
    """Over asyncio on uvloop."""
    return Ours("asyncio", on_uvloop)


def fast_client() -> Ours:
    """Over asyncio, frames masked in C."""
    return Ours("fast")


def fast_uvloop_client() -> Ours:
    """The same on uvloop."""
    return Ours("fast", on_uvloop)


def fast_segment() -> Ours:
    """Frames masked in C, whole texts."""
    return Ours("fast", text_mode="segment")


def aiohttp_client() -> Ours:
    """Over an aiohttp session."""
    return Ours("aiohttp")


def trio_client() -> Ours:
    """Over trio."""
    return Ours("trio", on_trio)


def anyio_client() -> Ours:
    """Over anyio on asyncio."""
    return Ours("anyio", partial(on_anyio, backend="asyncio"))


def anyio_trio_client() -> Ours:
    """Over anyio on trio."""
    return Ours("anyio", partial(on_anyio, backend="trio"))
