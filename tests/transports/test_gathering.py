"""Audio that waits for the end of the loop's turn: never lost, never without limit, never after the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from loops import EVERY_LOOP, EVERY_NET, Net, until
from smallest_proto.errors import ConnectionLost, LocalProtocolError
from smallest_proto.pulse import PulseOptions, Resumed, ResumePolicy, StreamEnded
from smallest_transports import anyio as on_anyio
from smallest_transports._backend import Backend, Stream
from smallest_transports._functions import Functions
from smallest_transports._resuming import ResumingSession
from sockets import BINARY, QUICK, Peer, transcript
from sockets import until as until_there

PACKET = bytes(1600)
SECOND = bytes(32000)
QUIET = PulseOptions(heartbeat=None, keepalive_interval=None)
"""Nothing wakes anybody by itself."""


class Listener:
    """A server that counts the audio of each connection, and reads when it is told to."""

    def __init__(self, *, reset_after: int | None = None, reading: bool = True) -> None:
        self.heard: list[int] = []
        self._reset_after = reset_after
        self._reading = threading.Event()
        if reading:
            self.read()

    def read(self) -> None:
        self._reading.set()

    async def behave(self, peer: Peer) -> None:
        await peer.accept()
        if not self._reading.is_set():
            peer.stop_reading()
            await until_there(self._reading.is_set)
            peer.go_on_reading()
        self.heard.append(0)
        opcode, payload = await peer.frame()
        while opcode == BINARY:
            self.heard[-1] += len(payload)
            if len(self.heard) == 1 and self._reset_after is not None and self.heard[0] >= self._reset_after:
                peer.reset()
                return
            opcode, payload = await peer.frame()
        peer.text(transcript("one", is_last=True))
        await peer.until_gone()


@EVERY_LOOP
def test_after_the_end_of_the_input_nothing_is_taken_even_while_a_replay_is_under_way(net: Net) -> None:
    listener = Listener(reset_after=len(SECOND))

    async def main() -> None:
        policy = ResumePolicy(replay_pace=1.1)
        async with net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK), resume=policy) as stream:
            await stream.send_audio(SECOND)
            async for event in stream:
                if isinstance(event, Resumed):
                    break
            await stream.end_input()
            with pytest.raises(LocalProtocolError, match="input has ended"):
                await stream.send_audio(PACKET)
            await stream.aclose()

    with net.raw(listener.behave) as url:
        net.run(main)


@EVERY_LOOP
def test_who_only_sends_learns_that_the_connection_is_lost(net: Net) -> None:
    """In time for all the audio to be heard, though no more than ten seconds are kept."""
    listener = Listener(reset_after=len(SECOND))

    async def main() -> None:
        policy = ResumePolicy(keep_seconds=10.0)
        async with net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK), resume=policy) as stream:
            for number in range(600):
                await stream.send_audio(PACKET)
                if number == 30:
                    await until(lambda: listener.heard[:1] >= [len(SECOND)])
                    await anyio.sleep(0.05)  # the reset is on its way, which nothing announces
                await anyio.lowlevel.checkpoint()
            await stream.end_input()
            assert [event async for event in stream][-1] == StreamEnded(confirmed=True, reason="is_last")
        assert listener.heard[1:] == [600 * len(PACKET)]

    with net.raw(listener.behave) as url:
        net.run(main)


class Broken:
    """A stream that cannot send any more, and does not say so unless it is given something to send."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.broken = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def send(self, data: bytes) -> None:
        if data and self.broken:
            raise ConnectionLost("the connection is gone", status=1006)
        self._stream.send(data)

    async def write(self, data: bytes, deadline: float | None) -> None:
        self.send(data)
        await self._stream.write(b"", deadline)


class Breakable:
    """A backend whose connections can be broken."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.streams: list[Broken] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    async def connect(self, *given: Any, **named: Any) -> Broken:
        self.streams.append(Broken(await self._backend.connect(*given, **named)))
        return self.streams[-1]


@EVERY_LOOP
def test_who_only_sends_goes_on_elsewhere_when_the_stream_has_failed_silently(net: Net) -> None:
    """As TLS does once a record could not be read."""
    listener, backend = Listener(), Breakable(net.backend)

    async def main() -> None:
        async with Functions(backend).connect_pulse(QUIET, **net.to(url, limits=QUICK)) as stream:
            await stream.send_audio(PACKET)
            await until(lambda: listener.heard == [len(PACKET)])
            backend.streams[0].broken = True
            for _ in range(20):
                await stream.send_audio(PACKET)
                await anyio.lowlevel.checkpoint()
            await stream.end_input()
            assert [event async for event in stream][-1] == StreamEnded(confirmed=True, reason="is_last")
        assert listener.heard == [len(PACKET), 21 * len(PACKET)]

    with net.raw(listener.behave) as url:
        net.run(main)


async def a_long_piece(send: Callable[[bytes], Awaitable[None]]) -> int:
    await send(SECOND * 4)
    return 4 * len(SECOND)


async def packets(send: Callable[[bytes], Awaitable[None]]) -> int:
    for _ in range(10):
        await send(PACKET)
    await anyio.lowlevel.checkpoint()
    return 10 * len(PACKET)


@EVERY_NET
@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("some", [a_long_piece, packets])
def test_a_server_that_does_not_read_holds_the_sender_back_and_is_sent_all_once_it_does(
    net: Net, resume: bool, some: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[int]]
) -> None:
    listener = Listener(reading=False)

    async def main() -> None:
        sent = 0

        async def speak() -> None:
            nonlocal sent
            while not done:
                sent += await some(stream.send_audio)

        async def listen() -> None:
            async for _ in stream:
                pass

        done = False
        given = net.to(url, limits=QUICK)
        async with (
            net.on.connect_pulse(QUIET, **given, resume=resume) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(listen)
            async with anyio.create_task_group() as speaking:
                speaking.start_soon(speak)
                before = -1
                while sent != before:
                    before = sent
                    await anyio.sleep(0.15)  # enough for many megabytes, were nothing in the way
                assert sent < 20_000_000
                done = True
                listener.read()
            await until(lambda: listener.heard[:1] == [sent])
            tasks.cancel_scope.cancel()

    with net.raw(listener.behave) as url:
        net.run(main)


@EVERY_NET
def test_whoever_listens_writes_what_a_cancelled_call_left(net: Net) -> None:
    listener = Listener(reading=False)
    much = SECOND * 250

    async def main() -> None:
        async with (
            net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stream.next_event)
            await anyio.wait_all_tasks_blocked()
            with anyio.move_on_after(0.1) as scope:
                await stream.send_audio(much)
            assert scope.cancelled_caught
            listener.read()
            await until(lambda: listener.heard == [len(much)])
            tasks.cancel_scope.cancel()

    with net.raw(listener.behave) as url:
        net.run(main)


@EVERY_NET
def test_whoever_listens_writes_what_the_end_of_a_turn_left(net: Net) -> None:
    listener = Listener(reading=False)

    async def main() -> None:
        async with (
            net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK)) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stream.next_event)
            await anyio.wait_all_tasks_blocked()
            carrier, sent = stream._carrier, 0
            assert isinstance(carrier, ResumingSession)
            link = carrier._links.only
            assert link is not None
            while not link.clogged:
                sent += await packets(stream.send_audio)
            listener.read()
            await until(lambda: listener.heard == [sent])
            tasks.cancel_scope.cancel()

    with net.raw(listener.behave) as url:
        net.run(main)


def test_anyio_needs_no_loop_that_anyio_has_started() -> None:
    listener, net = Listener(), Net("asyncio", "tcp")

    async def main() -> None:
        async with asyncio.timeout(10), on_anyio.connect_pulse(QUIET, **net.to(url, limits=QUICK)) as stream:
            await stream.send_audio(PACKET)
            await until(lambda: listener.heard == [len(PACKET)])

    with net.raw(listener.behave) as url:
        asyncio.run(main())


@EVERY_LOOP
def test_what_was_taken_is_sent_though_the_stream_is_closed_in_the_same_turn(net: Net) -> None:
    listener = Listener()

    async def main() -> None:
        async with net.on.connect_pulse(QUIET, **net.to(url, limits=QUICK)) as stream:
            await stream.send_audio(PACKET)
            await stream.send_audio(PACKET)
        await until(lambda: listener.heard == [2 * len(PACKET)])

    with net.raw(listener.behave) as url:
        net.run(main)
