"""Backpressure: neither side may make the other, or us, hold more than a bounded amount."""

import asyncio
import tracemalloc

import pytest

from smallest_proto.errors import DeadlineExceeded
from smallest_proto.pulse import PulseOptions
from smallest_transports.asyncio import connect_pulse
from sockets import QUICK, TEXT, Peer, frame, raw_server, run, stall

SECOND = bytes(32000)
FAR_TOO_MUCH = 200 * 1024 * 1024
ROOM = 16 * 1024 * 1024
"""More than all buffers of two sockets and two transports together."""


async def never_reads(peer: Peer) -> None:
    await peer.accept()
    peer.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the only way not to read at all
    await asyncio.Event().wait()


def test_sending_waits_for_a_server_that_does_not_read() -> None:
    async def main() -> None:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < FAR_TOO_MUCH:
                await stream.send_audio(SECOND)
                sent += len(SECOND)

        async with raw_server(never_reads) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            sending = asyncio.create_task(send())
            await stall(lambda: sent, ROOM)
            assert not sending.done()
            sending.cancel()
            await asyncio.wait([sending])

    run(main())


def test_a_server_that_stops_reading_is_found_out() -> None:
    async def main() -> None:
        async def send() -> None:
            for _ in range(FAR_TOO_MUCH // len(SECOND)):
                await stream.send_audio(SECOND)

        async with (
            raw_server(never_reads) as url,
            connect_pulse(PulseOptions(heartbeat=0.2), base_url=url, limits=QUICK) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(send())
            async for _ in stream:  # this task pings, into a buffer that is full
                pass

    with pytest.raises(ExceptionGroup) as caught:
        run(main(), within=30)
    first = caught.value.exceptions[0]
    assert isinstance(first, DeadlineExceeded)
    assert first.code == "pong"


def test_closing_is_bounded_while_the_server_does_not_read() -> None:
    async def main() -> None:
        async with raw_server(never_reads) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stream.send_audio(bytes(ROOM))

    run(main(), within=30)


def test_pings_of_a_server_that_does_not_read_cost_no_memory() -> None:
    pings = frame(9, bytes(125)) * 1000
    written = 0

    async def behave(peer: Peer) -> None:
        nonlocal written
        await peer.accept()
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the only way not to read at all
        while True:
            peer.send(pings)
            await peer.writer.drain()
            written += len(pings)

    async def main() -> None:
        async with raw_server(behave) as url:
            options = PulseOptions(heartbeat=None)
            async with connect_pulse(options, base_url=url, limits=QUICK) as stream:
                reading = asyncio.create_task(anext(stream))
                await stall(lambda: written, ROOM)
                reading.cancel()
                await asyncio.wait([reading])

    run(main())


def test_a_user_who_does_not_iterate_stops_the_server() -> None:
    message = (
        frame(TEXT, b'{"type":"transcription","transcript":"' + b"x" * 1000 + b'","is_final":false}') * 100
    )
    written = 0

    async def behave(peer: Peer) -> None:
        nonlocal written
        await peer.accept()
        while True:
            peer.send(message)
            await peer.writer.drain()
            written += len(message)

    async def main() -> None:
        async with raw_server(behave) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            tracemalloc.start()
            try:
                await stall(lambda: written, ROOM)
                peak = tracemalloc.get_traced_memory()[1]
                assert peak < 4 * 1024 * 1024
            finally:
                tracemalloc.stop()
            await anext(stream)  # and what has come is not lost

    run(main())
