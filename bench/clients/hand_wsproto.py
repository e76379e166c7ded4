"""By hand over wsproto and an asyncio protocol, decoding with msgspec."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Request,
    TextMessage,
)

from bench.clients import messages
from bench.clients.loops import CLOSE_STREAM, HEADERS, REQUEST, STT_PATH, TTS_PATH, on_asyncio
from bench.jobs import SttJob, TtsJob


class _Socket(asyncio.Protocol):
    def __init__(self, request: Request) -> None:
        self._request = request
        self._wire = WSConnection(ConnectionType.CLIENT)
        self._text = ""
        self._writable = asyncio.Event()
        self._writable.set()
        self.opened = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self.take: Callable[[str], None] = lambda text: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._wire.send(self._request))

    def data_received(self, data: bytes) -> None:
        self._wire.receive_data(data)
        for event in self._wire.events():
            if isinstance(event, TextMessage):
                self._text += event.data
                if event.message_finished:
                    text, self._text = self._text, ""
                    self.take(text)
            elif isinstance(event, AcceptConnection):
                self.opened.set_result(None)
            elif isinstance(event, CloseConnection | Ping):
                self.transport.write(self._wire.send(event.response()))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, message: BytesMessage | TextMessage) -> None:
        self.transport.write(self._wire.send(message))
        await self._writable.wait()


async def _connect(url: str) -> _Socket:
    parts = urlsplit(url)
    host, port = parts.hostname, parts.port
    assert host is not None
    assert port is not None
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    request = Request(host=parts.netloc, target=target, extra_headers=headers)
    context = ssl.create_default_context() if parts.scheme == "https" else None
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(lambda: _Socket(request), host, port, ssl=context)
    await socket.opened
    return socket


class HandWsproto:
    """See `Client`."""

    run = staticmethod(on_asyncio)

    async def stt(self, url: str, job: SttJob) -> None:
        """See `Client.stt`."""
        socket = await _connect(url + STT_PATH)

        def take(text: str) -> None:
            message = messages.transcript(text)
            if message.transcript:
                job.heard(message.transcript)
            if message.is_last:
                socket.ended.set()

        socket.take = take
        job.opened()
        while await job.pace():
            await socket.send(BytesMessage(data=job.packet))
        await socket.send(TextMessage(data=CLOSE_STREAM))
        await socket.ended.wait()
        socket.transport.close()

    async def tts(self, url: str, job: TtsJob) -> None:
        """See `Client.tts`."""
        socket = await _connect(url + TTS_PATH)

        def take(text: str) -> None:
            message = messages.chunk(text)
            if message.data is not None:
                job.audio(len(message.data.audio))
            elif message.status == "complete":
                job.ended()
                socket.ended.set()

        socket.take = take
        while await job.again():
            socket.ended.clear()
            await socket.send(TextMessage(data=messages.encode({**REQUEST, "text": job.ask()}).decode()))
            await socket.ended.wait()
        socket.transport.close()
