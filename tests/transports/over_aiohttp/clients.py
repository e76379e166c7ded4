"""Streams over an aiohttp session: they do what they do over asyncio, but for what aiohttp decides."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from faults import FAULTS, Fault
from smallest_proto.errors import HandshakeRejected
from smallest_proto.lightning import LightningOptions
from smallest_proto.pulse import PulseOptions
from smallest_transports.aiohttp import PulseStream, TranscriptEvent, connect_lightning, connect_pulse
from sockets import QUICK, Peer

SECOND = bytes(32000)


@asynccontextmanager
async def pulse_at(
    url: str, options: PulseOptions = PulseOptions(), **connect: Any
) -> AsyncIterator[PulseStream]:
    """A stream, connected, over a session of its own that must survive it."""
    connect = {"limits": QUICK, **connect}
    async with aiohttp.ClientSession() as session:
        try:
            async with connect_pulse(
                options, session=session, base_url=url, **connect, resume=False
            ) as stream:
                yield stream
        finally:
            assert not session.closed
            assert not session.connector._acquired  # type: ignore[union-attr]  # nothing is held back
            assert "Authorization" not in session.headers


async def hear(url: str, api_key: str = "k") -> list[TranscriptEvent]:
    """A whole session: a second of audio in, every event out."""
    async with pulse_at(url, api_key=api_key) as stream:
        await stream.send_audio(SECOND)
        return [event async for event in stream]


async def speak(url: str, api_key: str = "k") -> int:
    """Bytes spoken."""
    heard = 0
    async with aiohttp.ClientSession() as session:
        options = LightningOptions(linger=0.02)
        async with connect_lightning(
            options, session=session, base_url=url, api_key=api_key, limits=QUICK
        ) as stream:
            async for event in await stream.speak("Good morning."):
                heard += len(getattr(event, "pcm", b""))
    return heard


async def collect(stream: PulseStream, into: list[TranscriptEvent]) -> None:
    async for event in stream:
        into.append(event)


async def open_until_gone(peer: Peer) -> None:
    await peer.accept()
    await peer.until_gone()


OTHERWISE: dict[str, Fault | None] = {
    # aiohttp drops the body of a refusal, and what only it tells
    "refused with 400": Fault(
        FAULTS["refused with 400"].behave,
        HandshakeRejected,
        {"status": 400, "message": "", "request_id": None, "retryable": False, "body": b""},
    ),
    "refused with 401": Fault(
        FAULTS["refused with 401"].behave,
        HandshakeRejected,
        {"status": 401, "message": "", "request_id": "id-1"},
    ),
    "refused with 404 in HTML": Fault(
        FAULTS["refused with 404 in HTML"].behave,
        HandshakeRejected,
        {"status": 404, "body": b"", "headers": (("content-length", "21"), ("content-type", "text/html"))},
    ),
    # nor does it refuse a server's masked frame
    "a masked frame": None,
}
