"""What the conformance suite is given to test: an echo, over both ends of the wire, and over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.endpoints import upgrade_request
from smallest_proto.errors import ConnectFailed
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.wire import State, WebSocketServerWire, WebSocketWire
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._link import Link
from tools.autobahn.echo import EchoLayer
from tools.autobahn.server import HOST, echo_server

MESSAGES = st.lists(st.text() | st.binary(), max_size=5)


class Asking(EchoLayer):
    """Sends some messages, keeps what comes back, and closes when it has as many."""

    def __init__(self, messages: list[str | bytes]) -> None:
        super().__init__()
        self.outbox += messages
        self.wanted = len(messages)
        self.heard: list[str | bytes] = []

    def receive_open(self, now: float) -> None:
        self._close_when_done()

    def receive_message(self, message: str | bytes, now: float) -> None:
        self.heard.append(message)
        self._close_when_done()

    def _close_when_done(self) -> None:
        if len(self.heard) == self.wanted:
            self.request_close(4000, "done")


def events(next_event: Callable[[], object]) -> list[object]:
    found: list[object] = []
    while isinstance(event := next_event(), Event):
        found.append(event)
    return found


@given(MESSAGES)
def test_every_message_comes_back_as_it_was(messages: list[str | bytes]) -> None:
    asking = Asking(messages)
    client = WebSocketWire(asking, upgrade_request("ws://localhost", "/", (), api_key=None))
    server = WebSocketServerWire()
    client.connect(0.0)
    server.connect(0.0)
    heard: list[object] = []
    while data := client.data_to_send():
        server.receive_data(data, 0.0)
        heard += events(server.next_event)
        if server.state is State.DECIDING:
            server.accept(EchoLayer(), 0.0)
        client.receive_data(server.data_to_send(), 0.0)
    assert asking.heard == messages
    assert [type(message) for message in asking.heard] == [type(message) for message in messages]
    closed = ConnectionClosed(code=4000, reason="done", expected=True)
    assert heard[-1] == closed == events(client.next_event)[-1]
    assert client.finished
    assert server.finished


def test_an_echo_given_up_from_its_own_side_closes_normally() -> None:
    echo = EchoLayer()
    echo.close(0.0)
    assert echo.close_requested == (1000, "")


async def visit(port: int, layer: EchoLayer, opened: asyncio.Event) -> None:
    """One connection to the server, to its end."""
    backend = AsyncioBackend()
    wire = WebSocketWire(layer, upgrade_request(f"ws://{HOST}:{port}", "/", (), api_key=None))
    link = Link(backend, await backend.connect(HOST, port, timeout=10.0), wire)
    wire.connect(backend.now())
    await link.flush()
    while await link.next_event() is not None:
        opened.set()
    await link.aclose()


def test_the_echo_server_echoes_and_ends_with_its_block() -> None:
    async def play() -> None:
        async with asyncio.timeout(30):
            async with echo_server() as port:
                for _ in range(2):
                    asking = Asking(["text", b"binary"])
                    await visit(port, asking, asyncio.Event())
                    assert asking.heard == ["text", b"binary"]
                opened = asyncio.Event()
                hanging = asyncio.create_task(visit(port, EchoLayer(), opened))
                await opened.wait()
            await hanging
            with pytest.raises(ConnectFailed):
                await visit(port, EchoLayer(), asyncio.Event())
            assert len(asyncio.all_tasks()) == 1

    asyncio.run(play())
