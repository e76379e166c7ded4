"""Every way that an open or opening connection can fail: the same documented error on every loop and carrier."""

import threading
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeAlias

import anyio
import pytest

from faults import FAULTS
from loops import EVERY_NET, NETS, Net, until
from smallest_proto.errors import ConnectionLost, ProtocolError, ServerError
from smallest_proto.events import ServerErrorReceived, UnknownMessage
from smallest_proto.lightning import LightningOptions
from smallest_proto.pulse import FinalTranscript, InterimTranscript, PulseOptions, StreamEnded
from smallest_transports.asyncio import PulseStream, TranscriptEvent
from sockets import BINARY, QUICK, Peer, frame, transcript

SECOND = bytes(32000)


async def hear(net: Net, url: str) -> None:
    async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
        await stream.send_audio(SECOND)
        async for _ in stream:
            pass


async def speak(net: Net, url: str) -> None:
    options = LightningOptions(linger=0.02)
    async with net.on.connect_lightning(options, **net.to(url, limits=QUICK)) as stream:
        async for _ in await stream.speak("Good morning."):
            pass


Client: TypeAlias = Callable[[Net, str], Awaitable[None]]


def met(net: Net, behave: Callable[[Peer], Awaitable[None]], client: Client) -> ProtocolError:
    """What the client raises when the server does that."""
    with net.raw(behave) as url, pytest.raises(ProtocolError) as caught:
        net.run(lambda: client(net, url), within=30)
    return caught.value


@cache
def elsewhere(name: str, client: Client) -> ProtocolError:
    """What the client raises on the first of the nets."""
    return met(NETS[0], FAULTS[name].behave, client)


@EVERY_NET
@pytest.mark.parametrize("client", [hear, speak])
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_the_documented_error_in_time(net: Net, name: str, client: Client) -> None:
    fault = FAULTS[name]
    error = met(net, fault.behave, client)
    assert type(error) is fault.error
    assert {name: getattr(error, name) for name in fault.fields} == fault.fields
    assert error.__cause__ is None
    assert error == elsewhere(name, client)  # type, text and every field


def session_with(
    net: Net, behave: Callable[[Peer], Awaitable[None]], options: PulseOptions = PulseOptions()
) -> list[TranscriptEvent]:
    """All events of a session whose audio is already ended when iteration begins."""

    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(options, **net.to(url, limits=QUICK), resume=False) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            return [event async for event in stream]

    with net.raw(behave) as url:
        return net.run(main, within=30)


@EVERY_NET
def test_nonsense_is_reported_and_survived(net: Net) -> None:
    nonsense = ["not JSON", "[1, 2]", '"text"', "{"]
    wrong_types = {"transcript": 7, "is_final": "yes", "words": [{"start": "now"}], "languages": "en"}

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        for message in nonsense:
            peer.text(message)
        peer.text(wrong_types)
        peer.send(frame(BINARY, b"\x00\xff"))
        peer.text(transcript("still here", is_last=True))
        await peer.until_gone()

    events = session_with(net, behave)
    assert sum(isinstance(event, UnknownMessage) for event in events) >= len(nonsense) + 1
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["still here"]
    assert events[-1] == StreamEnded(confirmed=True)


@EVERY_NET
def test_a_server_that_never_says_is_last(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.text(transcript("almost", is_final=True))
        await peer.until_gone()

    events = session_with(net, behave)
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["almost"]
    assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")


@EVERY_NET
def test_a_clean_close_instead_of_is_last(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.close_frame(1000)
        await peer.until_gone()

    assert session_with(net, behave)[-1] == StreamEnded(confirmed=False, reason="closed")


async def collect(stream: PulseStream, into: list[TranscriptEvent]) -> None:
    async for event in stream:
        into.append(event)


@EVERY_NET
def test_events_before_a_drop_come_before_its_error(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(transcript("one", is_final=False))
        peer.text(transcript("one two"))

    async def main() -> None:
        seen: list[TranscriptEvent] = []
        async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
            await stream.send_audio(SECOND)
            with pytest.raises(ConnectionLost):
                await collect(stream, seen)
            texts = [e.text for e in seen if isinstance(e, InterimTranscript | FinalTranscript)]
            assert texts == ["one", "one two"]
            with pytest.raises(ConnectionLost):
                await stream.send_audio(SECOND)
            assert [event async for event in stream] == []

    with net.raw(behave) as url:
        net.run(main, within=30)


async def send_for_ever(stream: PulseStream) -> None:
    while True:
        await stream.send_audio(SECOND)
        await anyio.lowlevel.checkpoint()


@EVERY_NET
def test_a_sender_learns_why_the_server_left(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text({"type": "error", "status": "error", "message": "no more"})
        peer.close_frame(1008, "quota")

    async def main() -> None:
        async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
            with pytest.raises(ServerError) as caught:  # nobody iterates: what came in must not be lost
                await send_for_ever(stream)
            assert caught.value.message == "no more"
            events: list[TranscriptEvent] = []
            with pytest.raises(ServerError):
                await collect(stream, events)
            assert any(isinstance(event, ServerErrorReceived) for event in events)

    with net.raw(behave) as url:
        net.run(main, within=30)


async def refuse(peer: Peer) -> None:
    await peer.refuse(401)


async def accept_and_close(peer: Peer) -> None:
    await peer.accept()
    peer.close_frame(1000)


@EVERY_NET
@pytest.mark.parametrize("begin", [refuse, accept_and_close])
def test_the_socket_is_closed_though_the_server_keeps_its_end_open(
    net: Net, begin: Callable[[Peer], Awaitable[None]]
) -> None:
    gone = threading.Event()

    async def behave(peer: Peer) -> None:
        await begin(peer)
        await peer.until_gone()
        gone.set()

    async def main() -> None:
        with pytest.raises(ProtocolError):
            await hear(net, url)
        await until(gone.is_set)

    with net.raw(behave) as url:
        net.run(main, within=30)
