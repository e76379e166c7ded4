"""Speech over a server that does not read: it is heard all the same, and holds up neither a cancellation nor an end."""

from __future__ import annotations

import json

import anyio
import pytest

from loops import Net, some
from smallest_proto.lightning import AudioChunk, ContextCancelled, ContextComplete, LightningOptions
from smallest_transports._lightning import SpeechContext
from smallest_transports._pooled_speech import PooledSpeech
from sockets import QUICK, Peer, chunk, complete, until

pytestmark = pytest.mark.usefixtures("short_close")

OPTIONS = LightningOptions(linger=0.005)
PCM = bytes(4800)
PIECE = "x" * 1_000_000
FIVE = some("asyncio-tcp", "uvloop-tls", "trio-tcp", "anyio-asyncio-tls", "anyio-trio-tcp")


async def fill(speech: PooledSpeech | SpeechContext) -> int:
    """Send until the server has given up twice: by then a piece is taken that waits for room. How many were."""
    sent = cancelled = 0
    while cancelled < 2:
        with anyio.move_on_after(0.05) as scope:
            await speech.send_text(PIECE)
        cancelled += scope.cancelled_caught
        sent += 1
    return sent


@FIVE
def test_it_is_heard_while_a_piece_of_text_waits_for_it_to_read(net: Net) -> None:
    iterating = False
    texts: list[str] = []

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.stop_reading()
        await until(lambda: iterating)
        peer.text(chunk(PCM))
        await until(lambda: heard)
        peer.go_on_reading()
        while '"continue":false' not in (message := (await peer.frame())[1].decode()):
            texts.append(json.loads(message)["text"])
        peer.text(chunk(PCM))
        peer.text(complete())
        await peer.until_gone()

    heard: list[object] = []

    async def main() -> int:
        nonlocal iterating
        async with (
            net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool,
            pool.speech() as speech,
        ):
            sent = await fill(speech)
            iterating = True
            with anyio.fail_after(5):
                heard.append(await anext(speech))
            await speech.finish()
            heard.extend([event async for event in speech])
            return sent

    with net.raw(behave) as url:
        sent = net.run(main)
    assert [type(event) for event in heard] == [AudioChunk, AudioChunk, ContextComplete]
    assert texts == [PIECE] * sent


async def never_reads(peer: Peer) -> None:
    await peer.accept()
    peer.stop_reading()
    await anyio.sleep_forever()


async def cancel(speech: PooledSpeech | SpeechContext) -> None:
    heard: list[object] = []

    async def hear() -> None:
        heard.extend([event async for event in speech])

    await fill(speech)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear)
            await speech.cancel()
    assert [type(event) for event in heard] == [ContextCancelled]


@FIVE
def test_a_pools_speech_is_cancelled_at_once(net: Net) -> None:
    async def main() -> None:
        async with (
            net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool,
            pool.speech() as speech,
        ):
            await cancel(speech)

    with net.raw(never_reads) as url:
        net.run(main)


@FIVE
def test_a_connections_speech_is_cancelled_at_once(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_lightning(OPTIONS, **net.to(url, limits=QUICK)) as stream:
            await cancel(await stream.open_context())

    with net.raw(never_reads) as url:
        net.run(main)
