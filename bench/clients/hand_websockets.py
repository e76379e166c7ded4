"""By hand over websockets: json, base64, nothing else."""

from __future__ import annotations

import asyncio
import base64
import json

from websockets.asyncio.client import connect

from bench.clients.loops import CLOSE_STREAM, HEADERS, REQUEST, STT_PATH, TTS_PATH, on_asyncio, ws
from bench.jobs import SttJob, TtsJob


class HandWebsockets:
    """See `Client`."""

    run = staticmethod(on_asyncio)

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        async with connect(ws(url) + STT_PATH, additional_headers=HEADERS) as socket:
            job.opened()

            async def listen() -> None:
                async for message in socket:
                    data = json.loads(message)
                    if data["transcript"]:
                        job.heard(data["transcript"])
                    if data["is_last"]:
                        return

            listening = asyncio.create_task(listen())
            while await job.pace():
                await socket.send(job.packet)
            await socket.send(CLOSE_STREAM)
            await listening

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`."""
        async with connect(ws(url) + TTS_PATH, additional_headers=HEADERS) as socket:
            while await job.again():
                await socket.send(json.dumps({**REQUEST, "text": job.ask()}))
                async for message in socket:
                    data = json.loads(message)
                    if data["status"] == "complete":
                        break
                    job.audio(len(base64.b64decode(data["data"]["audio"])))
                job.ended()
