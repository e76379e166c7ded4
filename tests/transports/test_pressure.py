"""Backpressure on every loop and carrier: neither side makes the other, or us, hold more than a bounded amount."""

import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import pytest

from loops import EVERY_NET, Net, some, stall
from smallest_proto.errors import DeadlineExceeded
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseOptions
from smallest_transports.asyncio import PulseStream
from sockets import QUICK, TEXT, Peer, frame

pytestmark = pytest.mark.usefixtures("short_close")

SECOND = bytes(32000)
TEN_MINUTES = 600
MEGABYTE = 1024 * 1024
ROOM = 16 * MEGABYTE
"""More than all buffers of two sockets and two transports together."""


async def never_reads(peer: Peer) -> None:
    await peer.accept()
    peer.stop_reading()
    await anyio.sleep_forever()


@contextmanager
def no_growth_beyond(size: int) -> Iterator[None]:
    """Fails when more memory than that is in use at any time."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[1] - before < size
    finally:
        tracemalloc.stop()


@EVERY_NET
def test_ten_minutes_of_audio_for_a_server_that_does_not_read_wait_in_bounded_memory(net: Net) -> None:
    sent = 0

    async def main() -> None:
        async with net.on.connect_pulse(
            PulseOptions(heartbeat=None), **net.to(url, limits=QUICK), resume=False
        ) as stream:

            async def send() -> None:
                nonlocal sent
                for _ in range(TEN_MINUTES):
                    await stream.send_audio(SECOND)
                    sent += len(SECOND)

            with no_growth_beyond(8 * MEGABYTE):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(send)
                    await stall(lambda: sent, ROOM)
                    tasks.cancel_scope.cancel()

    with net.raw(never_reads) as url:
        net.run(main, within=60)
    assert sent < TEN_MINUTES * len(SECOND)


@EVERY_NET
def test_sends_that_are_given_up_do_not_pile_up(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(
            PulseOptions(heartbeat=None), **net.to(url, limits=QUICK), resume=False
        ) as stream:
            with no_growth_beyond(8 * MEGABYTE):
                for _ in range(TEN_MINUTES // 10):
                    with anyio.move_on_after(0.002):
                        await stream.send_audio(10 * SECOND)

    with net.raw(never_reads) as url:
        net.run(main, within=60)


@EVERY_NET
def test_a_server_that_stops_reading_is_found_out(net: Net) -> None:
    heartbeat, pong = 0.3, 0.1
    limits = Limits(pong_timeout=pong, close_timeout=0.05)

    async def main() -> None:
        options = PulseOptions(heartbeat=heartbeat)
        async with net.on.connect_pulse(options, **net.to(url, limits=limits), resume=False) as stream:
            begun = anyio.current_time()

            async def send() -> None:
                with pytest.raises(DeadlineExceeded):
                    await send_for_ever(stream)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                with pytest.raises(DeadlineExceeded) as caught:  # this task pings, into a buffer that is full
                    await listen(stream)
                assert caught.value.code == "pong"
                await stream.aclose()  # which frees the one who sends
            assert (
                anyio.current_time() - begun < heartbeat + pong + 3.0
            )  # for closing, and for a busy machine

    with net.raw(never_reads) as url:
        net.run(main, within=30)


async def listen(stream: PulseStream) -> None:
    async for _ in stream:
        pass


async def send_for_ever(stream: PulseStream) -> None:
    while True:
        await stream.send_audio(SECOND)


@EVERY_NET
def test_closing_is_bounded_while_the_server_does_not_read(net: Net) -> None:
    async def main() -> None:
        stream = net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False)
        await stream.__aenter__()
        with anyio.move_on_after(0.1) as scope:
            await stream.send_audio(bytes(ROOM))
        assert scope.cancelled_caught
        begun = anyio.current_time()
        await stream.aclose()
        assert anyio.current_time() - begun < 5

    with net.raw(never_reads) as url:
        net.run(main, within=30)


def pouring(data: bytes, written: list[int], *, deaf: bool = False) -> Callable[[Peer], Awaitable[None]]:
    """A server that writes `data` again and again, and notes each time."""

    async def behave(peer: Peer) -> None:
        await peer.accept()
        if deaf:
            peer.stop_reading()
        await peer.pour(data, written)

    return behave


@some("asyncio-tcp", "uvloop-tls", "trio-tcp", "anyio-trio-tls")
def test_pings_of_a_server_that_does_not_read_cost_no_memory(net: Net) -> None:
    written: list[int] = []

    async def main() -> None:
        options = PulseOptions(heartbeat=None)
        async with (
            net.on.connect_pulse(options, **net.to(url, limits=QUICK), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stream.next_event)
            await stall(lambda: sum(written), ROOM)
            tasks.cancel_scope.cancel()

    with net.raw(pouring(frame(9, bytes(125)) * 1000, written, deaf=True)) as url:
        net.run(main, within=60)


@EVERY_NET
def test_a_user_who_does_not_iterate_stops_the_server(net: Net) -> None:
    message = frame(TEXT, b'{"type":"transcription","transcript":"' + b"x" * 1000 + b'","is_final":false}')
    written: list[int] = []

    async def main() -> None:
        async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
            with no_growth_beyond(4 * MEGABYTE):
                await stall(lambda: sum(written), ROOM)
            await anext(stream)  # and what has come is not lost

    with net.raw(pouring(message * 100, written)) as url:
        net.run(main, within=60)
