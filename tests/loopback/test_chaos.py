"""The chaos proxy: its schedules are the seed's alone, every mishap is felt at a socket, and calm loses no byte."""

import asyncio
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.errors import ConnectFailed, ProtocolError
from smallest_proto.pulse import StreamEnded
from smallest_transports.asyncio import connect_pulse
from smallest_transports.loopback import serve
from smallest_transports.loopback.chaos import ChaosProxy, Happening, chaos
from smallest_transports.loopback.chaos_schedule import (
    ENDINGS,
    FIELDS,
    HANDSHAKE_BYTES,
    HANDSHAKE_SECONDS,
    PAUSES,
    ChaosSchedule,
    Kind,
    Mishap,
    Way,
)
from sockets import WITHIN, Peer, free_port, raw_server, run, stall, until

ROOT = Path(__file__).parents[2]
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


async def settle() -> None:
    """Let a server accept what has reached it: asyncio's, closed in the middle of that, leaves a task."""
    for _ in range(10):
        await asyncio.sleep(0)


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


# schedules


def test_a_seed_is_a_schedule_for_ever() -> None:
    assert str(ChaosSchedule.from_seed(1, drops=4, over_bytes=100_000)) == GOLDEN
    assert ChaosSchedule.from_seed(5) == ChaosSchedule.from_seed(5)
    assert ChaosSchedule.from_seed(5) != ChaosSchedule.from_seed(6)


GOLDEN = """\
connection 0: RESET, at 21628 B total
connection 1: REFUSE, for 0.014 s
connection 1: CLOSE_AT_ONCE
connection 2: CLOSE_AT_ONCE
connection 3: REFUSE, for 0.223 s
connection 3: DUPLICATE
connection 3: STALL, of UP, for 0.271 s, at 16557 B total
connection 3: TRUNCATE, of DOWN, 16 B left"""


@given(
    seed=st.integers(0, 2**63 - 1),
    drops=st.integers(0, 20),
    counting=st.sampled_from(Way),
    over_bytes=st.integers(0, 10**7),
    over_seconds=st.none() | st.floats(0, 1000),
    longest_pause=st.floats(0, 10),
    first_opens=st.booleans(),
    kinds=st.sets(st.sampled_from(Kind)),
)
def test_so_many_connections_end_badly_and_then_all_is_calm(
    seed: int,
    drops: int,
    counting: Way,
    over_bytes: int,
    over_seconds: float | None,
    longest_pause: float,
    first_opens: bool,
    kinds: set[Kind],
) -> None:
    kinds.add(Kind.RESET)
    schedule = ChaosSchedule.from_seed(
        seed,
        drops=drops,
        counting=counting,
        over_bytes=over_bytes,
        over_seconds=over_seconds,
        longest_pause=longest_pause,
        first_opens=first_opens,
        kinds=kinds,
    )
    endings = [mishap for mishap in schedule.mishaps if mishap.kind in ENDINGS]
    assert [mishap.connection for mishap in endings] == list(range(drops))
    assert all(mishap.connection < drops for mishap in schedule.mishaps)
    assert {mishap.kind for mishap in schedule.mishaps} <= kinds
    slow = (*PAUSES, Kind.REFUSE)
    assert all((m.lasts or 0) <= longest_pause + 0.001 for m in schedule.mishaps if m.kind in slow)
    last = [max(m.up or 0, m.down or 0, m.total or 0) for n in range(drops) for m in schedule.of(n)[-1:]]
    if over_seconds is None:
        assert sum(max(0, count - HANDSHAKE_BYTES) for count in last) <= over_bytes
    else:
        waits = sum(mishap.after for mishap in schedule.mishaps)
        assert waits <= over_seconds + HANDSHAKE_SECONDS + 0.001 * len(schedule.mishaps)
    if first_opens:
        assert schedule.refusal(0) is None
        assert all(m.kind is not Kind.CLOSE_AT_ONCE for m in schedule.of(0))
        for m in schedule.of(0)[-1:] if over_seconds is None else []:
            before = max(max(b.up or 0, b.down or 0, b.total or 0) for b in schedule.of(0))
            assert before >= HANDSHAKE_BYTES, m


def test_seeds_draw_every_mishap() -> None:
    drawn = [ChaosSchedule.from_seed(seed) for seed in range(50)]
    assert {mishap.kind for schedule in drawn for mishap in schedule.mishaps} == set(Kind)


@given(st.integers(0, 1000))
def test_a_schedule_shows_each_of_its_mishaps(seed: int) -> None:
    schedule = ChaosSchedule.from_seed(seed)
    assert len(str(schedule).splitlines()) == len(schedule.mishaps)
    assert str(ChaosSchedule()) == "calm"


@pytest.mark.parametrize("kind", Kind)
def test_a_mishap_has_the_fields_of_its_kind_and_no_others(kind: Kind) -> None:
    values: dict[str, Any] = {"up": 1, "down": 1, "total": 1, "after": 1.0, "way": Way.UP}
    values |= {"lasts": 1.0, "size": 2, "pause": 1.0}
    for name, value in values.items():
        if name in FIELDS[kind]:
            assert getattr(Mishap(kind, 3, **{name: value}), name) == value
        else:
            with pytest.raises(ValueError, match=f"{name}: means nothing to {kind.name}"):
                Mishap(kind, 3, **{name: value})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Mishap("DROP"),  # type: ignore[arg-type]  # that is the point
            "kind='DROP'",
        ),
        (lambda: Mishap(Kind.DROP, -1), "connection=-1"),
        (lambda: Mishap(Kind.DROP, up=-1), "up=-1"),
        (lambda: Mishap(Kind.DROP, up=1, down=1), "at most one"),
        (lambda: Mishap(Kind.DROP, after=float("nan")), "after=nan"),
        (
            lambda: Mishap(Kind.STALL, way="up"),  # type: ignore[arg-type]  # that is the point
            "way='up'",
        ),
        (lambda: Mishap(Kind.TRUNCATE, size=0), "size=0"),
        (lambda: ChaosSchedule([Mishap(Kind.DROP), Mishap(Kind.STALL)]), "STALL never happens"),
        (lambda: ChaosSchedule([Mishap(Kind.STALL), Mishap(Kind.DROP)]), "DROP never happens"),
        (lambda: ChaosSchedule([Mishap(Kind.REFUSE, lasts=1)] * 2), "more than one REFUSE"),
        (lambda: ChaosSchedule.from_seed(-1), "seed=-1"),
        (lambda: ChaosSchedule.from_seed(1, drops=-1), "drops=-1"),
        (lambda: ChaosSchedule.from_seed(1, over_bytes=-1), "over_bytes=-1"),
        (lambda: ChaosSchedule.from_seed(1, over_seconds=-1), "over_seconds=-1"),
        (lambda: ChaosSchedule.from_seed(1, longest_pause=-1), "longest_pause=-1"),
        (lambda: ChaosSchedule.from_seed(1, kinds=[Kind.STALL]), "kinds: expected one that ends"),
        (lambda: ChaosSchedule.from_seed(1, kinds=[Kind.CLOSE_AT_ONCE]), "kinds: expected one that ends"),
    ],
)
def test_nonsense_is_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        make()


# calm


def pauses() -> st.SearchStrategy[list[Mishap]]:
    """What slows a connection and loses nothing."""
    moments = st.fixed_dictionaries({}, optional={"up": st.integers(0, 3000)}) | st.fixed_dictionaries(
        {}, optional={"down": st.integers(0, 3000)}
    )
    brief, ways = st.sampled_from([0.0, 0.002, 0.01]), st.sampled_from(Way)
    stalls = st.builds(Mishap, st.just(Kind.STALL), way=ways, lasts=brief)
    slow = st.builds(
        Mishap,
        st.sampled_from((Kind.TRICKLE,)),
        way=ways,
        lasts=brief,
        size=st.integers(1, 50),
        pause=st.just(0.0005),
    )
    delays = st.builds(Mishap, st.just(Kind.DELAY), way=ways, lasts=brief, pause=st.just(0.001))
    twice = st.just(Mishap(Kind.DUPLICATE))

    def at(mishap: Mishap, moment: dict[str, int]) -> Mishap:
        fields = {name: getattr(mishap, name) for name in FIELDS[mishap.kind]}
        return Mishap(mishap.kind, **(fields | moment))

    return st.lists(st.builds(at, stalls | slow | delays | twice, moments), max_size=3)


@settings(max_examples=40)
@given(
    up=st.lists(st.binary(min_size=1, max_size=2000), max_size=5),
    down=st.lists(st.binary(min_size=1, max_size=2000), max_size=5),
    mishaps=pauses(),
)
def test_without_an_ending_every_byte_arrives_in_order_and_so_do_the_ends(
    up: list[bytes], down: list[bytes], mishaps: list[Mishap]
) -> None:
    heard: list[bytes] = []

    async def server(peer: Peer) -> None:
        for piece in down:
            peer.send(piece)
            await peer.writer.drain()
            await asyncio.sleep(0)
        peer.writer.write_eof()
        heard.append(await all_that_comes(peer.reader))

    async def main() -> None:
        async with through(server, *mishaps) as proxy, client_of(proxy) as (reader, writer):
            for piece in up:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            assert await all_that_comes(reader) == b"".join(down)  # the server's end is not ours
            writer.write_eof()
            await until(lambda: b"".join(up) in heard)
            await until(lambda: {"the client has hung up", "the server has hung up"} <= set(whats(proxy)))
            assert (proxy.log[-1].up, proxy.log[-1].down) == (len(b"".join(up)), len(b"".join(down)))

    run(main())


def test_a_reset_is_passed_on() -> None:
    async def resetting(peer: Peer) -> None:
        await peer.reader.readexactly(1)
        peer.reset()

    async def main() -> None:
        listener = Listener()
        async with through(resetting) as proxy, client_of(proxy) as (reader, writer):
            writer.write(b"x")
            with pytest.raises(ConnectionResetError):
                await all_that_comes(reader)
        async with through(listener) as proxy, client_of(proxy) as (reader, writer):
            writer.write(b"x")
            await until(lambda: listener.heard == [b"x"])
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            writer.transport.abort()
            await until(lambda: listener.resets == 1)
            assert "broken, client to server: ConnectionResetError" in whats(proxy)

    run(main())


@pytest.mark.parametrize("stalled", [False, True])
def test_who_does_not_read_holds_the_sender_back(stalled: bool) -> None:
    sent = 0

    async def talkative(peer: Peer) -> None:
        nonlocal sent
        while True:
            peer.send(bytes(65536))
            sent += 65536
            await peer.writer.drain()

    async def main() -> None:
        mishaps = [Mishap(Kind.STALL, down=100_000)] if stalled else []
        async with through(talkative, *mishaps) as proxy, client_of(proxy) as (reader, _):
            if not stalled:
                reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a client that is busy
            tracemalloc.start()
            try:
                await stall(lambda: sent, 64 * 1024 * 1024)
                assert tracemalloc.get_traced_memory()[1] < 2 * 1024 * 1024
            finally:
                tracemalloc.stop()
            if stalled:
                assert await reader.readexactly(100_000) == bytes(100_000)
                assert proxy.log[-1].down == 100_000

    run(main())


def test_tls_passes_through() -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(theirs)

    async def main() -> None:
        async with (
            serve(ssl_context=theirs) as server,
            chaos("localhost", server.port, ChaosSchedule([Mishap(Kind.DROP, total=20_000)])) as proxy,
        ):
            url = proxy.url_for(server.url)
            assert url == f"https://localhost:{proxy.port}/waves/v1"
            with pytest.raises(ProtocolError):
                await converse(url, ours)
            await converse(url, ours)

    run(main())


async def converse(url: str, context: ssl.SSLContext | None = None) -> None:
    stream = connect_pulse(base_url=url, api_key="any", ssl_context=context, resume=False)
    async with stream:
        await stream.send_audio(bytes(32000))
        await stream.end_input()
        assert isinstance([event async for event in stream][-1], StreamEnded)


# mishaps


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


def test_a_mishap_by_the_clock_follows_its_bytes() -> None:
    async def main() -> None:
        async with through(echo, Mishap(Kind.DROP, up=5, after=0.2)) as proxy:
            async with client_of(proxy) as (reader, writer):
                writer.write(SOME)
                assert await all_that_comes(reader) == SOME  # all that is said goes on meanwhile
            ended = next(entry for entry in proxy.log if entry.what.startswith("DROP"))
            assert ended.seconds > 0.15

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


# the proxy


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


# the command


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    paths = [str(ROOT), str(ROOT / "transports"), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "smallest_transports.cli", "serve", "--engine", "scripted", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONASYNCIODEBUG": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_has_a_chaos_mode() -> None:
    port = free_port()
    with command("--port", str(port), "--chaos", "1", "--chaos-drops", "2") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/waves/v1" in line
        assert "chaos of seed 1" in line
        url = f"http://127.0.0.1:{port}/waves/v1"

        async def main() -> None:
            while True:  # until the two drops are over
                with suppress(ProtocolError):
                    for _ in range(8):
                        await converse(url)
                    return

        run(main())
        process.terminate()
        _, told = process.communicate(timeout=WITHIN)
        assert process.returncode == 0
        for mishap in ChaosSchedule.from_seed(1, drops=2).mishaps:
            if mishap.kind is Kind.CLOSE_AT_ONCE:
                assert f"connection {mishap.connection}: {mishap}" in told
        assert "connection 2: accepted" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--chaos-drops", "3"], "--chaos"),
        (["--chaos", "-1"], "seed=-1"),
        (["--chaos", "1", "--chaos-drops", "-1"], "drops=-1"),
        (["--chaos", "1", "--port", "70000"], "port=70000"),
    ],
)
def test_bad_settings_of_the_command_are_one_line(arguments: list[str], words: str) -> None:
    with command(*arguments) as process:
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err.count("\n")) == (2, 1)
    assert words in err
