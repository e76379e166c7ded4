"""What livekit-plugins-smallestai 1.8.9 does where our `TTS` was repaired: so that each repair stays one.

Runs where that plugin is installed, beside ours or without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from livekit_speech import KEY, Heard, Script, say, scripted, send, spoken, tone, until_closed
from sockets import Peer, chunk, complete

official = pytest.importorskip("livekit.plugins.smallestai")
if official.__version__ != "1.8.9":
    pytest.skip("another version than 1.8.9", allow_module_level=True)


@asynccontextmanager
async def speaking(*parts: Callable[[Script, Peer], Awaitable[None]], **arguments: Any) -> AsyncIterator[Any]:
    """Their `TTS` in front of a scripted server."""
    async with scripted(*parts) as (_, url), aiohttp.ClientSession() as session:
        ws_url = f"{url.replace('http', 'ws', 1)}/tts/live"
        tts = official.TTS(api_key=KEY, base_url=url, ws_url=ws_url, http_session=session, **arguments)
        try:
            yield tts
        finally:
            await tts.aclose()


def test_a_pause_truncates_the_audio_and_the_end_looks_clean() -> None:
    async def main() -> Heard:
        pcm = tone(0.4)
        async with speaking(spoken(chunk(pcm[:9600]), 0.9, chunk(pcm[9600:]), complete())) as tts:
            return await say(tts, "Hello.")

    heard = run_loosely(main())
    assert heard.error is None
    assert heard.pcm == tone(0.4)[:9600]


def test_an_error_is_hidden_while_the_input_is_open() -> None:
    async def part(script: Script, peer: Peer) -> None:
        await peer.accept()
        await script.message(peer)
        peer.text({"status": "error", "message": "no"})
        await until_closed(peer)

    async def main() -> None:
        async with speaking(part) as tts:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(2.0):
                    await say(tts, "Hello ", end=False)

    run_loosely(main())


def test_audio_before_a_drop_is_thrown_away() -> None:
    async def part(script: Script, peer: Peer) -> None:
        await peer.accept()
        await script.whole_text(peer)
        await send(peer, chunk(tone(0.11)))

    async def main() -> Heard:
        async with speaking(part) as tts:
            return await say(tts, "Hello.")

    heard = run_loosely(main())
    assert heard.error is not None
    assert len(heard.pcm) < len(tone(0.11))


def test_an_odd_byte_turns_what_follows_into_noise() -> None:
    async def main() -> Heard:
        async with speaking(spoken(chunk(tone(0.1) + b"\x7f"), chunk(tone(0.1)), complete())) as tts:
            return await say(tts, "Hello.")

    heard = run_loosely(main())
    assert heard.error is None
    assert not heard.pcm.endswith(tone(0.1))


def test_the_end_is_late() -> None:
    async def main() -> float:
        said = 0.0

        async def part(script: Script, peer: Peer) -> None:
            nonlocal said
            await peer.accept()
            await script.whole_text(peer)
            await send(peer, chunk(tone(0.05)), complete())
            said = asyncio.get_running_loop().time()
            await until_closed(peer)

        async with speaking(part) as tts:
            await say(tts, "Hello.")
            return asyncio.get_running_loop().time() - said

    assert run_loosely(main()) > 0.5


def test_the_key_shows_in_a_repr() -> None:
    assert KEY in repr(vars(official.TTS(api_key=KEY)))


def run_loosely(main: Any) -> Any:
    """As `run`, for a plugin that leaves tasks behind."""
    return asyncio.run(main)
