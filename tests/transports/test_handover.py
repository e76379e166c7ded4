"""Another connection is dialled while one hears: neither waits for the other, and nothing is left of it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import anyio
import pytest

from loops import Net, open_sockets, some, until
from numbered_speech import RATE, NumberedSpeech, speech
from smallest_proto.errors import LocalProtocolError
from smallest_proto.limits import Limits
from smallest_proto.pulse import FinalTranscript, PulseOptions, Resumed, ResumePolicy, StreamEnded
from smallest_transports import _session_links
from smallest_transports import asyncio as on_asyncio
from smallest_transports._pulse import PulseStream, TranscriptEvent
from smallest_transports._resuming import ResumingSession
from smallest_transports._session_links import SessionLinks
from smallest_transports.loopback import Faults, serve
from sockets import BINARY, QUICK, Peer, Peers, run, transcript

OPTIONS = PulseOptions(sample_rate=RATE)
GERMAN = PulseOptions(sample_rate=RATE, language="de")
PACKET = speech(1, 2)
AT_ONCE = ResumePolicy(first_delay=0.0)
NEVER = Faults(slow_accept=3600.0)
FIVE = some("asyncio-tcp", "uvloop-tls", "trio-tcp", "anyio-asyncio-tls", "anyio-trio-tcp")


def words(events: Sequence[object]) -> list[str]:
    return [word for event in events if isinstance(event, FinalTranscript) for word in event.text.split()]


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


async def hear_until(stream: PulseStream, word: str, events: list[TranscriptEvent]) -> None:
    while word not in words(events):
        events.append(await anext(stream))


async def hear_of(stream: PulseStream, kind: type[object]) -> None:
    while not isinstance(await anext(stream), kind):
        pass


@FIVE
def test_words_do_not_wait_for_the_next_connection(net: Net) -> None:
    async def main() -> None:
        before = open_sockets()
        events: list[TranscriptEvent] = []
        async with net.on.connect_pulse(OPTIONS, **net.to(server.url, limits=Limits())) as stream:
            await stream.migrate()
            with anyio.fail_after(5):  # the upgrade may take ten seconds
                for number in range(1, 5):
                    await stream.send_audio(speech(number, number + 1))
                    await stream.finalize()
                    await hear_until(stream, str(number), events)
        assert words(events) == numbers(1, 5)
        await until(lambda: open_sockets() <= before)

    with net.server(recognizer=NumberedSpeech(), faults=[Faults(), NEVER]) as server:
        net.run(main)
        assert len(server.requests) == 2


@FIVE
def test_whoever_stops_listening_does_not_stop_the_dial(net: Net) -> None:
    async def main() -> None:
        events: list[TranscriptEvent] = []
        async with net.on.connect_pulse(OPTIONS, **net.to(server.url, limits=QUICK)) as stream:
            await stream.migrate()
            with anyio.move_on_after(0):
                await anext(stream)
            await until(lambda: len(server.requests) == 2)
            with anyio.move_on_after(0.05):
                await anext(stream)
            await stream.send_audio(speech(1, 3))
            await stream.end_input()
            events += [event async for event in stream]
        assert words(events) == numbers(1, 3)

    with net.server(recognizer=NumberedSpeech(), faults=[Faults(), Faults(slow_accept=0.2)]) as server:
        net.run(main)
        assert len(server.requests) == 2  # it was not dialled anew


@FIVE
def test_a_packet_on_its_way_while_the_next_connection_comes_is_heard_by_that(net: Net) -> None:
    """Gathered when there was one connection, it is written when there are two, of which it is for the other."""

    async def lingers(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.text(transcript("", is_last=True))
        await until(lambda: len(heard) == 2 * len(PACKET))

    async def hears(peer: Peer) -> None:
        await peer.accept()
        while len(heard) < 2 * len(PACKET):
            opcode, payload = await peer.frame()
            if opcode == BINARY:
                heard.extend(payload)

    heard = bytearray()

    async def main() -> None:
        limits = Limits(close_timeout=20.0)
        async with net.on.connect_pulse(OPTIONS, **net.to(url, limits=limits)) as stream:
            await stream.send_audio(PACKET)
            await stream.update_options(GERMAN)
            await hear_of(stream, Resumed)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hear_of, stream, StreamEnded)
                with anyio.fail_after(5):
                    await stream.send_audio(PACKET)
                    await until(lambda: len(heard) == len(PACKET))
                    carrier = stream._carrier
                    assert isinstance(carrier, ResumingSession)
                    assert carrier._links.only is None
                    carrier._gathered.append(PACKET)
                    carrier._pour(net.backend.now())
                    await until(lambda: len(heard) == 2 * len(PACKET))
                tasks.cancel_scope.cancel()

    with net.raw(Peers(lingers, hears)) as url:
        net.run(main)
    assert heard == PACKET + PACKET


def _dials() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if "AsyncioTask" in repr(task.get_coro())]


def test_a_dial_that_others_cancel_is_one_that_failed() -> None:
    async def main() -> None:
        async with (
            serve(
                recognizer=NumberedSpeech(), faults=[Faults(after_seconds=0.9, reset=True), NEVER, Faults()]
            ) as server,
            on_asyncio.connect_pulse(OPTIONS, base_url=server.url, resume=AT_ONCE, limits=QUICK) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            await stream.send_audio(speech(1, 3))

            async def cancel() -> None:
                await until(lambda: len(server.requests) == 2)
                [dial] = _dials()
                dial.cancel()

            tasks.create_task(cancel())
            await stream.end_input()
            events = [event async for event in stream]
            assert words(events) == numbers(1, 3)
            assert len(server.requests) == 3

    run(main())


async def _advance(links: SessionLinks) -> None:
    while True:
        await links.advance()


def _refuse(*_: object) -> object:
    raise LocalProtocolError("not like this")


def test_what_a_dial_stumbles_over_is_told_and_dialled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    request_for = _session_links.request_for

    async def main() -> None:
        async with (
            serve(recognizer=NumberedSpeech()) as server,
            on_asyncio.connect_pulse(OPTIONS, base_url=server.url, limits=QUICK) as stream,
        ):
            await stream.send_audio(speech(1, 3))
            monkeypatch.setattr(_session_links, "request_for", _refuse)
            await stream.migrate()
            with pytest.raises(LocalProtocolError, match="not like this"):
                await hear_of(stream, Resumed)
            monkeypatch.setattr(_session_links, "request_for", request_for)
            await hear_of(stream, Resumed)
            await stream.end_input()
            events = [event async for event in stream]
            assert events[-1] == StreamEnded(confirmed=True)

    run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_a_dial_may_end_before_it_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # of 3.12
        stream = on_asyncio.connect_pulse(OPTIONS, base_url="http://127.0.0.1:9")
        assert isinstance(stream._carrier, ResumingSession)
        links = stream._carrier._links
        with pytest.raises(LocalProtocolError, match="not like this"):
            await _advance(links)
        assert not links._dials
        await stream.aclose()

    monkeypatch.setattr(_session_links, "request_for", _refuse)
    run(main())
