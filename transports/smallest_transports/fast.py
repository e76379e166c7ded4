"""Pulse and Lightning on asyncio as `smallest_transports.asyncio` has them, masks and base64 done by faster code.

async with connect_pulse(PulseOptions(language="en"), api_key=key) as stream: ...

Needs `pip install 'smallest-proto[fast]'`. Names, arguments, errors, limits and deadlines are those of
`smallest_transports.asyncio`, whose code runs here but for the mask and the base64 of speech over WebSockets: there
is no difference to know of. It runs on any asyncio loop; uvloop is welcome and not needed.

The mask is that of websockets (BSD, no dependencies, wheels with C for the usual platforms, maintained since 2013),
the base64 that of pybase64 (BSD, no dependencies, wheels of 94 kB over libbase64, in steady hands).
picows 2.3 (MIT, Cython, wheels) was measured and is not used. Its masking keys come from an unseeded `rand()`,
which RFC 6455 section 5.3 forbids; below the level DEBUG it logs the upgrade request, API key included; of a
refusal's body it keeps what came with the head. Bare, under the same machine, it needs about a quarter less CPU.
"""

from __future__ import annotations

from functools import partial

try:
    from pybase64 import b64decode
    from websockets.speedups import apply_mask
except ModuleNotFoundError as error:
    if error.name is None or not error.name.startswith(("pybase64", "websockets")):
        raise
    text = (
        "smallest_transports.fast needs pybase64, and websockets with its C extension:"
        " pip install 'smallest-proto[fast]'"
    )
    raise ModuleNotFoundError(text, name=error.name) from None

from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._connect import ConnectOptions, open_link
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


_functions = Functions(
    AsyncioBackend(), partial(open_link, mask=apply_mask), partial(b64decode, validate=True)
)

connect_pulse = _functions.connect_pulse
connect_lightning = _functions.connect_lightning
lightning_pool = _functions.lightning_pool
transcribe = _functions.transcribe
synthesize = _functions.synthesize
list_voices = _functions.list_voices
retry = _functions.retry
