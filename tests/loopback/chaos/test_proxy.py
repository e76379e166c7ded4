"""The proxy itself: its log, its port, its end, and servers that are not there."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from loopback.chaos.ends import (
    SOME,
    Client,
    Listener,
    all_that_comes,
    before,
    client_of,
    converse,
    echo,
    through,
    whats,
)
from smallest_proto.errors import ConnectFailed, ProtocolError
from smallest_transports.loopback import serve
from smallest_transports.loopback.chaos import Happening, chaos
from smallest_transports.loopback.chaos_schedule import ChaosSchedule, Kind, Mishap
from sockets import free_port, raw_server, run, until


async def settle() -> None:
    """Let a server accept what has reached it: asyncio's, closed in the middle of that, leaves a task."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_the_log_tells_what_happened_in_order() -> None:
    async def main() -> None:
        told: list[Happening] = []
        drop = Mishap(Kind.DROP, 0, up=5)
        async with through(echo, drop, tell=told.append) as proxy:
            async with client_of(proxy) as (reader, writer):
                writer.write(bytes(9))
                await all_that_comes(reader)
            async with client_of(proxy):
                await until(lambda: proxy.accepted == 2)
            await until(lambda: "the client has hung up" in whats(proxy, 1))
            assert whats(proxy) == ["accepted", "DROP, at 5 B up"]
            assert "connection 0: DROP, at 5 B up (5 B up, " in str(proxy.log[1])
            assert [entry.seconds for entry in proxy.log] == sorted(entry.seconds for entry in proxy.log)
            assert list(proxy.log) == told

    run(main())


def test_a_server_that_is_not_there_closes_the_client() -> None:
    async def main() -> None:
        async with chaos("127.0.0.1", free_port(), ChaosSchedule([Mishap(Kind.DROP, up=3)])) as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            assert await all_that_comes(reader) == b""
            writer.close()
            await writer.wait_closed()
            assert "cannot be reached" in whats(proxy)[1]

    run(main())


def test_a_second_connection_that_fails_harms_nothing() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: peers.append((r, w)), "127.0.0.1", 0)
        peers: list[Client] = []
        port = server.sockets[0].getsockname()[1]
        twice = before(f"http://127.0.0.1:{port}", Mishap(Kind.DUPLICATE, up=5))
        async with twice as proxy, client_of(proxy) as (reader, writer):
            await until(lambda: peers)
            server.close()
            writer.write(b"hello again")
            assert await peers[0][0].readexactly(11) == b"hello again"
            await until(lambda: "no second connection" in whats(proxy)[-1])
            peers[0][1].write(b"still here")
            assert await reader.readexactly(10) == b"still here"
        peers[0][1].transport.abort()

    run(main())


@pytest.mark.parametrize(
    "mishap",
    [
        None,
        Mishap(Kind.STALL),
        Mishap(Kind.TRICKLE, pause=0.01),
        Mishap(Kind.DUPLICATE),
        Mishap(Kind.DROP, down=5),
        Mishap(Kind.TRUNCATE, down=10**6),
    ],
    ids=str,
)
def test_its_end_cuts_everything(mishap: Mishap | None) -> None:
    """The runner fails for a task or a socket that is left."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    port = 0

    async def main() -> None:
        listener = Listener(SOME)
        async with raw_server(listener) as url:

            async def fail() -> None:
                nonlocal reader, writer, port
                async with before(url, *([mishap] if mishap else [])) as proxy:
                    port = proxy.port
                    reader, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.write(SOME)
                    await until(lambda: listener.heard)
                    raise KeyError("mine")

            with pytest.raises(KeyError, match="mine"):
                await fail()
            await settle()
            with suppress(ConnectionResetError):
                await all_that_comes(reader)
            writer.close()
            with suppress(ConnectionResetError):
                await writer.wait_closed()
            await until(lambda: listener.gone == len(listener.heard))
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)

    run(main())


@pytest.mark.parametrize("turns", range(12))
def test_it_can_be_cancelled_at_any_moment(turns: int) -> None:
    async def main() -> None:
        async with raw_server(echo) as url:

            async def proxied() -> None:
                mishaps = [Mishap(Kind.DUPLICATE), Mishap(Kind.DROP, up=9), Mishap(Kind.REFUSE, 1, lasts=0)]
                async with before(url, *mishaps) as proxy, client_of(proxy) as (reader, writer):
                    writer.write(bytes(9))
                    with suppress(ConnectionResetError):
                        await all_that_comes(reader)
                    await asyncio.Event().wait()

            task = asyncio.create_task(proxied())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await settle()

    run(main())


@pytest.mark.parametrize("port", [-1, 65536, "80"])
def test_an_impossible_port_is_refused(port: Any) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="port="):
            await chaos("127.0.0.1", 80, ChaosSchedule(), port=port).__aenter__()
        with pytest.raises(ValueError, match="target_port="):
            await chaos("127.0.0.1", port, ChaosSchedule()).__aenter__()

    run(main())


def test_a_taken_port_is_an_error() -> None:
    async def main() -> None:
        async with through(echo) as proxy:
            with pytest.raises(OSError, match="in use"):
                await chaos("127.0.0.1", 80, ChaosSchedule(), port=proxy.port).__aenter__()

    run(main())


@pytest.mark.parametrize("seed", range(6))
def test_clients_that_come_back_meet_every_drop_and_then_are_served(seed: int) -> None:
    async def main() -> None:
        schedule = ChaosSchedule.from_seed(seed, drops=5, over_bytes=50_000, longest_pause=0.05)
        async with serve() as server, chaos("127.0.0.1", server.port, schedule) as proxy:
            failures = 0
            while proxy.accepted <= 5:
                try:
                    await converse(proxy.url)
                except ConnectFailed:
                    await asyncio.sleep(0.01)
                except ProtocolError:
                    failures += 1
                assert failures <= 5
            await converse(proxy.url)
            assert "calm" not in str(schedule)

    run(main())
