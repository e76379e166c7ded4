"""Lightning against servers that misbehave, and those that go silent, on every loop and carrier."""

from collections.abc import Sequence

import anyio
import pytest

from loops import EVERY_NET, Net, some
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ProtocolError,
    ServerError,
)
from smallest_proto.lightning import AudioChunk, ContextComplete, LightningOptions
from smallest_proto.lightning.options import TextMode
from smallest_transports._pool import LightningPool
from smallest_transports.asyncio import SpeechContext
from sockets import QUICK, Peer, chunk, complete

TEXT = "Good morning."
SOON = LightningOptions(linger=0.02, silence_limit=0.2, first_audio_timeout=0.3)
PCM = bytes(range(200))
A_FEW = some("asyncio-tls", "uvloop-tcp", "trio-tcp", "anyio-trio-tls")
"""For what takes seconds."""


def pcm_of(events: Sequence[object]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioChunk))


async def events_of(context: SpeechContext) -> list[object]:
    return [event async for event in context]


async def accept_text(peer: Peer) -> None:
    await peer.accept()
    await peer.until('"continue":false')


@EVERY_NET
def test_an_error_comes_after_the_audio_before_it(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        peer.text({"status": "error", "request_id": "r1", "message": "no such voice", "error_code": "VOICE"})
        await peer.until_gone()

    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)) as stream:
            context = await stream.speak(TEXT)
            assert pcm_of([await anext(context)]) == PCM
            with pytest.raises(ServerError) as caught:
                await anext(context)
            assert (caught.value.message, caught.value.code) == ("no such voice", "VOICE")
            assert await events_of(context) == []
            with pytest.raises(LocalProtocolError):
                await stream.open_context()

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize("how", ["hang up", "close 1011"])
def test_a_drop_comes_after_the_audio_before_it(net: Net, how: str) -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        if how == "close 1011":
            peer.close_frame(1011)

    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(url)) as stream:
            context = await stream.speak(TEXT)
            assert pcm_of([await anext(context)]) == PCM
            with pytest.raises(ConnectionLost) as caught:
                await anext(context)
            assert caught.value.status == (1011 if how == "close 1011" else 1006)
            assert await events_of(context) == []
            with pytest.raises(ConnectionLost):
                await stream.speak(TEXT)

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_silence_after_audio_ends_a_context_unconfirmed(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        await peer.until_gone()

    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)) as stream:
            context = await stream.speak(TEXT)
            events = await events_of(context)
            assert pcm_of(events) == PCM
            assert events[-1] == ContextComplete(context_id=context.id, confirmed=False)

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_silence_without_audio_is_a_failure(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        await peer.until_gone()

    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)) as stream:
            with pytest.raises(DeadlineExceeded) as caught:
                await events_of(await stream.speak(TEXT))
            assert caught.value.code == "first_audio"

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_a_late_complete_is_still_confirmed(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await accept_text(peer)
        peer.text(chunk(PCM))
        peer.text(complete())
        await peer.until_gone()

    async def main() -> None:
        async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)) as stream:
            context = await stream.speak(TEXT)
            assert (await events_of(context))[-1] == ContextComplete(context_id=context.id, confirmed=True)

    with net.raw(behave) as url:
        net.run(main)


@A_FEW
def test_the_servers_idle_timeout_is_an_expected_end(net: Net) -> None:
    async def main() -> None:
        options = LightningOptions(idle_timeout=1)
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            seen = []
            while (event := await stream.next_event()) is not None:
                seen.append(type(event).__name__)
            assert seen == ["ConnectionClosed"]
            with pytest.raises(LocalProtocolError):
                await stream.open_context()

    with net.server() as server:
        net.run(main)


@A_FEW
def test_a_keepalive_outlasts_the_idle_timeout(net: Net) -> None:
    async def main() -> None:
        options = LightningOptions(idle_timeout=1, keepalive_interval=0.4, linger=0.02)
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            with anyio.move_on_after(1.3):
                assert await stream.next_event() is None, "nothing should have come"
            await stream.keepalive()
            assert pcm_of(await events_of(await stream.speak(TEXT)))

    with net.server() as server:
        net.run(main)


REFUSALS = [(None, 1008), (None, 1011), (None, 1000), ("too many sessions", 1000)]


@A_FEW
@pytest.mark.parametrize(("message", "code"), REFUSALS)
def test_a_server_that_accepts_only_to_say_why_it_closes(net: Net, message: str | None, code: int) -> None:
    async def behave(peer: Peer) -> None:
        writes: list[bytes] = []
        peer.send = writes.append  # type: ignore[method-assign,assignment]  # all of it in one write
        await peer.accept()
        if message is not None:
            peer.text({"status": "error", "message": message})
        peer.close_frame(code)
        peer.writer.write(b"".join(writes))
        await peer.until_gone()

    def check(error: ProtocolError) -> None:
        assert error.retryable
        if isinstance(error, ServerError):
            assert (error.message, error.status) == (message or "", None if message else 1008)
        else:
            assert error.status == code != 1008

    async def main() -> None:
        with pytest.raises((ServerError, ConnectionLost)) as caught:
            async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)):
                pytest.fail("it cannot be used")
        check(caught.value)
        async with net.on.lightning_pool(SOON, **net.to(url, limits=QUICK)) as pool:
            with pytest.raises((ServerError, ConnectionLost)) as caught:
                await speak(pool)
        check(caught.value)

    with net.raw(behave) as url:
        net.run(main)


async def speak(pool: LightningPool) -> None:
    async with pool.speak(TEXT) as speech:
        async for _ in speech:
            pass


@A_FEW
@pytest.mark.parametrize("mode", ["context", "continue", "segment"])
@pytest.mark.parametrize("text", ["", "\ud800"])
def test_a_text_that_is_refused_leaves_the_connection_as_it_was(net: Net, mode: TextMode, text: str) -> None:
    async def main() -> None:
        options = LightningOptions(linger=0.02, text_mode=mode)
        async with net.on.connect_lightning(options, **net.to(server.url, limits=QUICK)) as stream:
            with pytest.raises(LocalProtocolError, match="text"):
                await stream.speak(text)
            assert stream.reusable
            assert pcm_of(await events_of(await stream.speak(TEXT)))

    with net.server() as server:
        net.run(main)
