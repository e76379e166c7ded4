"""Mishaps that slow a connection down, or double it, are felt at the sockets."""

import asyncio
import time

import pytest

from loopback.chaos.ends import SOME, Listener, all_that_comes, client_of, echo, through, whats
from smallest_transports.loopback.chaos_schedule import Kind, Mishap, Way
from sockets import run, until


@pytest.mark.parametrize("way", Way)
def test_a_stall_holds_its_direction_and_no_other(way: Way) -> None:
    async def main() -> None:
        listener = Listener(b"hello")
        async with (
            through(listener, Mishap(Kind.STALL, way=way)) as proxy,
            client_of(proxy) as (reader, writer),
        ):
            writer.write(b"hello")
            await until(lambda: len(listener.heard) == 1)
            if way is Way.DOWN:
                await until(lambda: listener.heard == [b"hello"])
            elif way is Way.UP:
                assert await reader.readexactly(5) == b"hello"
            with pytest.raises(TimeoutError):  # what would come comes within a turn of the loop
                async with asyncio.timeout(0.1):
                    await (reader.read(1) if way is not Way.UP else until(lambda: listener.heard[0]))

    run(main())


def test_a_stall_ends_in_calm_or_in_the_next_mishap() -> None:
    async def main() -> None:
        stalled = Mishap(Kind.STALL, up=3, lasts=0.2)
        async with through(echo, stalled) as proxy, client_of(proxy) as (reader, writer):
            began = time.monotonic()
            writer.write(SOME)
            assert await reader.readexactly(len(SOME)) == SOME
            assert time.monotonic() - began > 0.15
        async with through(Listener(), stalled, Mishap(Kind.RESET)) as proxy:
            async with client_of(proxy) as (reader, writer):
                writer.write(SOME)
                with pytest.raises(ConnectionResetError):
                    await all_that_comes(reader)
            assert (proxy.log[-1].up, proxy.log[-1].what) == (3, "RESET")

    run(main())


def test_a_stall_that_lasts_gives_way_to_the_bytes_of_the_next_mishap() -> None:
    async def main() -> None:
        listener = Listener(SOME)
        stalled, drop = Mishap(Kind.STALL, down=100, way=Way.DOWN), Mishap(Kind.DROP, up=500)
        async with through(listener, stalled, drop) as proxy, client_of(proxy) as (reader, writer):
            assert await reader.readexactly(100) == SOME[:100]
            await until(lambda: whats(proxy)[-1].startswith("STALL"))
            writer.write(SOME)
            assert await all_that_comes(reader) == b""
            await until(lambda: listener.gone)
            assert listener.heard == [SOME[:500]]
        at_once = Mishap(Kind.STALL, way=Way.DOWN)
        async with through(listener, at_once, drop) as proxy, client_of(proxy) as (reader, writer):
            writer.write(SOME)
            assert await all_that_comes(reader) == b""
            assert proxy.log[-1].up == 500
        slow = Mishap(Kind.TRICKLE, size=99, pause=0.001, lasts=0.02)
        async with through(listener, slow, drop) as proxy, client_of(proxy) as (reader, writer):
            writer.write(SOME)
            await all_that_comes(reader)
            assert proxy.log[-1].up == 500

    run(main())


def test_a_trickle_is_a_few_bytes_at_a_time() -> None:
    async def main() -> None:
        trickle = Mishap(Kind.TRICKLE, way=Way.DOWN, size=3, pause=0.02)
        async with through(Listener(bytes(20)), trickle) as proxy, client_of(proxy) as (reader, _):
            pieces: list[int] = []
            while sum(pieces) < 20:
                pieces.append(len(await reader.read(1000)))
            assert len(pieces) > 3  # seven, unless this process was kept waiting
            assert sum(pieces) == 20

    run(main())


def test_a_delay_holds_up_all_that_comes() -> None:
    async def main() -> None:
        delay = Mishap(Kind.DELAY, way=Way.UP, pause=0.1)
        async with through(echo, delay) as proxy, client_of(proxy) as (reader, writer):
            for _ in range(2):
                began = time.monotonic()
                writer.write(SOME)
                await reader.readexactly(len(SOME))
                assert time.monotonic() - began > 0.05

    run(main())


def test_a_duplicate_is_one_more_idle_connection() -> None:
    async def main() -> None:
        listener = Listener(b"hello")
        async with through(listener, Mishap(Kind.DUPLICATE)) as proxy:
            async with client_of(proxy) as (reader, writer):
                assert await reader.readexactly(5) == b"hello"
                writer.write(b"hello")
                await until(lambda: sorted(listener.heard) == [b"", b"hello"])
                assert listener.gone == 0
            await until(lambda: listener.gone == 2)

    run(main())
