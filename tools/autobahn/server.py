"""Our server wire, as what the suite's `fuzzingclient` tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from smallest_proto.wire import UpgradeReceived, WebSocketServerWire
from smallest_transports._asyncio_backend import AsyncioBackend, AsyncioStream
from smallest_transports._link import Link
from tools.autobahn.echo import EchoLayer

HOST = "127.0.0.1"


class _Accepted(AsyncioStream):
    """A stream that reports itself once it is connected."""

    def __init__(self, on_connected: Callable[[AsyncioStream], object]) -> None:
        super().__init__()
        self._on_connected = on_connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._on_connected(self)


async def _echo(stream: AsyncioStream) -> None:
    backend = AsyncioBackend()
    wire = WebSocketServerWire()
    link = Link(backend, stream, wire)
    try:
        wire.connect(backend.now())
        while (event := await link.next_event()) is not None:
            if isinstance(event, UpgradeReceived):
                wire.accept(EchoLayer(), backend.now())
                await link.flush()
    finally:
        await link.aclose()


@asynccontextmanager
async def echo_server() -> AsyncIterator[int]:
    """Echo on a free port of this machine, which is yielded, for as long as the block lasts."""
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as connections:
        running: set[asyncio.Task[None]] = set()

        def begin(stream: AsyncioStream) -> None:
            if not listener.is_serving():  # accepted in the very last moment
                stream.abort()
                return
            task = connections.create_task(_echo(stream))
            running.add(task)
            task.add_done_callback(running.discard)
            task.add_done_callback(lambda _: stream.abort())  # one cancelled before it ran closed nothing

        listener = await loop.create_server(lambda: _Accepted(begin), HOST, 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            for task in running:
                task.cancel()
