"""While a stream is open: how it ends, its deadlines, and the tasks that share it."""

from __future__ import annotations

import asyncio

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, ServerError
from smallest_proto.events import ConnectionClosed, ServerErrorReceived
from smallest_proto.pulse import CloseStream, FinalTranscript, PulseOptions, StreamEnded
from smallest_transports._session import Session
from smallest_transports.aiohttp import PulseStream, TranscriptEvent
from sockets import CLOSE, TEXT, Peer, frame, raw_server, run, transcript
from transports.over_aiohttp.clients import SECOND, collect, open_until_gone, pulse_at


def test_events_before_a_drop_come_before_its_error() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(transcript("one two"))

    async def main() -> None:
        seen: list[TranscriptEvent] = []
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await stream.send_audio(SECOND)
            with pytest.raises(ConnectionLost):
                await collect(stream, seen)
            assert [e.text for e in seen if isinstance(e, FinalTranscript)] == ["one two"]
            with pytest.raises(ConnectionLost):
                await stream.send_audio(SECOND)
            assert [event async for event in stream] == []

    run(main(), within=30)


def test_a_sender_learns_why_the_server_left() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text({"type": "error", "status": "error", "message": "no more"})
        peer.close_frame(1008, "quota")

    async def send_for_ever(stream: PulseStream) -> None:
        while True:
            await stream.send_audio(SECOND)
            await asyncio.sleep(0)

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            with pytest.raises(ServerError) as caught:  # nobody iterates: what came in must not be lost
                await send_for_ever(stream)
            assert caught.value.message == "no more"
            events: list[TranscriptEvent] = []
            with pytest.raises(ServerError):
                await collect(stream, events)
            assert any(isinstance(event, ServerErrorReceived) for event in events)

    run(main(), within=30)


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (None, 1005)])
def test_a_close_without_is_last(code: int | None, told: int) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.send(frame(CLOSE, b"" if code is None else code.to_bytes(2)))
        answer = await peer.frame()
        assert answer == (CLOSE, (1000).to_bytes(2))

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await stream.end_input()
            events = []
            while (event := await stream.next_event()) is not None:
                events.append(event)
            assert StreamEnded(confirmed=False, reason="closed") in events
            assert isinstance(events[-1], ConnectionClosed)
            assert events[-1].code == told

    run(main())


def test_a_server_that_does_not_answer_pings() -> None:
    async def main() -> None:
        async with (
            raw_server(open_until_gone) as url,
            pulse_at(url, PulseOptions(heartbeat=0.1)) as stream,
        ):
            await collect(stream, [])

    with pytest.raises(DeadlineExceeded) as caught:
        run(main(), within=30)
    assert caught.value.code == "pong"


def test_pings_are_answered() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(9, b"?"))
        assert await peer.frame() == (10, b"?")
        peer.text(transcript("done", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            assert [event async for event in stream][-1] == StreamEnded(confirmed=True)

    run(main())


def test_a_deadline_that_a_sender_starts_reaches_the_task_that_iterates() -> None:
    async def main() -> None:
        async with raw_server(open_until_gone) as url, pulse_at(url, PulseOptions(heartbeat=None)) as stream:
            events: list[TranscriptEvent] = []
            reading = asyncio.create_task(collect(stream, events))
            for _ in range(5):
                await asyncio.sleep(0)  # it waits now, and for no deadline
            await stream.send(CloseStream())
            await reading
            assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    run(main(), within=30)


def test_a_deadline_is_kept_while_the_server_never_stops_sending() -> None:
    pongs = frame(TEXT, b'{"type":"pong"}') * 1000

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.send(pongs)
            await peer.writer.drain()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await stream.end_input()
            events = [event async for event in stream]
        assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    run(main(), within=30)


def test_only_one_task_may_iterate() -> None:
    async def main() -> None:
        async with raw_server(open_until_gone) as url, pulse_at(url) as stream:
            reading = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            with pytest.raises(LocalProtocolError, match="only one may"):
                await anext(stream)
            reading.cancel()
            await asyncio.wait([reading])

    run(main())


def test_the_close_of_a_task_ends_the_iteration_of_another() -> None:
    async def main() -> None:
        async with raw_server(open_until_gone) as url, pulse_at(url) as stream:
            events: list[TranscriptEvent] = []
            reading = asyncio.create_task(collect(stream, events))
            await asyncio.sleep(0)
            await stream.aclose()
            await reading
            assert events[-1] == StreamEnded(confirmed=False, reason="abandoned")
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(SECOND)

    run(main(), within=30)


def test_whether_the_server_is_still_there_is_known_without_iterating() -> None:
    leave = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.text(transcript("early"))
        await leave.wait()
        peer.close_frame(1001)
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            carrier = stream._carrier
            assert isinstance(carrier, Session)
            assert await carrier.alive()
            leave.set()
            async with asyncio.timeout(10):
                while await carrier.alive():  # noqa: ASYNC110  # nobody announces it: that is the point
                    await asyncio.sleep(0.01)
            events: list[TranscriptEvent] = []
            with pytest.raises(ConnectionLost):
                await collect(stream, events)
            assert [e.text for e in events if isinstance(e, FinalTranscript)] == ["early"]

    run(main())
