"""Mishaps that end a connection, or keep it from opening, are felt at the sockets."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loopback.chaos.ends import SOME, Listener, all_that_comes, client_of, echo, through, whats
from smallest_transports.loopback.chaos_schedule import Kind, Mishap, Way
from sockets import run, until


@given(
    st.integers(0, 3000), st.sampled_from(["up", "down", "total"]), st.sampled_from([Kind.DROP, Kind.RESET])
)
@settings(max_examples=30)
def test_an_ending_comes_at_its_byte_exactly(count: int, side: str, kind: Kind) -> None:
    async def main() -> None:
        listener = Listener(SOME)
        async with through(listener, Mishap(kind, **{side: count})) as proxy:  # type: ignore[arg-type]  # up, down
            async with client_of(proxy) as (reader, writer):
                writer.write(SOME)
                came = bytearray()
                try:
                    while data := await reader.read(1000):
                        came += data
                except ConnectionResetError:
                    assert kind is Kind.RESET
                await until(lambda: listener.gone)
            [mishap] = [entry for entry in proxy.log if entry.what.startswith(kind.name)]
            counts = {"up": mishap.up, "down": mishap.down, "total": mishap.up + mishap.down}
            assert counts[side] == count
            assert SOME.startswith(bytes(listener.heard[0]))
            assert SOME.startswith(bytes(came))
            if kind is Kind.DROP:  # nothing that was forwarded is lost
                assert (len(listener.heard[0]), len(came)) == (mishap.up, mishap.down)
                assert listener.resets == 0

    run(main())


def test_a_drop_is_fin_even_to_a_client_that_goes_on_talking() -> None:
    async def main() -> None:
        listener = Listener(b"hello")
        async with through(listener, Mishap(Kind.DROP, up=10)) as proxy, client_of(proxy) as (reader, writer):
            writer.write(bytes(1000))
            assert await all_that_comes(reader) == b"hello"[: proxy.log[-1].down]
            for _ in range(5):
                writer.write(bytes(1000))
                await writer.drain()
                await asyncio.sleep(0.01)  # for an answer of RST, which must not come
            await until(lambda: listener.gone)
            assert listener.heard == [bytes(10)]
            assert listener.resets == 0

    run(main())


def test_a_reset_reaches_both_ends() -> None:
    async def main() -> None:
        listener = Listener()
        async with (
            through(listener, Mishap(Kind.RESET, up=10)) as proxy,
            client_of(proxy) as (reader, writer),
        ):
            writer.write(bytes(10))
            with pytest.raises(ConnectionResetError):
                await all_that_comes(reader)
            await until(lambda: listener.resets == 1)

    run(main())


@pytest.mark.parametrize(("size", "kept"), [(1, 1), (7, 7), (5000, 99)])
def test_what_is_truncated_ends_within_what_was_said(size: int, kept: int) -> None:
    async def main() -> None:
        listener = Listener(bytes(100))
        cut = Mishap(Kind.TRUNCATE, up=10, way=Way.UP, size=size)
        async with through(listener, cut) as proxy, client_of(proxy) as (reader, writer):
            assert await reader.readexactly(100) == bytes(100)
            writer.write(bytes(10))
            await until(lambda: whats(proxy)[-1].startswith("TRUNCATE"))
            writer.write(bytes(100))
            assert await all_that_comes(reader) == b""
            await until(lambda: listener.gone)
            assert listener.heard == [bytes(10 + kept)]
        cut = Mishap(Kind.TRUNCATE, way=Way.DOWN, size=size)
        async with through(listener, cut) as proxy, client_of(proxy) as (reader, _):
            assert await all_that_comes(reader) == bytes(kept)

    run(main())


def test_closed_at_once_the_server_hears_nothing() -> None:
    async def main() -> None:
        listener = Listener(b"hello")
        async with through(listener, Mishap(Kind.CLOSE_AT_ONCE, 1)) as proxy:
            async with client_of(proxy) as (first, _), client_of(proxy) as (reader, writer):
                writer.write(b"anybody?")
                assert await all_that_comes(reader) == b""
                assert await first.readexactly(5) == b"hello"
            assert len(listener.heard) == 1
            async with client_of(proxy) as (reader, _):
                assert await reader.readexactly(5) == b"hello"

    run(main())


@pytest.mark.parametrize("connection", [0, 1])
def test_a_refused_client_finds_the_port_closed_for_a_while(connection: int) -> None:
    async def main() -> None:
        drop, refuse = Mishap(Kind.DROP, 0, up=5), Mishap(Kind.REFUSE, connection, lasts=0.3)
        async with through(echo, *([drop] if connection else []), refuse) as proxy:
            if connection:
                async with client_of(proxy) as (reader, writer):
                    writer.write(bytes(9))
                    assert len(await all_that_comes(reader)) <= 5
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
            await until(lambda: whats(proxy, connection)[-1] == "accepted from here on")
            async with client_of(proxy) as (reader, writer):
                writer.write(b"again")
                assert await reader.readexactly(5) == b"again"
            assert proxy.accepted == connection + 1

    run(main())


def test_a_proxy_may_refuse_for_ever_and_still_end() -> None:
    async def main() -> None:
        async with through(echo, Mishap(Kind.REFUSE)) as proxy:
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
        async with through(echo, Mishap(Kind.REFUSE, lasts=60)):
            pass

    run(main())


def test_nobody_is_refused_who_is_there_already() -> None:
    async def main() -> None:
        async with through(echo, Mishap(Kind.DROP, up=5), Mishap(Kind.REFUSE, 1)) as proxy:
            async with client_of(proxy) as (reader, writer), client_of(proxy) as (other, another):
                await until(lambda: proxy.accepted == 2)
                writer.write(bytes(5))
                await all_that_comes(reader)
                another.write(b"here")
                assert await other.readexactly(4) == b"here"
            async with client_of(proxy) as (reader, writer):
                writer.write(b"too")
                assert await reader.readexactly(3) == b"too"

    run(main())


def test_a_mishap_by_the_clock_follows_its_bytes() -> None:
    async def main() -> None:
        async with through(echo, Mishap(Kind.DROP, up=5, after=0.2)) as proxy:
            async with client_of(proxy) as (reader, writer):
                writer.write(SOME)
                assert await all_that_comes(reader) == SOME  # all that is said goes on meanwhile
            ended = next(entry for entry in proxy.log if entry.what.startswith("DROP"))
            assert ended.seconds > 0.15

    run(main())
