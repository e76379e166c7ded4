"""Entering and leaving a stream's block, in every way there is: nothing stays open, and nobody waits for long."""

import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest

from loops import EVERY_NET, Net, until
from smallest_proto.errors import LocalProtocolError
from smallest_proto.lightning import LightningOptions
from smallest_proto.pulse import StreamEnded
from smallest_transports.asyncio import LightningStream, PulseStream, TranscriptEvent
from sockets import CLOSE, Peer

SECOND = bytes(32000)
TEXT = "Good morning. " * 20


async def events_of(stream: PulseStream) -> list[TranscriptEvent]:
    return [event async for event in stream]


async def leave_by_break(stream: PulseStream) -> None:
    async for _ in stream:
        break


async def leave_by_exception(stream: PulseStream) -> None:
    async for _ in stream:
        raise KeyError("the user's own")


async def leave_at_once(stream: PulseStream) -> None:
    pass


Leave = Callable[[PulseStream], Awaitable[None]]


@EVERY_NET
@pytest.mark.parametrize("leave", [leave_at_once, leave_by_break, leave_by_exception])
@pytest.mark.parametrize("ended", [False, True])
def test_the_block_can_be_left_anyhow(net: Net, leave: Leave, ended: bool) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            await stream.send_audio(3 * SECOND)
            if ended:
                await stream.end_input()
            await leave(stream)

    with net.server() as server:
        if leave is leave_by_exception:
            with pytest.raises(KeyError):
                net.run(main)
        else:
            net.run(main)


@EVERY_NET
def test_the_block_can_be_left_by_cancellation(net: Net) -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
                await stream.send_audio(3 * SECOND)
                async for _ in stream:
                    scope.cancel()
        assert scope.cancelled_caught

    with net.server() as server:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize("how", ["break", "exception", "cancellation"])
def test_a_lightning_block_can_be_left_in_mid_speech(net: Net, how: str) -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with net.on.connect_lightning(LightningOptions(), **net.to(server.url)) as stream:
                async for _ in await stream.speak(TEXT):
                    if how == "break":
                        break
                    if how == "exception":
                        raise KeyError("the user's own")
                    scope.cancel()
        assert scope.cancelled_caught == (how == "cancellation")

    with net.server() as server:
        if how == "exception":
            with pytest.raises(KeyError):
                net.run(main)
        else:
            net.run(main)


@EVERY_NET
def test_cancelling_cuts_the_close_short(net: Net) -> None:
    connected, closing = threading.Event(), threading.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        connected.set()
        while (await peer.frame())[0] != CLOSE:
            pass
        closing.set()  # the close frame is read, and never answered
        await peer.until_gone()

    async def main() -> None:
        stream = net.on.connect_pulse(**net.to(url), resume=False)  # it would wait 2 s for the answer
        await stream.__aenter__()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stream.aclose)
                await until(closing.is_set)
                begun = anyio.current_time()
                scope.cancel()
        assert anyio.current_time() - begun < 1.0

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_closing_twice_is_harmless(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            await stream.aclose()
            await stream.aclose()
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(SECOND)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_closing_ends_the_iteration_of_another_task(net: Net) -> None:
    async def main() -> None:
        events: list[TranscriptEvent] = []
        async with (
            net.on.connect_pulse(**net.to(server.url), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def listen() -> None:
                events.extend(await events_of(stream))

            tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            await stream.aclose()
        assert events == [StreamEnded(confirmed=False, reason="abandoned")]

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_closing_in_several_tasks_at_once(net: Net) -> None:
    async def main() -> None:
        stream: PulseStream | LightningStream
        async with (
            net.on.connect_pulse(**net.to(server.url), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(events_of, stream)
            for _ in range(3):
                tasks.start_soon(stream.aclose)
        async with (
            net.on.connect_lightning(**net.to(server.url)) as stream,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stream.next_event)
            for _ in range(3):
                tasks.start_soon(stream.aclose)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_closing_while_cancelled(net: Net) -> None:
    async def main() -> None:
        for _ in range(2):
            stream = net.on.connect_pulse(**net.to(server.url), resume=False)
            await stream.__aenter__()
            with anyio.CancelScope() as scope:
                scope.cancel()
                await stream.aclose()
            await stream.aclose()
            assert scope.cancelled_caught

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_two_tasks_cannot_iterate_at_once(net: Net) -> None:
    async def main() -> None:
        events: list[TranscriptEvent] = []
        async with (
            net.on.connect_pulse(**net.to(server.url), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def listen() -> None:
                events.extend(await events_of(stream))

            tasks.start_soon(listen)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(LocalProtocolError, match="another task"):
                await anext(stream)
            await stream.end_input()  # and the first one is none the worse for it
        assert events[-1] == StreamEnded(confirmed=True)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_nothing_works_before_the_block_is_entered(net: Net) -> None:
    async def main() -> None:
        pulse = net.on.connect_pulse(**net.to("http://127.0.0.1:9"), resume=False)
        lightning = net.on.connect_lightning(**net.to("http://127.0.0.1:9"))
        await pulse.aclose()
        await lightning.aclose()
        for use in (
            *(pulse.send_audio(SECOND), pulse.finalize(), pulse.end_input(), anext(pulse)),
            *(lightning.speak(TEXT), lightning.open_context(), lightning.keepalive(), lightning.next_event()),
        ):
            with pytest.raises(LocalProtocolError, match="async with"):
                await use

    net.run(main)


@EVERY_NET
def test_a_stream_is_entered_once(net: Net) -> None:
    async def main() -> None:
        for connect in (net.on.connect_pulse, net.on.connect_lightning):
            stream = connect(**net.to(server.url))
            async with stream:
                with pytest.raises(LocalProtocolError, match="entered once"):
                    await stream.__aenter__()
            with pytest.raises(LocalProtocolError, match="entered once"):
                await stream.__aenter__()

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_a_stream_that_failed_to_connect_is_not_entered_again(net: Net) -> None:
    async def main() -> None:
        stream = net.on.connect_pulse(**net.to("http://127.0.0.1:1"), resume=False)
        with pytest.raises(Exception, match="cannot connect"):
            await stream.__aenter__()
        with pytest.raises(LocalProtocolError, match="entered once"):
            await stream.__aenter__()

    net.run(main)
