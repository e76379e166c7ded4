"""What livekit-plugins-smallestai 1.8.9 gets wrong, shown on it, and on ours. Run by name, where it is installed:

python -m pytest livekit/differential/check_defects.py
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit.agents import APIConnectOptions, stt
from livekit.agents.utils import http_context

from livekit.plugins import smallest
from livekit_stt import (
    FINAL,
    TWICE,
    Answer,
    Heard,
    data_of,
    message,
    plain_answer,
    push,
    saying,
    served,
    shown,
    upto,
    word,
)
from sockets import Peer

official: Any = pytest.importorskip("livekit.plugins.smallestai")

Observe = Callable[[Any, dict[str, Any]], Awaitable[object]]
QUICK = APIConnectOptions(max_retry=0, timeout=2.0, retry_interval=0.1)
LATE = 4.0
"""Seconds in which a stream has to end by itself."""


def check(observe: Observe, theirs: object, ours: object) -> None:
    async def both() -> tuple[object, object]:
        async with http_context.open():
            first = await observe(official.STT, {})
        return first, await observe(smallest.STT, {"endpoint": "live", "vad_events": True})

    assert asyncio.run(both()) == (theirs, ours)


@asynccontextmanager
async def streaming(
    plugin: Any, options: dict[str, Any], *answers: Answer, heard: Heard | None = None
) -> AsyncIterator[tuple[Any, Any]]:
    """A recogniser and a stream of it."""
    async with served(*answers, heard=heard) as url:
        recogniser = plugin(api_key="sk_secret", base_url=url, **options)
        stream = recogniser.stream(conn_options=QUICK)
        try:
            yield recogniser, stream
        finally:
            await stream.aclose()


async def ending(stream: stt.RecognizeStream) -> tuple[list[str], str]:
    """The events to the end, and how it ended."""
    events: list[stt.SpeechEvent] = []
    try:
        async with asyncio.timeout(LATE):
            async for event in stream:
                events.append(event)
    except TimeoutError:
        return shown(events), "no end"
    except Exception as error:
        return shown(events), type(error).__name__
    return shown(events), "clean"


def test_a_late_final_opens_a_ghost_turn() -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        say = saying(
            {"type": "speech_started", "session_id": "a", "timestamp": 0.2},
            message("call me", is_final=False),
            {"type": "speech_ended", "session_id": "a", "timestamp": 1.05},
            message("Call me back.", words=[word("Call", 0.25, 1.0)]),
        )
        async with streaming(plugin, options, say) as (_, stream):
            push(stream, 0.1)
            return shown(await upto(stream, FINAL))

    before = ["START", "INTERIM call me", "END"]
    check(observe, [*before, "START", "FINAL Call me back."], [*before, "FINAL Call me back."])


@pytest.mark.parametrize(
    "odd",
    [
        *("[]", "7", "null"),
        {"transcript": "x", "words": "word"},
        {"transcript": "x", "words": ["a"]},
        {"transcript": "x", "words": [{"word": "x", "start": None}]},
        {"transcript": 7, "is_final": True},
    ],
    ids=str,
)
def test_nonsense_ends_the_stream(odd: object) -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        async with streaming(plugin, options, saying(odd, message("sound"))) as (_, stream):
            push(stream, 0.1)
            stream.end_input()
            events, how = await ending(stream)
            return "FINAL sound" in events, how in ("AttributeError", "TypeError")

    check(observe, (False, True), (True, False))


def test_a_drop_after_the_end_of_the_input_passes_for_success() -> None:
    async def drop(peer: Peer, said: str) -> None:
        if "close_stream" in said:
            peer.close_frame(1011)

    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        async with streaming(plugin, options, drop) as (_, stream):
            push(stream, 0.2)
            stream.end_input()
            return (await ending(stream))[1]

    check(observe, "clean", "APIStatusError")  # every connection is lost there, after ten more ours gives up


def test_a_dropped_connection_takes_what_it_heard_along() -> None:
    async def drop(peer: Peer, said: str) -> None:
        if len(heard.packets[0]) == 4:
            peer.reset()

    heard = Heard()

    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        nonlocal heard
        heard = Heard()
        async with served(drop, plain_answer, heard=heard) as url:
            recogniser = plugin(api_key="sk_secret", base_url=url, **options)
            stream = recogniser.stream(conn_options=TWICE)
            push(stream, 0.2)
            await received(heard, 1, 0)
            stream.end_input()
            await ending(stream)
            await stream.aclose()
        return sum(heard.packets[1]) / 32000

    check(observe, 0.0, 0.2)


def test_a_silent_server_is_waited_for() -> None:
    async def mute(peer: Peer, said: str) -> None:
        pass

    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        async with streaming(plugin, options, mute) as (_, stream):
            push(stream, 0.2)
            stream.end_input()
            return (await ending(stream))[1]

    check(observe, "no end", "APITimeoutError")


def test_an_update_of_nothing_reconnects() -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        heard = Heard()
        async with streaming(plugin, options, heard=heard) as (recogniser, stream):
            push(stream, 0.1)
            await received(heard, 0, 0.1)
            recogniser.update_options(language="en")
            push(stream, 0.1)
            await asyncio.sleep(0.3)
            return heard.connections

    check(observe, 2, 1)


async def received(heard: Heard, connection: int, seconds: float) -> None:
    """Wait until the server has so much 16-bit audio at 16 kHz."""
    async with asyncio.timeout(LATE):
        while len(heard.packets) <= connection or sum(heard.packets[connection]) < seconds * 32000:  # noqa: ASYNC110  # sockets set no event
            await asyncio.sleep(0.005)


def test_new_options_lose_the_last_words_and_times_begin_again() -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        async def old(peer: Peer, said: str) -> None:
            if "close_stream" in said:
                peer.text(message("before"))
                await plain_answer(peer, said)

        heard = Heard()
        new = saying(message("after", words=[word("after", 0.1, 0.2)], from_finalize=True))
        async with streaming(plugin, options, old, new, heard=heard) as (recogniser, stream):
            push(stream, 1.0)
            await received(heard, 0, 1.0)
            recogniser.update_options(language="hi")
            await received(heard, 1, 0)
            push(stream, 0.1)
            events = await upto(stream, FINAL)
            if "FINAL before" in shown(events):
                events = await upto(stream, FINAL)
                return "kept", round(data_of(events).start_time, 1)
            return "lost", round(data_of(events).start_time, 1)

    check(observe, ("lost", 0.1), ("kept", 1.1))


def test_a_new_sample_rate_is_announced_but_not_sent() -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        heard = Heard()
        async with streaming(plugin, options, heard=heard) as (recogniser, stream):
            push(stream, 0.2)
            await received(heard, 0, 0.2)
            recogniser.update_options(sample_rate=8000)
            await received(heard, 1, 0)
            push(stream, 1.0)
            stream.end_input()
            await ending(stream)
            assert "sample_rate=8000" in heard.target(1)
            return round(sum(heard.packets[1]) / 16000, 1)  # seconds, for a server that takes it at its word

    check(observe, 2.0, 1.0)


def test_the_key_shows() -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        recogniser = plugin(api_key="sk_secret", **options)
        parts = [*vars(recogniser).values(), *vars(getattr(recogniser, "_service", object)).values()]
        return "sk_secret" in repr(parts)

    check(observe, True, False)


def test_the_default_session_has_room_for_fifty_streams() -> None:
    async def observe(plugin: Any, options: dict[str, Any]) -> object:
        heard = Heard()
        async with served(heard=heard) as url:
            recogniser: Any = plugin(api_key="k", base_url=url, **options)
            streams = [recogniser.stream(conn_options=QUICK) for _ in range(60)]
            await asyncio.sleep(1.5)
            connected = heard.connections
            await asyncio.gather(*(stream.aclose() for stream in streams))
        return connected

    check(observe, 50, 60)
