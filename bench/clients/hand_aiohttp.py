"""By hand over aiohttp: json, base64, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json

import aiohttp

from bench.clients.loops import CLOSE_STREAM, HEADERS, REQUEST, STT_PATH, TTS_PATH, on_asyncio
from bench.jobs import SttJob, TtsJob


class HandAiohttp:
    """See `Client`. One session for all streams of a process."""

    run = staticmethod(on_asyncio)

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS)
        return self._session

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        async with self._opened().ws_connect(url + STT_PATH) as socket:
            job.opened()

            async def listen() -> None:
                async for message in socket:
                    data = json.loads(message.data)
                    if data["transcript"]:
                        job.heard(data["transcript"])
                    if data["is_last"]:
                        return

            listening = asyncio.create_task(listen())
            while await job.pace():
                await socket.send_bytes(job.packet)
            await socket.send_str(CLOSE_STREAM)
            await listening

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`."""
        async with self._opened().ws_connect(url + TTS_PATH) as socket:
            while await job.again():
                await socket.send_str(json.dumps({**REQUEST, "text": job.ask()}))
                async for message in socket:
                    data = json.loads(message.data)
                    if data["status"] == "complete":
                        break
                    job.audio(len(base64.b64decode(data["data"]["audio"])))
                job.ended()
