"""What is no ending loses no byte, and what the ends do themselves is passed on."""

import asyncio
import socket
import ssl
import tracemalloc

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from loopback.chaos.ends import Listener, all_that_comes, client_of, converse, through, whats
from smallest_proto.errors import ProtocolError
from smallest_transports.loopback import serve
from smallest_transports.loopback.chaos import chaos
from smallest_transports.loopback.chaos_schedule import FIELDS, ChaosSchedule, Kind, Mishap, Way
from sockets import Peer, run, stall, until


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
