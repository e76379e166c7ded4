"""Deadlines of an open connection, on every loop and carrier: kept while the server floods, stalls or is silent."""

import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest

from loops import EVERY_NET, Net
from smallest_proto.errors import DeadlineExceeded
from smallest_proto.events import ConnectionClosed
from smallest_proto.lightning import LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseOptions, StreamEnded
from smallest_transports.asyncio import LightningStream, PulseStream, TranscriptEvent
from sockets import QUICK, TEXT, Peer, frame, until


async def open_until_gone(peer: Peer) -> None:
    await peer.accept()
    await peer.until_gone()


@EVERY_NET
@pytest.mark.parametrize("what", ["pulse", "lightning"])
def test_a_silent_server_is_noticed_within_ping_interval_and_pong_deadline(net: Net, what: str) -> None:
    heartbeat, pong = 0.3, 0.2
    limits = Limits(pong_timeout=pong, close_timeout=0.05)

    async def main() -> None:
        given = net.to(url, limits=limits)
        stream: PulseStream | LightningStream = (
            net.on.connect_pulse(PulseOptions(heartbeat=heartbeat), **given, resume=False)
            if what == "pulse"
            else net.on.connect_lightning(LightningOptions(heartbeat=heartbeat), **given)
        )
        async with stream:
            begun = anyio.current_time()
            events = []
            while (event := await stream.next_event()) is not None:
                events.append(event)
            took = anyio.current_time() - begun
        last = events[-1]
        assert isinstance(last, ConnectionClosed)
        assert isinstance(last.error, DeadlineExceeded)
        assert last.error.code == "pong"
        assert heartbeat + pong - 0.1 <= took < heartbeat + pong + 2.0  # the rest is for a busy machine

    with net.raw(open_until_gone) as url:
        net.run(main, within=30)


@EVERY_NET
@pytest.mark.usefixtures("short_close")
def test_the_upgrade_has_its_time_while_the_request_is_still_being_written(net: Net) -> None:
    over = threading.Event()

    async def deaf(peer: Peer) -> None:
        peer.stop_reading()
        await until(over.is_set)

    async def main() -> None:
        headers = {f"X-{number}": "a" * 100_000 for number in range(100)}  # more than sockets hold
        given = net.to(url, headers=headers, limits=Limits(handshake_timeout=0.3))
        with pytest.raises(DeadlineExceeded) as caught:
            await net.on.connect_pulse(**given, resume=False).__aenter__()
        assert caught.value.code == "handshake"
        over.set()

    with net.raw(deaf) as url:
        net.run(main, within=10)


def flood(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """A server that writes `data` again and again, as fast as it is read."""

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.pour(data)

    return behave


@EVERY_NET
def test_closing_is_bounded_while_the_server_never_stops_sending(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
            await anext(stream)

    with net.raw(flood(frame(TEXT, b'{"transcript":"x","is_final":false}') * 1000)) as url:
        net.run(main, within=30)


@EVERY_NET
def test_a_deadline_is_kept_while_the_server_never_stops_sending(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
            await stream.end_input()
            events = [event async for event in stream]
        assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    with net.raw(flood(frame(TEXT, b'{"type":"pong"}') * 1000)) as url:
        net.run(main, within=30)


@EVERY_NET
def test_a_deadline_that_a_sender_starts_reaches_the_task_that_iterates(net: Net) -> None:
    async def main() -> None:
        events: list[TranscriptEvent] = []
        options = PulseOptions(heartbeat=None)
        async with (
            net.on.connect_pulse(options, **net.to(url, limits=QUICK), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def listen() -> None:
                async for event in stream:
                    events.append(event)

            tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()  # it waits now, and for no deadline
            await stream.end_input()
        assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    with net.raw(open_until_gone) as url:
        net.run(main, within=30)
