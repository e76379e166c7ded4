"""Each of the calls over HTTP, for tests that any of them must pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from http_faults import HASTY
from loops import KEY, Net
from smallest_proto.events import Event
from smallest_proto.lightning import AudioChunk
from smallest_proto.pulse import BatchPcm

PCM = BatchPcm(bytes(32000), 16000)

Call: TypeAlias = Callable[[Net, str, str], Awaitable[object]]
"""Takes the net, the base URL and the key."""


async def batch(net: Net, url: str, key: str = KEY) -> object:
    return await net.on.transcribe(PCM, **net.to(url, api_key=key, limits=HASTY))


async def voices(net: Net, url: str, key: str = KEY) -> object:
    return await net.on.list_voices(**net.to(url, api_key=key, limits=HASTY))


async def over_http(net: Net, url: str, key: str = KEY) -> list[Event]:
    async with net.on.synthesize("Good morning.", **net.to(url, api_key=key, limits=HASTY)) as speech:
        return [event async for event in speech]


async def over_sse(net: Net, url: str, key: str = KEY) -> list[Event]:
    given = net.to(url, api_key=key, limits=HASTY)
    async with net.on.synthesize("Good morning.", via="sse", **given) as speech:
        return [event async for event in speech]


CALLS: list[Call] = [batch, voices, over_http, over_sse]


def pcm_of(events: Sequence[Event]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioChunk))
