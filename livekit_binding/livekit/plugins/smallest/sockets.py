"""Our transport for whoever gave no aiohttp session: the one that masks frames in C, where that is installed."""

from __future__ import annotations

__all__ = [
    "LightningStream",
    "SpeechContext",
    "connect_lightning",
    "connect_pulse",
    "synthesize",
    "transcribe",
]

try:  # the same names, and the same behaviour; the `fast` extra brings what it needs
    from smallest_transports.fast import (
        LightningStream,
        SpeechContext,
        connect_lightning,
        connect_pulse,
        synthesize,
        transcribe,
    )
except ModuleNotFoundError:
    from smallest_transports.asyncio import (
        LightningStream,
        SpeechContext,
        connect_lightning,
        connect_pulse,
        synthesize,
        transcribe,
    )
