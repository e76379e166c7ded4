"""Who sends does not wake who listens, unless there is something to do; and whoever should know is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops import EVERY_LOOP, Net, some, until
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseOptions, Resumed, StreamEnded, Usage
from smallest_proto.wire import WebSocketWire
from smallest_transports._asyncio_backend import AsyncioBackend, AsyncioStream
from smallest_transports._backend import Backend, Stream
from smallest_transports._functions import Functions
from smallest_transports._link import Link
from smallest_transports._pulse import PulseStream
from smallest_transports._waiters import Waiters
from sockets import BINARY, QUICK, Peer, transcript

PACKET = bytes(1600)
QUIET = PulseOptions(heartbeat=None, keepalive_interval=None)
RESUMING = pytest.mark.parametrize("resume", [True, False])


class Counted:
    """A stream that counts how often a read ends without bytes, and notes the size of what is sent."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.sent: list[int] = []
        self.reading = False
        self.woken = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def send(self, data: bytes) -> None:
        if data:
            self.sent.append(len(data))
        self._stream.send(data)

    async def write(self, data: bytes, deadline: float | None) -> None:
        self.send(data)
        await self._stream.write(b"", deadline)

    async def read(self, deadline: float | None) -> bytes | None:
        self.reading = True
        data = await self._stream.read(deadline)
        self.reading = False
        self.woken += data is None
        return data


class Counting:
    """A backend whose connections are counted ones, and whose clock can be put forward."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.streams: list[Counted] = []
        self.ahead = 0.0

    def now(self) -> float:
        return self._backend.now() + self.ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def connect(self, *given: Any, **named: Any) -> Counted:
        self.streams.append(Counted(await self._backend.connect(*given, **named)))
        return self.streams[-1]


async def mute(peer: Peer) -> None:
    await peer.accept()
    await peer.until_gone()


async def deaf(peer: Peer) -> None:
    await peer.accept()
    peer.stop_reading()
    await peer.until_gone()


@asynccontextmanager
async def listened_to(
    backend: Counting, options: PulseOptions = QUIET, **given: Any
) -> AsyncIterator[tuple[PulseStream, list[Event]]]:
    """A stream to which a task listens that waits for bytes, and what that task hears."""
    events: list[Event] = []

    async def listen() -> None:
        async for event in stream:
            events.append(event)

    async with (
        Functions(backend).connect_pulse(options, **given) as stream,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listen)
        await until(lambda: backend.streams[-1].reading)
        yield stream, events
        tasks.cancel_scope.cancel()


async def send_alone(backend: Counting, stream: PulseStream) -> None:
    """A packet, and the end of the turn in which it leaves."""
    sent = backend.streams[-1].sent
    before = len(sent)
    await stream.send_audio(PACKET)
    await until(lambda: len(sent) > before)


@EVERY_LOOP
@RESUMING
def test_sending_audio_wakes_nobody(net: Net, resume: bool) -> None:
    backend = Counting(net.backend)

    async def main() -> None:
        async with listened_to(backend, PulseOptions(), **net.to(url, limits=QUICK), resume=resume) as (
            stream,
            _,
        ):
            for _ in range(20):
                await stream.send_audio(PACKET)
                await anyio.lowlevel.checkpoint()
            assert backend.streams[0].reading
            assert backend.streams[0].woken == 0

    with net.raw(mute) as url:
        net.run(main)


@EVERY_LOOP
@RESUMING
def test_an_event_that_a_call_causes_is_handed_out_at_once(net: Net, resume: bool) -> None:
    """The server says nothing, and no deadline is near."""
    backend = Counting(net.backend)

    async def main() -> None:
        async with listened_to(backend, **net.to(url, limits=QUICK), resume=resume) as (stream, events):
            await send_alone(backend, stream)
            backend.ahead = 6.0  # when usage is reported
            await stream.send_audio(PACKET)
            await until(lambda: events)
            assert events == [Usage(audio_seconds=0.1)]
            backend.ahead = 0.0

    with net.raw(mute) as url:
        net.run(main)


@EVERY_LOOP
@RESUMING
@pytest.mark.usefixtures("short_close")
def test_such_an_event_does_not_wait_for_a_server_that_does_not_read(net: Net, resume: bool) -> None:
    backend = Counting(net.backend)

    async def main() -> None:
        async with listened_to(backend, **net.to(url, limits=QUICK), resume=resume) as (stream, events):
            await send_alone(backend, stream)
            backend.ahead = 6.0
            with anyio.CancelScope() as given_up:
                async with anyio.create_task_group() as tasks:

                    async def look() -> None:
                        await until(lambda: events)
                        given_up.cancel()

                    tasks.start_soon(look)
                    for _ in range(300):
                        await stream.send_audio(bytes(160_000))
            assert given_up.cancelled_caught, "all was sent: this shows nothing"
            assert events == [Usage(audio_seconds=0.1)]
            backend.ahead = 0.0

    with net.raw(deaf) as url:
        net.run(main)


@EVERY_LOOP
@RESUMING
def test_a_deadline_that_a_call_sets_is_kept_by_whoever_waits_already(net: Net, resume: bool) -> None:
    async def main() -> None:
        limits = Limits(drain_timeout=0.1, close_timeout=0.05)
        async with listened_to(Counting(net.backend), **net.to(url, limits=limits), resume=resume) as (
            stream,
            events,
        ):
            await stream.end_input()
            await until(lambda: events)
            assert events == [StreamEnded(confirmed=False, reason="drain_timeout")]

    with net.raw(mute) as url:
        net.run(main)


@EVERY_LOOP
def test_whoever_waits_dials_when_another_asks_for_it(net: Net) -> None:
    backend = Counting(net.backend)

    async def main() -> None:
        async with listened_to(backend, **net.to(url, limits=QUICK)) as (stream, events):
            await stream.migrate()
            await until(lambda: events)
            assert [type(event) for event in events] == [Resumed]
            assert len(backend.streams) == 2

    with net.raw(mute) as url:
        net.run(main)


@some("asyncio-tcp", "uvloop-tcp", "anyio-asyncio-tls", "trio-tcp", "anyio-trio-tls")
@RESUMING
def test_audio_of_one_turn_of_the_loop_leaves_together(net: Net, resume: bool) -> None:
    backend = Counting(net.backend)
    heard: list[bytes] = []

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while (message := await peer.frame())[0] == BINARY:
            heard.append(message[1])
        peer.text(transcript("one", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        given = net.to(url, limits=QUICK)
        async with Functions(backend).connect_pulse(QUIET, **given, resume=resume) as stream:
            before = len(backend.streams[0].sent)
            for _ in range(10):
                await stream.send_audio(PACKET)
            sent = backend.streams[0].sent
            assert len(sent) == before
            await until(lambda: len(heard) == 10)
            assert len(sent) == before + 1
            for _ in range(100):  # more than may wait, and nothing here lets the loop turn
                await stream.send_audio(PACKET)
            assert sum(sent[before + 1 :]) > 64_000
            assert max(sent) < 70_000
            await stream.end_input()  # writes what is left before what it has to say itself
            async for _ in stream:
                pass
        assert heard == [PACKET] * 110

    with net.raw(behave) as url:
        net.run(main)


CALLS = st.one_of(
    st.sampled_from([2, 1600, 40_000, 200_000]),  # bytes of audio; the last is more than goes at once
    st.sampled_from(["finalize", "flush", "turn"]),
)


@some("asyncio-tcp", "asyncio-tls", "trio-tcp", "anyio-trio-tls")
@settings(max_examples=25, deadline=None)
@given(calls=st.lists(CALLS, max_size=30))
def test_what_is_gathered_keeps_its_place_among_the_other_calls(net: Net, calls: list[int | str]) -> None:
    heard: list[bytes | str] = []

    async def behave(peer: Peer) -> None:
        await peer.accept()
        message = await peer.frame()
        while b"close_stream" not in message[1]:
            heard.append(message[1] if message[0] == BINARY else "finalize")
            message = await peer.frame()
        peer.text(transcript("one", is_last=True))
        await peer.until_gone()

    async def main() -> list[bytes | str]:
        called: list[bytes | str] = []
        async with net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK)) as stream:
            for number, call in enumerate(calls):
                if isinstance(call, int):
                    called.append(bytes([number + 1]) * call)
                    await stream.send_audio(called[-1])  # type: ignore[arg-type]  # the bytes just made
                elif call == "turn":
                    await anyio.lowlevel.checkpoint()
                else:
                    await (stream.finalize() if call == "finalize" else stream.flush())
                    if call == "finalize":
                        called.append(call)
            await stream.end_input()
            async for _ in stream:
                pass
        return called

    with net.raw(behave) as url:
        called = net.run(main)
    assert joined(heard) == joined(called)


def joined(parts: list[bytes | str]) -> list[bytes | str]:
    """However the audio between two finalizes was cut; a second one in the same place asks for nothing new."""
    runs: list[bytes | str] = [b""]
    for part in parts:
        if isinstance(part, bytes) and isinstance(runs[-1], bytes):
            runs[-1] += part
        elif part != runs[-1]:
            runs.append(part)
    return runs


@EVERY_LOOP
@pytest.mark.parametrize("pcm", [b"", b"odd", "text"])
def test_malformed_audio_is_refused_at_once(net: Net, pcm: Any) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK)) as stream:
            await stream.send_audio(PACKET)
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(pcm)
            await stream.send_audio(PACKET)

    with net.raw(mute) as url:
        net.run(main)


class Ringing:
    """Waits that end in the order in which they should."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.waiters = Waiters(self.loop)
        self.ended: list[tuple[str, bool]] = []

    async def wait(self, name: str, seconds: float | None) -> None:
        deadline = None if seconds is None else self.loop.time() + seconds
        woken = await self.waiters.wait(deadline)
        self.ended.append((name, woken))
        assert woken or (deadline is not None and self.loop.time() >= deadline - 0.01)


def test_one_timer_serves_all_deadlines() -> None:
    async def main() -> None:
        ringing = Ringing()
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            for name, seconds in {"third": 0.06, "first": 0.02, "woken": None, "second": 0.04}.items():
                tasks.create_task(ringing.wait(name, seconds))
            await until(lambda: len(ringing.ended) == 3)
            ringing.waiters.wake()
        assert ringing.ended == [("first", False), ("second", False), ("third", False), ("woken", True)]

    asyncio.run(main())


def test_a_timer_that_is_armed_rings_for_whoever_waits_then() -> None:
    async def main() -> None:
        ringing = Ringing()
        gone = asyncio.create_task(ringing.wait("gone", 0.02))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        async with asyncio.timeout(10):
            await ringing.wait("later", 0.05)  # the timer of the one before rings meanwhile
            await ringing.wait("past", -1.0)
        assert ringing.ended == [("later", False), ("past", False)]

    asyncio.run(main())


def test_closing_disarms_the_timer() -> None:
    async def main() -> None:
        waiters = Waiters(asyncio.get_running_loop())
        waiting = waiters.wait(asyncio.get_running_loop().time() + 3600)
        await asyncio.sleep(0)
        waiters.wake()
        assert await waiting
        timer = waiters._timer
        assert timer is not None
        waiters.close()
        waiters.close()
        assert timer.cancelled()

    asyncio.run(main())


class Machine:
    """What a `Link` asks of its wire, with a deadline that a test sets."""

    finished = False
    deadline: float | None = None

    def next_deadline(self) -> float | None:
        return self.deadline

    def data_to_send(self) -> bytes:
        return b""

    def next_event(self) -> object:
        return NEED_DATA

    def handle_timeout(self, now: float) -> None:
        self.deadline = None


def test_an_earlier_deadline_wakes_whoever_would_wait_beyond_it_though_another_waits_for_less() -> None:
    async def main() -> None:
        loop, stream, machine = asyncio.get_running_loop(), AsyncioStream(), Machine()
        link = Link(AsyncioBackend(), stream, cast(WebSocketWire, machine))
        patient = asyncio.ensure_future(link.exchange())
        await asyncio.sleep(0)
        machine.deadline = loop.time() + 60
        hasty = asyncio.ensure_future(link.exchange())
        await asyncio.sleep(0)
        machine.deadline = loop.time() + 3600  # the first one waits for nothing so far
        await link.flush()
        async with asyncio.timeout(10):
            await patient
            await hasty

    asyncio.run(main())


@some("trio-tcp", "anyio-trio-tls")
@RESUMING
def test_who_sends_without_end_lets_others_run_on_trio(net: Net, resume: bool) -> None:
    async def main() -> None:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        given = net.to(url, limits=QUICK)
        async with (
            net.on.connect_pulse(QUIET, **given, resume=resume) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(count)
            await until(lambda: turns)
            before = turns
            for _ in range(1000):
                await stream.send_audio(PACKET)
            assert turns > before + 5
            tasks.cancel_scope.cancel()

    with net.raw(mute) as url:
        net.run(main)
