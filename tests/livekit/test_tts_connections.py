"""Connections of the LiveKit text to speech: kept, opened ahead, shared out, and closed behind the caller's back."""

from __future__ import annotations

import asyncio

import pytest
from livekit.agents import APIConnectOptions

from livekit.plugins.smallest.tts import TTS
from livekit_speech import (
    AGAIN,
    Heard,
    Script,
    collect_metrics,
    say,
    scripted,
    send,
    tone,
    until_closed,
)
from sockets import Peer, chunk, complete, run, until

AUDIO = tone(0.05)
AS_PREWARMED = APIConnectOptions(max_retry=0)


async def speaks(script: Script, peer: Peer) -> None:
    """Every text, until the client closes; that is not answered."""
    await peer.accept()
    try:
        while True:
            await script.whole_text(peer)
            await send(peer, chunk(AUDIO), complete())
    except ConnectionResetError:
        await peer.until_gone()


def test_of_two_who_wait_for_one_connection_one_may_leave() -> None:
    go_on = asyncio.Event()

    async def slow(script: Script, peer: Peer) -> None:
        await go_on.wait()
        await speaks(script, peer)

    async def main() -> None:
        async with scripted(slow) as (script, url), TTS(api_key="k", base_url=url) as tts:
            tts.prewarm()
            await until(lambda: script.connections)
            one, two = (tts.stream(conn_options=AS_PREWARMED) for _ in range(2))
            for stream in (one, two):
                stream.push_text("Hello.")
                stream.end_input()
            for _ in range(10):  # both get as far as waiting
                await asyncio.sleep(0)
            await one.aclose()
            go_on.set()
            async with two:
                heard = await Heard().hear(two)
            assert (heard.pcm, heard.error) == (AUDIO, None)
            assert script.messages[0]  # over the connection that both waited for

    run(main())


def test_a_connection_that_is_about_to_be_closed_speaks_no_more() -> None:
    async def idle(script: Script, peer: Peer) -> None:
        await peer.accept()
        await script.whole_text(peer)
        await send(peer, chunk(AUDIO), complete())
        if script.connections == 1:
            await idle_for_long.wait()
            peer.text({"status": "error", "message": "Connection timed out after 60 seconds of inactivity"})
            told.set()
            await over.wait()
        await until_closed(peer)

    idle_for_long, told, over = (asyncio.Event() for _ in range(3))

    async def main() -> None:
        async with scripted(idle) as (script, url), TTS(api_key="k", base_url=url) as tts:
            assert (await say(tts, "Hello.")).pcm == AUDIO
            idle_for_long.set()
            await told.wait()
            heard = await say(tts, "Again.", conn_options=AGAIN)
            over.set()
            assert (heard.pcm, heard.error, script.connections) == (AUDIO, None, 2)

    run(main())


def test_nobody_waits_for_the_end_of_connections_with_other_options() -> None:
    async def main() -> None:
        async with scripted(speaks) as (script, url), TTS(api_key="k", base_url=url) as tts:
            for heard in await asyncio.gather(*(say(tts, "Hello.") for _ in range(4))):
                assert heard.pcm == AUDIO
            assert script.connections == 4
            tts.update_options(voice_id="devansh")
            async with asyncio.timeout(2):  # four of them would take four seconds
                heard = await say(tts, "Hello.")
            assert heard.pcm == AUDIO

    run(main())


def test_a_connection_with_other_options_is_none_that_is_warm() -> None:
    async def main() -> None:
        async with scripted(speaks) as (script, url), TTS(api_key="k", base_url=url) as tts:
            tts.prewarm()
            await until(lambda: script.connections == 1)
            tts.prewarm()
            tts.update_options(voice_id="devansh")
            metrics = collect_metrics(tts)
            while script.connections == 1:  # the first may still be on its way
                tts.prewarm()
                await asyncio.sleep(0)
            tts.prewarm()
            assert (await say(tts, "Hello.", conn_options=AS_PREWARMED)).pcm == AUDIO
            assert metrics[0].connection_reused
            assert script.connections == 2

    run(main())


def test_either_url_may_need_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    TTS(base_url="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="no API key"):
        TTS(base_url="http://127.0.0.1:9", ws_url="wss://api.smallest.ai/waves/v1/tts/live")
