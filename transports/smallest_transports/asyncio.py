"""Pulse and Lightning on asyncio, over WebSocket and over HTTP.

async with connect_pulse(PulseOptions(language="en"), api_key=key) as stream:
    await stream.send_audio(pcm)
    await stream.end_input()
    async for event in stream: ...

result = await transcribe(BatchAudio(file), api_key=key)
"""

from __future__ import annotations

from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._connect import ConnectOptions
from smallest_transports._functions import Functions
from smallest_transports._http import SpeechStream
from smallest_transports._lightning import LightningStream, SpeechContext
from smallest_transports._pool import LightningPool
from smallest_transports._pooled_speech import PooledSpeech
from smallest_transports._pulse import PulseStream, TranscriptEvent

__all__ = [
    "ConnectOptions",
    "LightningPool",
    "LightningStream",
    "PooledSpeech",
    "PulseStream",
    "SpeechContext",
    "SpeechStream",
    "TranscriptEvent",
    "connect_lightning",
    "connect_pulse",
    "lightning_pool",
    "list_voices",
    "retry",
    "synthesize",
    "transcribe",
]

_functions = Functions(AsyncioBackend())

connect_pulse = _functions.connect_pulse
connect_lightning = _functions.connect_lightning
lightning_pool = _functions.lightning_pool
transcribe = _functions.transcribe
synthesize = _functions.synthesize
list_voices = _functions.list_voices
retry = _functions.retry
