"""Cancelled at any moment, nothing is lost, and nothing is left."""

from __future__ import annotations

import asyncio

import pytest

from smallest_proto.limits import Limits
from smallest_proto.pulse import FinalTranscript, StreamEnded
from smallest_transports.loopback import serve
from sockets import TEXT, Peer, raw_server, run, transcript
from transports.over_aiohttp.clients import SECOND, collect, open_until_gone, pulse_at


def test_cancelled_waiting_loses_nothing() -> None:
    count = 200

    async def behave(peer: Peer) -> None:
        await peer.accept()
        for i in range(count):
            peer.text(transcript(str(i)))
            await asyncio.sleep(0)
        peer.text(transcript("end", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        texts: list[str] = []
        rounds = cancelled = 0
        async with raw_server(behave) as url, pulse_at(url) as stream:
            while True:
                waiting = asyncio.create_task(anext(stream))
                rounds += 1
                for _ in range(rounds % 7):
                    await asyncio.sleep(0)
                waiting.cancel()
                try:
                    event = await waiting
                except asyncio.CancelledError:
                    cancelled += 1
                    continue
                if isinstance(event, FinalTranscript):
                    texts.append(event.text)
                if isinstance(event, StreamEnded):
                    break
        assert cancelled > 20
        assert texts == [*map(str, range(count)), "end"]

    run(main())


def test_cancelled_sending_is_sent_whole() -> None:
    received = bytearray()
    slow, done = asyncio.Event(), asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await slow.wait()
        while True:
            opcode, payload = await peer.frame()
            if opcode == TEXT:
                break
            received.extend(payload)
        done.set()
        peer.text(transcript("end", is_last=True))
        await peer.until_gone()

    piece = bytes(range(250)) * 4000

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url, limits=Limits()) as stream:
            sending = [asyncio.create_task(stream.send_audio(piece)) for _ in range(8)]
            await asyncio.sleep(0.1)  # the first ones are through by then, the others wait
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)
            assert sending[-1].cancelled()
            slow.set()
            await stream.end_input()
            assert [e async for e in stream][-1] == StreamEnded(confirmed=True)
        assert done.is_set()
        whole = len(received) // len(piece)
        assert whole > 0  # the first ones, and one whose sending was cancelled
        assert bytes(received) == piece * whole

    run(main(), within=60)


@pytest.mark.parametrize("turns", range(0, 40, 2))
def test_cancelled_anywhere_nothing_is_left(turns: int) -> None:
    async def session(url: str) -> None:
        async with pulse_at(url, limits=Limits()) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            await collect(stream, [])

    async def main() -> None:
        async with serve() as server:
            task = asyncio.create_task(session(server.url))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None

    run(main())


def test_a_cancelled_close_leaves_nothing() -> None:
    async def main() -> None:
        async with (
            raw_server(open_until_gone) as url,
            pulse_at(url, limits=Limits(close_timeout=60)) as stream,
        ):
            closing = asyncio.create_task(stream.aclose())
            await asyncio.sleep(0.05)  # the server does not answer the close frame
            closing.cancel()
            await asyncio.wait([closing])
            assert closing.cancelled()

    run(main(), within=30)
