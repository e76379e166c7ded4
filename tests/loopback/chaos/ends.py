"""A chaos proxy before a server, and what its two ends say and hear."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from smallest_proto.pulse import StreamEnded
from smallest_transports.asyncio import connect_pulse
from smallest_transports.loopback.chaos import ChaosProxy, chaos
from smallest_transports.loopback.chaos_schedule import ChaosSchedule, Mishap
from sockets import Peer, raw_server

SOME = bytes(range(256)) * 40

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def through(
    behave: Callable[[Peer], Awaitable[None]], *mishaps: Mishap, **options: Any
) -> AsyncIterator[ChaosProxy]:
    async with raw_server(behave) as url, before(url, *mishaps, **options) as proxy:
        yield proxy


def before(url: str, *mishaps: Mishap, **options: Any) -> AbstractAsyncContextManager[ChaosProxy]:
    return chaos("127.0.0.1", urlsplit(url).port or 0, ChaosSchedule(mishaps), **options)


@asynccontextmanager
async def client_of(proxy: ChaosProxy) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def echo(peer: Peer) -> None:
    while data := await peer.reader.read(65536):
        peer.send(data)
        await peer.writer.drain()


class Listener:
    """A server that says something at first, then listens to the end. Keeps what each connection said."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.greeting = greeting
        self.heard: list[bytearray] = []
        self.resets = 0
        self.gone = 0

    async def __call__(self, peer: Peer) -> None:
        heard = bytearray()
        self.heard.append(heard)
        peer.send(self.greeting)
        try:
            while data := await peer.reader.read(65536):
                heard += data
        except ConnectionError:
            self.resets += 1
        finally:
            self.gone += 1


async def all_that_comes(reader: asyncio.StreamReader) -> bytes:
    """Up to FIN; RST raises."""
    return await reader.read(-1)


def whats(proxy: ChaosProxy, connection: int = 0) -> list[str]:
    return [entry.what for entry in proxy.log if entry.connection == connection]


async def converse(url: str, context: ssl.SSLContext | None = None) -> None:
    stream = connect_pulse(base_url=url, api_key="any", ssl_context=context, resume=False)
    async with stream:
        await stream.send_audio(bytes(32000))
        await stream.end_input()
        assert isinstance([event async for event in stream][-1], StreamEnded)
