"""How a `Stream` ends, on every loop and carrier: closed by either side, in the middle of anything, well or badly."""

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import pytest

from loops import EVERY_NET, Net, until
from smallest_proto.errors import ConnectionLost
from smallest_transports._backend import CLOSE_TIMEOUT, Stream
from sockets import Peer
from sockets import until as until_there

MEGABYTE = 1024 * 1024


async def never_reads(peer: Peer) -> None:
    peer.send(b"hello")
    peer.stop_reading()
    await anyio.sleep_forever()


async def reads(peer: Peer) -> None:
    peer.send(b"hello")
    await peer.until_gone()


async def hang_up(peer: Peer) -> None:
    peer.send(b"bye")


async def cut(peer: Peer) -> None:
    """No goodbye of TLS, only the end of TCP."""
    peer.send(b"bye")
    await peer.writer.drain()
    transport = peer.writer.transport
    if (protocol := getattr(transport, "_ssl_protocol", None)) is not None:
        transport = protocol._transport
    transport.close()


async def reset(peer: Peer) -> None:
    await peer.reader.readexactly(1)
    peer.reset()


@EVERY_NET
@pytest.mark.parametrize("end", [hang_up, cut], ids=["properly", "cut"])
def test_the_end_is_no_bytes_again_and_again(net: Net, end: Callable[[Peer], Awaitable[None]]) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        heard = b""
        while piece := await stream.read(None):
            heard += piece
        assert heard == b"bye"
        for deadline in (None, 0.0, net.backend.now() + 1):
            assert await stream.read(deadline) == b""
        await stream.aclose()

    with net.raw(end) as url:
        net.run(main)


async def write_for_a_while(stream: Stream) -> None:
    for _ in range(100):  # TCP may take one for good before it knows
        await stream.write(b"x", None)
        await anyio.sleep(0.01)


@EVERY_NET
def test_after_a_reset_reads_end_and_writes_fail(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        await stream.write(b"x", None)
        assert await stream.read(None) == b""
        with pytest.raises(ConnectionLost) as caught:
            await write_for_a_while(stream)
        assert caught.value == ConnectionLost("the connection is gone", status=1006)
        with pytest.raises(ConnectionLost):
            await stream.write(b"", None)
        assert await stream.read(None) == b""
        await stream.aclose()

    with net.raw(reset) as url:
        net.run(main)


@EVERY_NET
def test_what_came_before_a_reset_is_read_though_a_write_failed_first(net: Net) -> None:
    gone = threading.Event()

    async def behave(peer: Peer) -> None:
        await peer.reader.readexactly(1)
        peer.send(b"last words")
        await peer.writer.drain()
        peer.reset()
        await asyncio.sleep(0.01)  # the reset leaves in the loop's next turn
        gone.set()

    async def main() -> None:
        stream = await net.stream_to(url)
        await stream.write(b"x", None)
        gone.wait(5)  # the loop is held up on purpose: it is not to read before it writes
        with suppress(ConnectionLost):
            await stream.write(b"x", None)
            await stream.write(b"x", None)
        heard = b""
        while piece := await stream.read(None):
            heard += piece
        assert heard == b"last words"
        await stream.aclose()

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_writes_fail_once_the_server_has_hung_up(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        while await stream.read(None):
            pass
        with pytest.raises(ConnectionLost):
            await write_for_a_while(stream)
        await stream.aclose()

    with net.raw(hang_up) as url:
        net.run(main)


@EVERY_NET
def test_a_write_that_waits_learns_of_the_end(net: Net) -> None:
    waiting = threading.Event()

    async def behave(peer: Peer) -> None:
        peer.stop_reading()
        await until_there(waiting.is_set)
        peer.reset()

    async def main() -> None:
        stream = await net.stream_to(url)

        async def write() -> None:
            with pytest.raises(ConnectionLost):
                await stream.write(bytes(16 * MEGABYTE), None)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            assert stream.clogged
            waiting.set()
        await stream.aclose()

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_closing_ends_reads_and_writes_of_other_tasks(net: Net, short_close: float) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        assert await stream.read(None) == b"hello"  # or asyncio's server may still be in its handshake
        ended: list[str] = []

        async def read() -> None:
            while (data := await stream.read(None)) is None:
                pass  # the other was given bytes: TLS has some of its own
            assert data == b""
            ended.append("read")

        async def write() -> None:
            with pytest.raises(ConnectionLost):
                await stream.write(bytes(16 * MEGABYTE), None)
            ended.append("write")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            tasks.start_soon(read)
            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            begun = net.backend.now()
            await stream.aclose()
            assert net.backend.now() - begun < 2 * short_close + 0.7
        assert sorted(ended) == ["read", "read", "write"]

    with net.raw(never_reads) as url:
        net.run(main)


@EVERY_NET
def test_what_was_written_leaves_before_the_socket_closes(net: Net) -> None:
    heard = 0
    gone = threading.Event()

    async def behave(peer: Peer) -> None:
        nonlocal heard
        peer.send(b"hello")
        while data := await peer.reader.read(65536):
            heard += len(data)
        gone.set()

    async def main() -> None:
        stream = await net.stream_to(url)
        assert await stream.read(None) == b"hello"  # bytes left unread would turn the end into a reset
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.write(bytes(MEGABYTE), None)
        await stream.aclose()
        await until(gone.is_set)
        assert heard == MEGABYTE

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_closing_again_and_at_the_same_time(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        assert await stream.read(None) == b"hello"  # or asyncio's server may still be in its handshake
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(stream.aclose)
        await stream.aclose()
        assert await stream.read(None) == b""
        with pytest.raises(ConnectionLost):
            await stream.write(b"x", None)
        stream.wake()

    with net.raw(reads) as url:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize("full", [False, True])
def test_closing_while_cancelled_closes_at_once(net: Net, full: bool) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        assert await stream.read(None) == b"hello"  # or asyncio's server may still be in its handshake
        if full:
            await stream.write(bytes(16 * MEGABYTE), 0.0)
        begun = net.backend.now()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await stream.aclose()
        assert net.backend.now() - begun < CLOSE_TIMEOUT
        await stream.aclose()
        assert await stream.read(None) == b""

    with net.raw(never_reads) as url:
        net.run(main)


@EVERY_NET
def test_unread_bytes_do_not_keep_a_stream_open(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await peer.pour(bytes(65536))

    async def main() -> None:
        stream = await net.stream_to(url)
        assert await stream.read(None)
        await anyio.sleep(0.05)  # more has come than a stream holds
        await stream.aclose()
        with anyio.fail_after(5):
            while await stream.read(None):
                pass

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_the_goodbye_of_tls_is_said(net: Net) -> None:
    ends: list[bytes | type[Exception]] = []

    async def behave(peer: Peer) -> None:
        try:
            ends.append(await peer.reader.read(1))
        except (ssl.SSLError, OSError) as error:  # what asyncio makes of a cut
            ends.append(type(error))

    async def main() -> None:
        stream = await net.stream_to(url)
        await stream.aclose()
        await until(lambda: ends)
        assert ends == [b""]

    with net.raw(behave) as url:
        net.run(main)
