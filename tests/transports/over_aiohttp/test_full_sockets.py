"""Whoever does not read holds the other side back, for a bounded time."""

from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded
from smallest_proto.pulse import PulseOptions
from sockets import TEXT, Peer, frame, raw_server, run, stall, transcript
from transports.over_aiohttp.clients import SECOND, collect, pulse_at

FAR_TOO_MUCH = 200 * 1024 * 1024
ROOM = 16 * 1024 * 1024


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

        async with raw_server(never_reads) as url, pulse_at(url) as stream:
            sending = [asyncio.create_task(send()) for _ in range(3)]
            await stall(lambda: sent, ROOM)
            sending[0].cancel()  # which must not disturb the others
            await asyncio.wait(sending[:1])
            await asyncio.sleep(0.01)
            assert [task.done() for task in sending] == [True, False, False]
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)

    run(main())


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_user_who_stops_iterating_stops_the_server(size: int) -> None:
    written: list[int] = []

    async def floods(peer: Peer) -> None:
        await peer.accept()
        await peer.pour(frame(TEXT, json.dumps(transcript("x" * size)).encode()) * 50, written)

    async def main() -> None:
        async with raw_server(floods) as url, pulse_at(url) as stream:
            await anext(stream)
            await stall(lambda: sum(written), ROOM)

    run(main(), within=30)


def test_a_server_that_stops_reading_is_found_out() -> None:
    async def main() -> None:
        async def send() -> None:
            for _ in range(FAR_TOO_MUCH // len(SECOND)):
                await stream.send_audio(SECOND)

        async with (
            raw_server(never_reads) as url,
            pulse_at(url, PulseOptions(heartbeat=0.2)) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(send())
            await collect(stream, [])

    with pytest.raises(ExceptionGroup) as caught:
        run(main(), within=30)
    first = caught.value.exceptions[0]
    assert isinstance(first, DeadlineExceeded)
    assert first.code == "pong"


def test_a_sender_that_waits_for_room_learns_of_the_end() -> None:
    async def main() -> None:
        async with (
            raw_server(never_reads) as url,
            pulse_at(url, PulseOptions(heartbeat=0.2)) as stream,
        ):
            sending = asyncio.create_task(stream.send_audio(bytes(2 * ROOM)))
            for _ in range(2):
                with pytest.raises(DeadlineExceeded):
                    await sending if sending.done() else await collect(stream, [])
                await asyncio.wait([sending])

    run(main(), within=30)


def test_nothing_is_left_when_a_server_that_does_not_read_closes() -> None:
    async def main() -> None:
        close = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.accept()
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the only way not to read at all
            await close.wait()
            peer.close_frame(1011)
            await asyncio.Event().wait()

        async with raw_server(behave) as url, pulse_at(url, PulseOptions(heartbeat=None)) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stream.send_audio(bytes(ROOM))
            close.set()
            with pytest.raises(ConnectionLost):
                await collect(stream, [])

    run(main(), within=30)


def test_closing_is_bounded_while_the_server_does_not_read() -> None:
    async def main() -> None:
        async with raw_server(never_reads) as url, pulse_at(url) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stream.send_audio(bytes(ROOM))

    run(main(), within=30)


def test_closing_is_bounded_while_the_server_never_stops_sending() -> None:
    interims = frame(TEXT, b'{"transcript":"x","is_final":false}') * 1000

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.send(interims)
            await peer.writer.drain()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await anext(stream)

    run(main(), within=30)


def test_a_user_who_does_not_iterate_stops_the_server() -> None:
    message = frame(TEXT, b'{"type":"transcription","transcript":"' + b"x" * 1000 + b'","is_final":false}')
    written = 0

    async def behave(peer: Peer) -> None:
        nonlocal written
        await peer.accept()
        while True:
            peer.send(message * 100)
            await peer.writer.drain()
            written += len(message) * 100

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            tracemalloc.start()
            try:
                await stall(lambda: written, ROOM)
                assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
            finally:
                tracemalloc.stop()
            await anext(stream)  # and what has come is not lost

    run(main())
