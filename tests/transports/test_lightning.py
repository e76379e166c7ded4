"""Lightning against the local server, on every loop and carrier."""

import json
from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from loops import EVERY_NET, Net, until
from smallest_proto.errors import LocalProtocolError
from smallest_proto.lightning import (
    AudioChunk,
    ContextCancelled,
    ContextComplete,
    LightningOptions,
    OpenContext,
    SendText,
    WordTimestamp,
)
from smallest_transports.asyncio import SpeechContext
from smallest_transports.loopback.engines.base import SynthesizerSetup
from smallest_transports.loopback.engines.scripted import ScriptedSynthesizer
from sockets import QUICK, Peer
from sockets import TEXT as TEXT_FRAME

TEXT = "Good morning."
SOON = LightningOptions(linger=0.02, silence_limit=0.2, first_audio_timeout=0.3)


def spoken(text: str, options: LightningOptions = SOON) -> bytes:
    """What the local server's engine says for a text."""
    setup = SynthesizerSetup(sample_rate=options.sample_rate, speed=options.speed)
    return b"".join(piece.pcm for piece in ScriptedSynthesizer().speak(setup, text))


def pcm_of(events: Sequence[object]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioChunk))


async def events_of(context: SpeechContext) -> list[object]:
    return [event async for event in context]


@EVERY_NET
@pytest.mark.parametrize("mode", ["context", "continue", "segment"])
def test_a_text_is_spoken_whole(net: Net, mode: str) -> None:
    options = LightningOptions(text_mode=mode, linger=0.02)  # type: ignore[arg-type]  # a literal of it

    async def main() -> None:
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            context = await stream.speak(TEXT)
            events = await events_of(context)
            assert pcm_of(events) == spoken(TEXT)
            assert events[-1] == ContextComplete(context_id=context.id, confirmed=True)
            assert await events_of(context) == []
            assert stream.reusable

    with net.server() as server:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize("mode", ["context", "continue"])
def test_pieces_of_text_are_joined_as_they_are(net: Net, mode: str) -> None:
    options = LightningOptions(text_mode=mode, linger=0.05)  # type: ignore[arg-type]  # a literal of it

    async def main() -> None:
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            context = await stream.open_context()
            for piece in ("Let me ", "che", "ck", " that."):
                await context.send_text(piece)
            await context.finish()
            assert pcm_of(await events_of(context)) == spoken("Let me check that.")

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_a_flush_speaks_at_once(net: Net) -> None:
    async def main() -> None:
        options = LightningOptions(text_mode="continue", linger=0.05)
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            context = await stream.open_context()
            await context.send_text("One. ")
            await context.flush()
            assert isinstance(await anext(context), AudioChunk)  # before anybody finished the text
            await context.send_text("Two.")
            await context.finish()
            assert (await events_of(context))[-1] == ContextComplete(context_id=context.id, confirmed=True)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_words_have_times(net: Net) -> None:
    async def main() -> None:
        options = LightningOptions(word_timestamps=True, linger=0.02)
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            events = await events_of(await stream.speak("Pay it now"))
            words = [event for event in events if isinstance(event, WordTimestamp)]
            assert [word.word for word in words] == ["Pay", "it", "now"]
            assert all(0 <= word.start < word.end for word in words)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_several_contexts_share_a_connection(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(server.url)) as stream:
            for text in ("One.", "And two.", "Three at last."):
                assert pcm_of(await events_of(await stream.speak(text))) == spoken(text)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_one_task_speaks_while_another_listens(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(server.url)) as stream:
            context = await stream.open_context()

            async def listen() -> None:
                last = (await events_of(context))[-1]
                assert last == ContextComplete(context_id=context.id, confirmed=True)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                for piece in ("One. ", "Two. ", "Three."):
                    await context.send_text(piece)
                    await anyio.lowlevel.checkpoint()
                await context.finish()

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_a_second_context_is_refused_while_one_is_active(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(server.url)) as stream:
            context = await stream.open_context()
            await context.send_text(TEXT)
            assert not stream.reusable
            with pytest.raises(LocalProtocolError):
                await stream.open_context()
            await context.finish()
            assert pcm_of(await events_of(context)) == spoken(TEXT)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_of_several_commands_those_before_a_refused_one_are_sent(net: Net) -> None:
    texts: list[str] = []

    async def behave(peer: Peer) -> None:
        await peer.accept()
        opcode, payload = await peer.frame()
        assert opcode == TEXT_FRAME
        texts.append(json.loads(payload)["text"])
        await peer.until_gone()

    async def main() -> None:
        name = "context1"
        async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)) as stream:
            with pytest.raises(LocalProtocolError, match="text"):
                await stream.send(OpenContext(name), SendText(TEXT, name), SendText("", name))
            await until(lambda: texts)
            assert texts == [TEXT]

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_a_context_is_not_ended_by_what_one_before_it_left_unread(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(server.url)) as stream:
            first = await stream.open_context()
            await first.cancel()  # nothing was sent: the connection is as good as new
            second = await stream.speak(TEXT)
            assert pcm_of(await events_of(second)) == spoken(TEXT)
            assert await events_of(first) == []  # over, and nothing to wait for

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_cancelling_ends_the_context(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(server.url)) as stream:
            context = await stream.speak(TEXT * 100)
            assert isinstance(await anext(context), AudioChunk)
            await context.cancel()
            assert (await events_of(context))[-1] == ContextCancelled(context_id=context.id)
            with pytest.raises(LocalProtocolError):
                await stream.open_context()

    with net.server() as server:
        net.run(main)
