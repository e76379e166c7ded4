"""What `Stream` promises on every loop and carrier, in the face of deadlines and of cancellation."""

import asyncio
import threading
import time

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops import EVERY_NET, Net, until
from smallest_transports._backend import Stream
from sockets import Peer
from sockets import until as until_there

MEGABYTE = 1024 * 1024
PAST = 0.0


async def echo(peer: Peer) -> None:
    while data := await peer.reader.read(65536):
        peer.send(data)
        await peer.writer.drain()


class Pen:
    """A server that writes what the test says, when it says so."""

    def __init__(self) -> None:
        self.ink: list[bytes | None] = []
        self.left = threading.Event()

    async def behave(self, peer: Peer) -> None:
        while True:
            await until_there(lambda: self.ink)
            data = self.ink.pop(0)
            if data is None:
                break
            peer.send(data)
        self.left.set()


async def exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = await stream.read(None)
        assert piece, "an early end"
        data += piece
    return data


@EVERY_NET
def test_what_is_written_comes_back(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        for data in (b"a", b"", b"bc", bytes(range(256)) * 400):
            await stream.write(data, None)
            assert await exactly(stream, len(data)) == data
        assert not stream.clogged
        await stream.aclose()

    with net.raw(echo) as url:
        net.run(main)


@EVERY_NET
def test_a_read_ends_at_its_deadline_and_no_earlier(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        assert await stream.read(PAST) is None
        begun = net.backend.now()
        assert await stream.read(begun + 0.05) is None
        assert net.backend.now() >= begun + 0.05 - 0.01
        await stream.aclose()

    with net.raw(echo) as url:
        net.run(main)


async def in_time(stream: Stream) -> bytes:
    """What reads with a deadline in the past find sooner or later."""
    with anyio.fail_after(5):
        while (data := await stream.read(PAST)) is None:  # noqa: ASYNC110  # the network sets no event
            await anyio.sleep(0.001)
    return data


@EVERY_NET
def test_bytes_at_hand_go_before_a_deadline_that_has_passed(net: Net) -> None:
    pen = Pen()

    async def main() -> None:
        stream = await net.stream_to(url)
        pen.ink.append(b"there")
        assert await in_time(stream) == b"there"
        pen.ink.append(None)
        await until(pen.left.is_set)
        assert await in_time(stream) == b""
        await stream.aclose()

    with net.raw(pen.behave) as url:
        net.run(main)


def in_the_end(stream: Stream) -> bool:
    """Whether it becomes readable while the loop does not turn."""
    given_up = time.monotonic() + 5
    while not stream.readable and time.monotonic() < given_up:
        time.sleep(0.001)
    return stream.readable


@EVERY_NET
def test_what_has_come_is_known_without_a_turn_of_the_loop(net: Net) -> None:
    pen = Pen()

    async def main() -> None:
        stream = await net.stream_to(url)
        # behind the handshake of TLS its server may have more to say
        assert net.carrier == "tls" or not stream.readable
        pen.ink.append(b"there")
        assert in_the_end(stream)
        assert await in_time(stream) == b"there"
        assert not stream.readable
        pen.ink.append(None)
        assert in_the_end(stream)
        assert await in_time(stream) == b""
        assert stream.readable
        await stream.aclose()
        assert stream.readable

    with net.raw(pen.behave) as url:
        net.run(main)


@EVERY_NET
def test_a_wake_ends_every_read_under_way_and_no_later_one(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        results: list[bytes | None] = []

        async def read() -> None:
            results.append(await stream.read(None))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            stream.wake()
        assert results == [None] * 3
        stream.wake()  # nobody waits: this wakes nobody later
        await stream.write(b"later", None)
        assert await exactly(stream, 5) == b"later"
        await stream.aclose()

    with net.raw(echo) as url:
        net.run(main)


@EVERY_NET
def test_of_two_readers_one_is_given_the_bytes_and_the_other_is_told(net: Net) -> None:
    async def main() -> None:
        stream = await net.stream_to(url)
        results: list[bytes | None] = []

        async def read(deadline: float | None) -> None:
            results.append(await stream.read(deadline))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, None)
            tasks.start_soon(read, net.backend.now() + 15)
            await anyio.wait_all_tasks_blocked()
            await stream.write(b"one", None)
        assert sorted(results, key=repr) == [None, b"one"] or sorted(results, key=repr) == [b"one", None]

        results.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, None)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(read, net.backend.now() + 0.01)  # the second need not wait for the first
            await until(lambda: results)
            assert results == [None]
            await stream.write(b"two", None)
        assert results == [None, b"two"]
        await stream.aclose()

    with net.raw(echo) as url:
        net.run(main)


@EVERY_NET
def test_of_two_readers_none_is_overtaken(net: Net) -> None:
    """Each acts on its bytes as soon as it has them, so these must come out in order."""
    numbers = b"".join(number.to_bytes(4) for number in range(80_000))

    async def main() -> None:
        stream = await net.stream_to(url)
        heard = bytearray()

        async def read() -> None:
            while len(heard) < len(numbers):
                if data := await stream.read(net.backend.now() + 0.05):
                    heard.extend(data)

        for _ in range(4):  # a large read and a small one behind it, in several cuts
            heard.clear()
            await stream.write(b"again", None)
            await anyio.sleep(0.02)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                tasks.start_soon(read)
            assert bytes(heard) == numbers
        await stream.aclose()

    async def behave(peer: Peer) -> None:
        while await peer.reader.read(5):
            peer.send(numbers)

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_a_cancelled_read_loses_nothing(net: Net) -> None:
    text = bytes(range(256)) * 40

    async def behave(peer: Peer) -> None:
        for i in range(0, len(text), 100):
            peer.send(text[i : i + 100])
            await asyncio.sleep(0.0002)
        await peer.until_gone()

    async def main() -> None:
        stream = await net.stream_to(url)
        heard, turns = b"", 0
        while len(heard) < len(text):
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def cancel(turns: int = turns, scope: anyio.CancelScope = scope) -> None:
                        for _ in range(turns % 5):
                            await anyio.lowlevel.checkpoint()
                        scope.cancel()

                    tasks.start_soon(cancel)
                    heard += await stream.read(None) or b""
            turns += 1
        assert heard == text
        await stream.aclose()

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize("how", ["overdue", "cancelled", "cancelled at once"])
def test_what_a_write_leaves_is_written_before_what_follows(net: Net, how: str) -> None:
    reading = threading.Event()
    heard = bytearray()
    big, end = bytes(range(256)) * 32 * 1024, b"the end"

    async def behave(peer: Peer) -> None:
        peer.stop_reading()
        await until_there(reading.is_set)
        peer.go_on_reading()
        while data := await peer.reader.read(65536):
            heard.extend(data)

    async def main() -> None:
        stream = await net.stream_to(url)
        if how == "overdue":
            await stream.write(big, net.backend.now() + 0.01)
        else:
            with anyio.CancelScope(deadline=anyio.current_time() + 0.01) as scope:
                if how == "cancelled at once":
                    scope.cancel()
                await stream.write(big, None)
            assert scope.cancelled_caught
        assert stream.clogged
        reading.set()
        await stream.write(end, None)
        await stream.write(b"", None)
        await until(lambda: len(heard) == len(big) + len(end))
        assert heard == big + end
        await stream.aclose()

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_writes_of_several_tasks_keep_their_order_and_do_not_mix(net: Net) -> None:
    heard = bytearray()
    size = 300_000

    async def behave(peer: Peer) -> None:
        while data := await peer.reader.read(65536):
            heard.extend(data)

    async def main() -> None:
        stream = await net.stream_to(url)
        begun = bytearray()

        async def write(letter: int) -> None:
            begun.append(letter)
            await stream.write(bytes([letter]) * size, None)

        async with anyio.create_task_group() as tasks:
            for letter in b"abcdefgh":
                tasks.start_soon(write, letter)
        await until(lambda: len(heard) == 8 * size)
        assert heard == b"".join(bytes([letter]) * size for letter in begun)
        await stream.aclose()

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
@settings(max_examples=4)
@given(
    cuts=st.lists(st.integers(1, 200_000), min_size=1, max_size=12),
    patience=st.lists(st.sampled_from([0.0, 0.0003, 0.002, None]), min_size=1, max_size=8),
)
def test_bytes_arrive_whole_and_in_order_whatever_is_cancelled(
    net: Net, cuts: list[int], patience: list[float | None]
) -> None:
    total = sum(cuts)
    text = (bytes(range(251)) * (total // 251 + 1))[:total]

    async def main() -> None:
        stream = await net.stream_to(url)
        heard = bytearray()

        async def read() -> None:
            turn = 0
            while len(heard) < total:
                turn += 1
                with anyio.move_on_after(patience[turn % len(patience)] or 5):
                    heard.extend(await stream.read(None) or b"")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            at = 0
            for turn, size in enumerate(cuts):
                wait = patience[turn % len(patience)]
                with anyio.move_on_after(5 if wait is None else wait):
                    at += size  # a stream takes the bytes before it first waits
                    await stream.write(text[at - size : at], None)
            await stream.write(b"", None)
        assert heard == text
        await stream.aclose()

    with net.raw(echo) as url:
        net.run(main)
