"""Lightning on asyncio: the local server for what works, a raw one for what does not."""

import asyncio
from collections.abc import Sequence

import pytest

from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, ServerError
from smallest_proto.lightning import (
    AudioChunk,
    ContextCancelled,
    ContextComplete,
    LightningOptions,
    WordTimestamp,
)
from smallest_transports.asyncio import SpeechContext, connect_lightning
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.base import SynthesizerSetup
from smallest_transports.loopback.engines.scripted import ScriptedSynthesizer
from sockets import QUICK, Peer, chunk, complete, raw_server, run

TEXT = "Good morning."
SOON = LightningOptions(linger=0.02, silence_limit=0.2, first_audio_timeout=0.3)
PCM = bytes(range(200))


def spoken(text: str, options: LightningOptions = SOON) -> bytes:
    """What the local server's engine says for a text."""
    setup = SynthesizerSetup(sample_rate=options.sample_rate, speed=options.speed)
    return b"".join(piece.pcm for piece in ScriptedSynthesizer().speak(setup, text))


def pcm_of(events: Sequence[object]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioChunk))


async def events_of(context: SpeechContext) -> list[object]:
    return [event async for event in context]


@pytest.mark.parametrize("mode", ["context", "continue", "segment"])
def test_a_text_is_spoken_whole(mode: str) -> None:
    options = LightningOptions(text_mode=mode, linger=0.02)  # type: ignore[arg-type]  # a literal of it

    async def main() -> None:
        async with serve() as server, connect_lightning(options, base_url=server.url) as stream:
            context = await stream.speak(TEXT)
            events = await events_of(context)
            assert pcm_of(events) == spoken(TEXT)
            assert events[-1] == ContextComplete(context_id=context.id, confirmed=True)
            assert await events_of(context) == []
            assert stream.reusable

    run(main())


@pytest.mark.parametrize("mode", ["context", "continue"])
def test_pieces_of_text_are_joined_as_they_are(mode: str) -> None:
    options = LightningOptions(text_mode=mode, linger=0.05)  # type: ignore[arg-type]  # a literal of it

    async def main() -> None:
        async with serve() as server, connect_lightning(options, base_url=server.url) as stream:
            context = await stream.open_context()
            for piece in ("Let me ", "che", "ck", " that."):
                await context.send_text(piece)
            await context.finish()
            assert pcm_of(await events_of(context)) == spoken("Let me check that.")

    run(main())


def test_a_flush_speaks_at_once() -> None:
    async def main() -> None:
        options = LightningOptions(text_mode="continue", linger=0.05)
        async with serve() as server, connect_lightning(options, base_url=server.url) as stream:
            context = await stream.open_context()
            await context.send_text("One. ")
            await context.flush()
            assert isinstance(await anext(context), AudioChunk)  # before anybody finished the text
            await context.send_text("Two.")
            await context.finish()
            assert (await events_of(context))[-1] == ContextComplete(context_id=context.id, confirmed=True)

    run(main())


def test_words_have_times() -> None:
    async def main() -> None:
        options = LightningOptions(word_timestamps=True, linger=0.02)
        async with serve() as server, connect_lightning(options, base_url=server.url) as stream:
            events = await events_of(await stream.speak("Pay it now"))
            words = [event for event in events if isinstance(event, WordTimestamp)]
            assert [word.word for word in words] == ["Pay", "it", "now"]
            assert all(0 <= word.start < word.end for word in words)

    run(main())


def test_several_contexts_share_a_connection() -> None:
    async def main() -> None:
        async with serve() as server, connect_lightning(SOON, base_url=server.url) as stream:
            for text in ("One.", "And two.", "Three at last."):
                assert pcm_of(await events_of(await stream.speak(text))) == spoken(text)

    run(main())


def test_one_task_speaks_while_another_listens() -> None:
    async def main() -> None:
        async with serve() as server, connect_lightning(SOON, base_url=server.url) as stream:
            context = await stream.open_context()
            listening = asyncio.create_task(events_of(context))
            for piece in ("One. ", "Two. ", "Three."):
                await context.send_text(piece)
                await asyncio.sleep(0)
            await context.finish()
            assert (await listening)[-1] == ContextComplete(context_id=context.id, confirmed=True)

    run(main())


def test_a_second_context_is_refused_while_one_is_active() -> None:
    async def main() -> None:
        async with serve() as server, connect_lightning(SOON, base_url=server.url) as stream:
            context = await stream.open_context()
            await context.send_text(TEXT)
            assert not stream.reusable
            with pytest.raises(LocalProtocolError):
                await stream.open_context()
            await context.finish()
            assert pcm_of(await events_of(context)) == spoken(TEXT)

    run(main())


def test_a_context_is_not_ended_by_what_one_before_it_left_unread() -> None:
    async def main() -> None:
        async with serve() as server, connect_lightning(SOON, base_url=server.url) as stream:
            first = await stream.open_context()
            await first.cancel()  # nothing was sent: the connection is as good as new
            second = await stream.speak(TEXT)
            assert pcm_of(await events_of(second)) == spoken(TEXT)
            assert await events_of(first) == []  # over, and nothing to wait for

    run(main())


def test_cancelling_ends_the_context() -> None:
    async def main() -> None:
        async with serve() as server, connect_lightning(SOON, base_url=server.url) as stream:
            context = await stream.speak(TEXT * 100)
            assert isinstance(await anext(context), AudioChunk)
            await context.cancel()
            assert (await events_of(context))[-1] == ContextCancelled(context_id=context.id)
            with pytest.raises(LocalProtocolError):
                await stream.open_context()

    run(main())


async def accept_text(peer: Peer) -> None:
    await peer.accept()
    await peer.until('"continue":false')


def test_an_error_comes_after_the_audio_before_it() -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        peer.text({"status": "error", "request_id": "r1", "message": "no such voice", "error_code": "VOICE"})
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, connect_lightning(SOON, base_url=url, limits=QUICK) as stream:
            context = await stream.speak(TEXT)
            assert pcm_of([await anext(context)]) == PCM
            with pytest.raises(ServerError) as caught:
                await anext(context)
            assert (caught.value.message, caught.value.code) == ("no such voice", "VOICE")
            assert await events_of(context) == []
            with pytest.raises(LocalProtocolError):
                await stream.open_context()

    run(main())


@pytest.mark.parametrize("how", ["hang up", "close 1011"])
def test_a_drop_comes_after_the_audio_before_it(how: str) -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        if how == "close 1011":
            peer.close_frame(1011)

    async def main() -> None:
        async with raw_server(behave) as url, connect_lightning(SOON, base_url=url) as stream:
            context = await stream.speak(TEXT)
            assert pcm_of([await anext(context)]) == PCM
            with pytest.raises(ConnectionLost) as caught:
                await anext(context)
            assert caught.value.status == (1011 if how == "close 1011" else 1006)
            assert await events_of(context) == []
            with pytest.raises(ConnectionLost):
                await stream.speak(TEXT)

    run(main())


def test_silence_after_audio_ends_a_context_unconfirmed() -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, connect_lightning(SOON, base_url=url, limits=QUICK) as stream:
            context = await stream.speak(TEXT)
            events = await events_of(context)
            assert pcm_of(events) == PCM
            assert events[-1] == ContextComplete(context_id=context.id, confirmed=False)

    run(main())


def test_silence_without_audio_is_a_failure() -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, connect_lightning(SOON, base_url=url, limits=QUICK) as stream:
            with pytest.raises(DeadlineExceeded) as caught:
                await events_of(await stream.speak(TEXT))
            assert caught.value.code == "first_audio"

    run(main())


def test_a_late_complete_is_still_confirmed() -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        peer.text(complete())
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, connect_lightning(SOON, base_url=url, limits=QUICK) as stream:
            context = await stream.speak(TEXT)
            assert (await events_of(context))[-1] == ContextComplete(context_id=context.id, confirmed=True)

    run(main())


def test_the_servers_idle_timeout_is_an_expected_end() -> None:
    async def main() -> None:
        options = LightningOptions(idle_timeout=1)
        async with serve() as server, connect_lightning(options, base_url=server.url) as stream:
            seen = []
            while (event := await stream.next_event()) is not None:
                seen.append(type(event).__name__)
            assert seen == ["ConnectionClosed"]
            with pytest.raises(LocalProtocolError):
                await stream.open_context()

    run(main())


def test_a_keepalive_outlasts_the_idle_timeout() -> None:
    async def main() -> None:
        options = LightningOptions(idle_timeout=1, keepalive_interval=0.4, linger=0.02)
        async with serve() as server, connect_lightning(options, base_url=server.url) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.3):
                    await stream.next_event()
            await stream.keepalive()
            assert pcm_of(await events_of(await stream.speak(TEXT))) == spoken(TEXT)

    run(main())


def test_nothing_works_before_the_block_is_entered() -> None:
    async def main() -> None:
        stream = connect_lightning(base_url="http://127.0.0.1:9")
        await stream.aclose()
        for use in (stream.speak(TEXT), stream.open_context(), stream.keepalive(), stream.next_event()):
            with pytest.raises(LocalProtocolError, match="async with"):
                await use

    run(main())


def test_a_stream_is_entered_once() -> None:
    async def main() -> None:
        async with serve() as server:
            stream = connect_lightning(base_url=server.url)
            async with stream:
                pass
            with pytest.raises(LocalProtocolError, match="entered once"):
                await stream.__aenter__()

    run(main())


@pytest.mark.parametrize("turns", range(0, 60, 5))
def test_a_cancellation_after_any_number_of_turns_leaves_nothing_open(turns: int) -> None:
    async def session(url: str) -> None:
        async with connect_lightning(SOON, base_url=url, limits=QUICK) as stream:
            await events_of(await stream.speak(TEXT))

    async def main() -> None:
        async with serve() as server:
            task = asyncio.create_task(session(server.url))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None

    run(main())
