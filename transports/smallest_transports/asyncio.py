"""Pulse and Lightning on asyncio.

async with connect_pulse(PulseOptions(language="en"), api_key=key) as stream:
    await stream.send_audio(pcm)
    await stream.end_input()
    async for event in stream: ...
"""

from __future__ import annotations

from typing import Unpack

from smallest_proto.lightning import LightningOptions
from smallest_proto.pulse import PulseOptions
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._connect import ConnectOptions, settings
from smallest_transports._lightning import LightningStream, SpeechContext
from smallest_transports._pulse import PulseStream, TranscriptEvent

__all__ = [
    "ConnectOptions",
    "LightningStream",
    "PulseStream",
    "SpeechContext",
    "TranscriptEvent",
    "connect_lightning",
    "connect_pulse",
]

_BACKEND = AsyncioBackend()


def connect_pulse(options: PulseOptions = PulseOptions(), **connect: Unpack[ConnectOptions]) -> PulseStream:
    """A Pulse stream to use with `async with`, which connects it; the keyword arguments are `ConnectOptions`.

    Raises ValueError for a missing key, or a base URL or header that cannot be sent.
    """
    return PulseStream(_BACKEND, options, settings(**connect))


def connect_lightning(
    options: LightningOptions = LightningOptions(), **connect: Unpack[ConnectOptions]
) -> LightningStream:
    """A Lightning connection to use with `async with`; otherwise as `connect_pulse`."""
    return LightningStream(_BACKEND, options, settings(**connect))
