"""Pulse and Lightning on trio, over WebSocket and over HTTP.

The names, and what they do, are those of `smallest_transports.asyncio`.
"""

from __future__ import annotations

try:
    from smallest_transports._trio_backend import TrioBackend
except ModuleNotFoundError as error:
    if error.name != "trio":
        raise
    text = "smallest_transports.trio needs trio: pip install 'smallest-proto[trio]'"
    raise ModuleNotFoundError(text, name="trio") from None

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

_functions = Functions(TrioBackend())

connect_pulse = _functions.connect_pulse
connect_lightning = _functions.connect_lightning
lightning_pool = _functions.lightning_pool
transcribe = _functions.transcribe
synthesize = _functions.synthesize
list_voices = _functions.list_voices
retry = _functions.retry
