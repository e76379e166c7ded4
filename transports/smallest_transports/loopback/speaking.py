"""Speech as the synthesiser makes it, off the event loop: for WebSockets and for HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Executor
from functools import partial

from smallest_proto.lightning import SynthesisSetup
from smallest_transports.loopback.engines.base import Speech, Synthesizer, SynthesizerSetup
from smallest_transports.loopback.offload import offload


async def spoken(
    synthesizer: Synthesizer, setup: SynthesizerSetup, text: str, pool: Executor
) -> AsyncGenerator[Speech, None]:
    """The speech for `text`, each piece as soon as it is there. Close the iterator when leaving it early."""
    pieces = synthesizer.speak(setup, text)
    try:
        while (speech := await offload(pool, partial(next, pieces, None))) is not None:
            yield speech
    finally:
        if isinstance(pieces, Generator):
            await offload(pool, pieces.close)


def setup_of(setup: SynthesisSetup) -> SynthesizerSetup:
    """What the engine needs of the client's settings."""
    return SynthesizerSetup(
        voice_id=setup.voice_id,
        model=setup.model,
        sample_rate=setup.sample_rate,
        speed=setup.speed,
        language=setup.language or "en",
        word_timestamps=setup.word_timestamps,
    )
