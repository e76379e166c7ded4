"""Requests over HTTP on every loop and carrier: waiting, leaving early, being cancelled."""

import threading
from collections.abc import Awaitable, Callable

import anyio
import pytest

from http_calls import CALLS, Call, pcm_of
from http_faults import CHUNKED, SIZED, read_whole_request
from loops import EVERY_NET, Net, some, stall, until
from smallest_proto.errors import ConnectionLost
from smallest_proto.events import Event
from smallest_proto.lightning import AudioChunk
from smallest_proto.pulse import BatchPcm
from sockets import Peer
from sockets import until as until_there

ROOM = 16 * 1024 * 1024


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@some("asyncio-tcp", "uvloop-tls", "trio-tls", "anyio-asyncio-tls", "anyio-trio-tcp")
def test_nothing_is_read_ahead_of_the_user(net: Net) -> None:
    sent: list[int] = []

    async def behave(peer: Peer) -> None:
        await read_whole_request(peer)
        peer.send(CHUNKED)
        await peer.pour(chunk(bytes(32000)), sent)

    async def main() -> None:
        async with net.on.synthesize("Hi", **net.to(url)) as speech:
            assert isinstance(await anext(speech), AudioChunk)
            await stall(lambda: sum(sent), ROOM)

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_audio_is_handed_out_as_it_comes(net: Net) -> None:
    heard = threading.Event()

    async def behave(peer: Peer) -> None:
        await read_whole_request(peer)
        peer.send(CHUNKED + chunk(bytes(100)))
        await until_there(heard.is_set)
        peer.send(chunk(bytes(60)) + b"0\r\n\r\n")
        await peer.until_gone()

    async def main() -> None:
        async with net.on.synthesize("Hi", **net.to(url)) as speech:
            first = await anext(speech)
            heard.set()
            rest: list[Event] = [event async for event in speech]
            assert len(pcm_of([first, *rest])) == 160

    with net.raw(behave) as url:
        net.run(main)


async def cancelled(calling: Callable[[], Awaitable[object]], when: threading.Event) -> None:
    """Call, and cancel that once the server says so."""
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                await until(when.is_set)
                scope.cancel()

            tasks.start_soon(cancel)
            await calling()
            raise AssertionError("too early")
    assert scope.cancelled_caught


@EVERY_NET
def test_a_cancelled_call_leaves_nothing_open(net: Net) -> None:
    def check(call: Call) -> None:
        asked, gone = threading.Event(), threading.Event()

        async def behave(peer: Peer) -> None:
            await read_whole_request(peer)
            peer.send(SIZED + b"RIFF")
            asked.set()
            await peer.until_gone()
            gone.set()

        async def main() -> None:
            await cancelled(lambda: call(net, url, "k"), asked)
            await until(gone.is_set)

        with net.raw(behave) as url:
            net.run(main, within=10)

    for call in CALLS:
        check(call)


@EVERY_NET
def test_a_cancelled_upload_leaves_nothing_open(net: Net) -> None:
    uploading, leaving, gone = threading.Event(), threading.Event(), threading.Event()

    async def behave(peer: Peer) -> None:
        await peer.read_request()
        peer.stop_reading()
        uploading.set()
        await until_there(leaving.is_set)
        peer.go_on_reading()
        await peer.until_gone()
        gone.set()

    async def main() -> None:
        recording = BatchPcm(bytes(ROOM), 16000)
        await cancelled(lambda: net.on.transcribe(recording, **net.to(url)), uploading)
        leaving.set()
        await until(gone.is_set)

    with net.raw(behave) as url:
        net.run(main, within=10)


@EVERY_NET
def test_a_block_can_be_left_in_the_middle(net: Net) -> None:
    gone = threading.Event()

    async def behave(peer: Peer) -> None:
        await read_whole_request(peer)
        peer.send(SIZED + bytes(100))
        await peer.until_gone()
        gone.set()

    async def main() -> None:
        async with net.on.synthesize("Hi", **net.to(url)) as speech:
            async for _ in speech:
                break
            await speech.aclose()
            await speech.aclose()
            with pytest.raises(ConnectionLost, match="from this side"):
                await anext(speech)
        await until(gone.is_set)

    with net.raw(behave) as url:
        net.run(main, within=10)
