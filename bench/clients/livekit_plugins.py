"""The official LiveKit plugin and ours, driven alike: frames pushed in, events and frames out."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import aiohttp
from livekit.agents import stt

from bench.clients.loops import KEY, on_asyncio, ws
from bench.jobs import SttJob, TtsJob
from livekit import rtc

RATE = 16000
_TEXT_EVENTS = (stt.SpeechEventType.INTERIM_TRANSCRIPT, stt.SpeechEventType.FINAL_TRANSCRIPT)


class _Plugin:
    """See `Client`; the subclasses make the plugin's `STT` and `TTS`."""

    run = staticmethod(on_asyncio)

    def __init__(self) -> None:
        self._stt: Any = None

    def make_stt(self, url: str) -> Any:
        raise NotImplementedError

    def make_tts(self, url: str) -> Any:
        raise NotImplementedError

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        if self._stt is None:
            self._stt = self.make_stt(url)
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
        while job.again():
            async with speech.stream() as stream:
                stream.push_text(job.ask())
                stream.end_input()
                async for event in stream:
                    job.audio(len(event.frame.data) * 2)
            job.ended()
        await speech.aclose()


def _unlimited() -> aiohttp.ClientSession:
    """Instead of the framework's session, which allows 50 connections."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


class OfficialPlugin(_Plugin):
    """`livekit-plugins-smallestai`."""

    continuations = True

    def make_stt(self, url: str) -> Any:
        """Its speech to text."""
        return import_module("livekit.plugins.smallestai").STT(
            api_key=KEY, base_url=url, http_session=_unlimited()
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


class OurPlugin(_Plugin):
    """`livekit.plugins.smallest`."""

    continuations = True

    def make_stt(self, url: str) -> Any:
        """Our speech to text."""
        from livekit.plugins import smallest

        return smallest.STT(api_key=KEY, base_url=url)

    def make_tts(self, url: str) -> Any:
        """Our text to speech."""
        from livekit.plugins import smallest

        return smallest.TTS(api_key=KEY, base_url=url, use_continuations=self.continuations)


class OurPluginContinue(OurPlugin):
    """The same, with the older text protocol."""

    continuations = False
