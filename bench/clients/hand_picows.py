"""By hand over picows, decoding with msgspec."""

from __future__ import annotations

import asyncio

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.clients import messages
from bench.clients.loops import CLOSE_STREAM, HEADERS, REQUEST, STT_PATH, TTS_PATH, on_asyncio, ws
from bench.jobs import SttJob, TtsJob


class _Listener(WSListener):
    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.take(frame)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def take(self, frame: WSFrame) -> None:
        raise NotImplementedError

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()


class _Pulse(_Listener):
    def __init__(self, job: SttJob) -> None:
        super().__init__()
        self._job = job

    def take(self, frame: WSFrame) -> None:
        message = messages.transcript(frame.get_payload_as_memoryview())
        if message.transcript:
            self._job.heard(message.transcript)
        if message.is_last:
            self.ended.set()


class _Lightning(_Listener):
    def __init__(self, job: TtsJob) -> None:
        super().__init__()
        self._job = job

    def take(self, frame: WSFrame) -> None:
        message = messages.chunk(frame.get_payload_as_memoryview())
        if message.data is not None:
            self._job.audio(len(message.data.audio))
        elif message.status == "complete":
            self._job.ended()
            self.ended.set()


class HandPicows:
    """See `Client`."""

    run = staticmethod(on_asyncio)

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        transport, listener = await ws_connect(lambda: _Pulse(job), ws(url) + STT_PATH, extra_headers=HEADERS)
        assert isinstance(listener, _Pulse)
        job.opened()
        while await job.pace():
            transport.send(WSMsgType.BINARY, job.packet)
            if not listener.writable.is_set():
                await listener.writable.wait()
        transport.send(WSMsgType.TEXT, CLOSE_STREAM.encode())
        await listener.ended.wait()
        transport.disconnect()

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`."""
        transport, listener = await ws_connect(
            lambda: _Lightning(job), ws(url) + TTS_PATH, extra_headers=HEADERS
        )
        assert isinstance(listener, _Lightning)
        while await job.again():
            listener.ended.clear()
            transport.send(WSMsgType.TEXT, messages.encode({**REQUEST, "text": job.ask()}))
            await listener.ended.wait()
        transport.disconnect()
