"""A stream that resumes, interrupted wherever it waits: nothing is left behind, and used further it loses nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count

import anyio
import pytest

from interruptions import Interruption
from loops import Net, open_sockets, some, until
from numbered_speech import RATE, WORD, NumberedSpeech, speech
from smallest_proto.errors import LocalProtocolError
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    AudioDropped,
    FinalTranscript,
    PulseOptions,
    PulseSession,
    Reconnecting,
    Resumed,
    ResumePolicy,
    StreamEnded,
)
from smallest_transports._pulse import PulseStream, TranscriptEvent
from smallest_transports._resuming import ResumingSession
from smallest_transports.loopback import Faults
from sockets import BINARY, CLOSE, QUICK, TEXT, Peer, Peers, transcript

OPTIONS = PulseOptions(sample_rate=RATE)
GERMAN = PulseOptions(sample_rate=RATE, language="de")
AT_ONCE = ResumePolicy(first_delay=0.0)
THREE = some("asyncio-tcp", "trio-tcp", "anyio-asyncio-tls")
TWO = some("asyncio-tcp", "trio-tls")
DROPS = [Faults(after_seconds=1.2, reset=True), Faults()]


def words(events: Sequence[object]) -> list[str]:
    return [word for event in events if isinstance(event, FinalTranscript) for word in event.text.split()]


def starts(events: Sequence[object]) -> list[float]:
    return [word.start for event in events if isinstance(event, FinalTranscript) for word in event.words]


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


def session_of(stream: PulseStream) -> PulseSession:
    assert isinstance(stream._pulse, PulseSession)
    return stream._pulse


def interrupted(stream: PulseStream, n: int | None) -> Interruption:
    carrier = stream._carrier
    assert isinstance(carrier, ResumingSession)
    cut = Interruption(n)
    carrier._links.backend = cut.within(carrier._links.backend)
    return cut


async def converse(stream: PulseStream, cut: Interruption) -> list[TranscriptEvent]:
    """Speak, lose the connection, move on one's own, change the options, end: with one call cancelled."""
    events: list[TranscriptEvent] = []
    said = 0

    async def say(first: int, last: int) -> None:
        nonlocal said
        pcm = speech(first, last)
        if not await cut.call(lambda: stream.send_audio(pcm)):
            pcm = pcm[session_of(stream)._log.end - said :]  # what it had not taken
            if pcm:
                await stream.send_audio(pcm)
        said += len(speech(first, last))

    async def hear() -> None:
        events.append(await anext(stream))

    await say(1, 4)
    while not any(isinstance(event, Reconnecting) for event in events):
        await cut.insist(hear)
    await say(4, 6)
    while not any(isinstance(event, Resumed) for event in events):
        await cut.insist(hear)
    await cut.insist(stream.migrate)
    await say(6, 8)
    while sum(isinstance(event, Resumed) for event in events) < 2:
        await cut.insist(hear)
    await cut.insist(lambda: stream.update_options(GERMAN))
    await say(8, 10)
    await cut.insist(stream.flush)
    await stream.end_input()
    while not (events and isinstance(events[-1], StreamEnded)):
        await cut.insist(hear)
    return events


@THREE
def test_a_call_cancelled_at_any_wait_loses_and_doubles_nothing(net: Net) -> None:
    async def main(n: int) -> tuple[list[TranscriptEvent], bool]:
        stream = net.on.connect_pulse(OPTIONS, resume=AT_ONCE, **net.to(server.url, limits=QUICK))
        cut = interrupted(stream, n)
        async with stream:
            return await converse(stream, cut), cut.reached

    for n in count(1):
        with net.server(recognizer=NumberedSpeech(), faults=DROPS) as server:
            events, reached = net.run(partial(main, n))
        assert words(events) == numbers(1, 10), n
        assert starts(events) == [pytest.approx(i * WORD, abs=0.02) for i in range(9)], n
        assert not any(isinstance(event, AudioDropped) for event in events)
        if not reached:
            break
    assert n > 20


@THREE
def test_leaving_cancelled_at_any_wait_leaves_nothing(net: Net) -> None:
    first = True

    async def behave(peer: Peer) -> None:
        nonlocal first
        await peer.accept()
        if first:
            first = False
            await peer.frame()
            peer.close_frame(1011)
        while True:
            opcode, payload = await peer.frame()
            if opcode == TEXT and b"close_stream" in payload:
                peer.text(transcript("yes", is_last=True))
            elif opcode == CLOSE:
                return

    async def session(stream: PulseStream) -> None:
        async with stream:
            await converse(stream, Interruption())

    async def main(n: int) -> bool:
        nonlocal first
        first = True
        before = open_sockets()
        stream = net.on.connect_pulse(OPTIONS, resume=AT_ONCE, **net.to(url, limits=QUICK))
        cut = interrupted(stream, n)
        await cut.call(partial(session, stream))
        await until(lambda: open_sockets() <= before)
        return cut.reached

    with net.raw(behave) as url:
        n = next(n for n in count(1) if not net.run(partial(main, n)))
    assert n > 20


async def until_it(stream: PulseStream, kind: type[object]) -> None:
    async for event in stream:
        if isinstance(event, kind):
            return
    raise AssertionError("never")


async def hang(peer: Peer) -> None:
    await peer.read_request()
    await anyio.sleep_forever()


async def drop(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.reset()


@THREE
def test_closing_ends_a_dial_that_another_task_is_in(net: Net) -> None:
    peers = Peers(drop, hang)

    async def main() -> None:
        before = open_sockets()
        stream = net.on.connect_pulse(OPTIONS, resume=AT_ONCE, **net.to(url, limits=Limits()))
        async with anyio.create_task_group() as tasks, stream:
            await stream.send_audio(speech(1, 3))
            tasks.start_soon(until_it, stream, StreamEnded)
            await until(lambda: peers.count == 2)
            with anyio.fail_after(5):  # the upgrade may take ten seconds
                await stream.aclose()
                await until(lambda: open_sockets() <= before)
            await stream.aclose()

    with net.raw(peers) as url:
        net.run(main)


@THREE
def test_other_options_need_not_wait_for_a_dial_with_the_old_ones(net: Net) -> None:
    async def answer(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.text(transcript("yes", is_last=True))

    async def be_given_up(peer: Peer) -> None:
        told.append(await peer.read_request())
        told.append((await peer.reader.read()).decode())

    told: list[str] = []
    peers = Peers(drop, be_given_up, answer)

    async def main() -> None:
        async with (
            net.on.connect_pulse(OPTIONS, resume=AT_ONCE, **net.to(url)) as stream,
            anyio.create_task_group() as tasks,
        ):
            await stream.send_audio(speech(1, 3))
            with anyio.fail_after(5):
                tasks.start_soon(until_it, stream, StreamEnded)
                await until(lambda: len(told) == 1)
                await stream.update_options(GERMAN)
                await until(lambda: peers.count == 3 and told[1:] == [""])  # the upgrade may take ten seconds
            await stream.end_input()

    with net.raw(peers) as url:
        net.run(main)


MUCH = bytes(16_000_000)
"""More than the buffers of two sockets hold."""

KEPT = ResumePolicy(first_delay=0.0, keep_seconds=10_000.0, keep_bytes=32_000_000)


async def swallow(peer: Peer) -> None:
    await peer.accept()
    await peer.until("finalize")
    peer.reset()


@TWO
def test_a_peer_that_does_not_read_the_replay_is_heard_all_the_same(net: Net) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.accept()
        peer.stop_reading()
        await until(lambda: ready)
        peer.text(transcript("hello"))
        await anyio.sleep_forever()

    ready = False

    async def main() -> None:
        nonlocal ready
        options = PulseOptions(sample_rate=RATE, heartbeat=None)
        async with net.on.connect_pulse(options, resume=KEPT, **net.to(url, limits=QUICK)) as stream:
            await stream.send_audio(MUCH)
            await stream.finalize()
            await until_it(stream, Resumed)
            ready = True
            await until_it(stream, FinalTranscript)

    with net.raw(Peers(swallow, deaf)) as url:
        net.run(main)


@TWO
def test_a_peer_that_dies_in_the_middle_of_a_replay_is_replaced(net: Net) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.accept()
        peer.stop_reading()
        await anyio.sleep_forever()

    heard = 0

    async def read(peer: Peer) -> None:
        nonlocal heard
        await peer.accept()
        while True:
            opcode, payload = await peer.frame()
            if opcode == BINARY:
                heard += len(payload)
                if heard % (100 * len(payload)) == 0:
                    peer.text(transcript("", is_final=False))  # it is not dead
            if opcode == TEXT and b"close_stream" in payload:
                peer.text(transcript("yes", is_last=True))

    async def main() -> None:
        options = PulseOptions(sample_rate=RATE, heartbeat=0.2)
        limits = Limits(pong_timeout=0.1, close_timeout=0.05)
        async with net.on.connect_pulse(options, resume=KEPT, **net.to(url, limits=limits)) as stream:
            await stream.send_audio(MUCH)
            await stream.finalize()
            for _ in range(2):
                await until_it(stream, Reconnecting)
            await stream.send_audio(speech(1, 3))
            await stream.end_input()
            await until_it(stream, StreamEnded)

    with net.raw(Peers(swallow, deaf, read)) as url:
        net.run(main)
    assert heard == len(MUCH) + len(speech(1, 3))


@TWO
def test_a_sender_waits_while_nobody_hears_the_audio(net: Net) -> None:
    policy = ResumePolicy(first_delay=0.0, keep_seconds=5.0)

    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(OPTIONS, resume=policy, **net.to(server.url, limits=QUICK)) as stream:
            await stream.send_audio(speech(1, 3))
            await stream.update_options(GERMAN)
            await stream.send_audio(speech(3, 61))  # far more than may be kept, before another one is there
            await stream.end_input()
            return [event async for event in stream]

    with net.server(recognizer=NumberedSpeech(), faults=[Faults(), Faults(slow_accept=0.1)]) as server:
        events = net.run(main)
    assert words(events) == numbers(1, 61)
    assert not any(isinstance(event, AudioDropped) for event in events)


@TWO
def test_after_the_end_nothing_can_be_sent(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(OPTIONS, resume=True, **net.to(server.url, limits=QUICK)) as stream:
            await stream.end_input()
            await until_it(stream, StreamEnded)
            for call in (stream.finalize, stream.keepalive, stream.end_input):
                with pytest.raises(LocalProtocolError, match="ended"):
                    await call()
            with pytest.raises(LocalProtocolError, match="ended"):
                await stream.send_audio(speech(1, 30))
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    with net.server(recognizer=NumberedSpeech()) as server:
        net.run(main)


@TWO
def test_samples_in_a_view_of_another_shape_are_the_same_audio(net: Net) -> None:
    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(OPTIONS, resume=True, **net.to(server.url, limits=QUICK)) as stream:
            view = memoryview(speech(1, 25)).cast("h")
            await stream.send_audio(view)  # type: ignore[arg-type]  # taken, though not announced
            await stream.end_input()
            return [event async for event in stream]

    with net.server(recognizer=NumberedSpeech()) as server:
        assert words(net.run(main)) == numbers(1, 25)
