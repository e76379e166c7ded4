"""The vendor's SDK, its asynchronous client, as its documentation uses it."""

from __future__ import annotations

import asyncio
import base64
import os

os.environ["SMALLESTAI_TELEMETRY"] = "0"  # it is on by default
os.environ["DO_NOT_TRACK"] = "1"

from smallestai import AsyncSmallestAI
from smallestai.environment import SmallestAIEnvironment
from smallestai.waves.helpers import stream_speech_to_text
from smallestai.waves.tts.types.tts_request_message import TtsRequestMessage

from bench.clients.loops import KEY, REQUEST, on_asyncio, ws
from bench.jobs import SttJob, TtsJob


def _client(url: str) -> AsyncSmallestAI:
    base = url.removesuffix("/waves/v1")
    environment = SmallestAIEnvironment(atoms=base, waves=base, waves_ws=ws(base), payment=base)
    return AsyncSmallestAI(api_key=KEY, environment=environment)


class VendorSdk:
    """See `Client`."""

    run = staticmethod(on_asyncio)

    def __init__(self) -> None:
        self._client: AsyncSmallestAI | None = None

    def _opened(self, url: str) -> AsyncSmallestAI:
        self._client = self._client or _client(url)
        return self._client

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        async with stream_speech_to_text(self._opened(url), language="en", word_timestamps=True) as socket:
            job.opened()

            async def listen() -> None:
                async for message in socket:
                    if message.transcript:
                        job.heard(message.transcript)
                    if message.is_last:
                        return

            listening = asyncio.create_task(listen())
            while await job.pace():
                await socket.send_audio_chunk_out(job.packet)
            await socket._send({"type": "close_stream"})  # the public call raises
            await listening

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`."""
        async with self._opened(url).waves.tts.connect() as socket:
            while await job.again():
                await socket.synthesize_streaming_tts(TtsRequestMessage(text=job.ask(), **REQUEST))
                async for message in socket:
                    if message.status == "complete":
                        break
                    job.audio(len(base64.b64decode(message.data.audio)))
                job.ended()
