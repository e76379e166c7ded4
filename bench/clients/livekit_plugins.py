"""The official LiveKit plugin and ours, driven alike: frames pushed in, events and frames out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import aiohttp
from livekit.agents import stt
from livekit.agents.utils import http_context

from bench.clients.loops import KEY, on_asyncio, ws
from bench.jobs import SttJob, TtsJob
from livekit import rtc

RATE = 16000
FAST = "smallest_transports.fast"
MASK_IN_C = "websockets.speedups"
"""What `fast` needs."""
_TEXT_EVENTS = (stt.SpeechEventType.INTERIM_TRANSCRIPT, stt.SpeechEventType.FINAL_TRANSCRIPT)


class _Plugin:
    """See `Client`; the subclasses make the plugin's `STT` and `TTS`."""

    run = staticmethod(on_asyncio)
    continuations = True

    def __init__(self) -> None:
        self._stt: Any = None

    def make_stt(self, url: str, session: aiohttp.ClientSession | None) -> Any:
        raise NotImplementedError

    def make_tts(self, url: str) -> Any:
        raise NotImplementedError

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        if self._stt is None:
            self._stt = self.make_stt(url, _unlimited())
        await self._transcribe(job)

    async def stt_on_defaults(self, url: str, jobs: Sequence[SttJob], seconds: float) -> None:
        """All of them at once, for so long, in the surroundings that the framework gives to an agent."""
        async with http_context.open():
            self._stt = self.make_stt(url, None)
            streams = [asyncio.create_task(self._transcribe(job)) for job in jobs]
            await asyncio.sleep(seconds)
            for stream in streams:
                stream.cancel()
            await asyncio.wait(streams)

    async def _transcribe(self, job: SttJob) -> None:
        frame = rtc.AudioFrame(job.packet, RATE, 1, len(job.packet) // 2)
        async with self._stt.stream() as stream:
            job.opened()

            async def listen() -> None:
                async for event in stream:
                    if event.type in _TEXT_EVENTS and event.alternatives[0].text:
                        job.heard(event.alternatives[0].text)

            listening = asyncio.create_task(listen())
            while await job.pace():
                stream.push_frame(frame)
            stream.end_input()
            await listening

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`."""
        speech = self.make_tts(url)
        speech.prewarm()
        await asyncio.sleep(0.3)  # a turn never starts the moment its agent does
        while await job.again():
            async with speech.stream() as stream:
                stream.push_text(job.ask())
                stream.end_input()
                async for event in stream:
                    job.audio(len(event.frame.data) * 2)
            job.ended(inferred=self.continuations)
        await speech.aclose()


def _unlimited() -> aiohttp.ClientSession:
    """Instead of the framework's session, which allows 50 connections."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


class OfficialPlugin(_Plugin):
    """`livekit-plugins-smallestai`."""

    def make_stt(self, url: str, session: aiohttp.ClientSession | None) -> Any:
        """Its speech to text."""
        return import_module("livekit.plugins.smallestai").STT(
            api_key=KEY, base_url=url, http_session=session
        )

    def make_tts(self, url: str) -> Any:
        """Its text to speech."""
        return import_module("livekit.plugins.smallestai").TTS(
            api_key=KEY,
            base_url=url,
            ws_url=f"{ws(url)}/tts/live",
            http_session=_unlimited(),
            use_continuations=self.continuations,
        )


class OfficialPluginContinue(OfficialPlugin):
    """The same, with its older text protocol."""

    continuations = False


class OurPluginFast(_Plugin):
    """`livekit.plugins.smallest`, over sockets of its own, with what the extra `fast` brings to it."""

    def make_stt(self, url: str, session: aiohttp.ClientSession | None) -> Any:
        """Our speech to text. It is given no session."""
        from livekit.plugins import smallest

        made = smallest.STT(api_key=KEY, base_url=url)
        self._check()
        return made

    def make_tts(self, url: str) -> Any:
        """Our text to speech."""
        from livekit.plugins import smallest

        made = smallest.TTS(api_key=KEY, base_url=url, use_continuations=self.continuations)
        self._check()
        return made

    def _check(self) -> None:
        if FAST not in sys.modules:
            raise RuntimeError(f"the plugin does not use {FAST}")


class OurPlugin(OurPluginFast):
    """The same as it comes, without the extra: what that needs is hidden from it."""

    def __init__(self) -> None:
        super().__init__()
        sys.modules[MASK_IN_C] = None  # type: ignore[assignment]  # the documented way to make an import fail

    def _check(self) -> None:
        if FAST in sys.modules:
            raise RuntimeError(f"{FAST} was imported although it cannot be")


class OurPluginContinue(OurPlugin):
    """The same, with the older text protocol."""

    continuations = False
