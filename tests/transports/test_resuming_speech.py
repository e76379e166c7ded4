"""Real speech over a connection that drops three times: the transcript is that of one which does not."""

from __future__ import annotations

import anyio

from loops import LOOPS
from smallest_proto.pulse import FinalTranscript, PulseOptions, Reconnecting, ResumePolicy
from smallest_transports.loopback import Faults, serve
from smallest_transports.loopback.engines.base import SynthesizerSetup
from smallest_transports.loopback.engines.local import LocalRecognizer, LocalSynthesizer
from sockets import hosted

RATE = 16000
TEXT = (
    "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore. "
    "Please call me back tomorrow morning at nine. The weather will be fine for the rest of the week."
)


def spoken() -> bytes:
    engine = LocalSynthesizer()
    try:
        pieces = [piece.pcm for piece in engine.speak(SynthesizerSetup(sample_rate=RATE), TEXT)]
    finally:
        engine.close()
    return b"".join(pieces)


def transcript(loop: str, pcm: bytes, faults: list[Faults]) -> tuple[list[str], int]:
    """The words that came out, and how often the connection was lost."""
    on, run = LOOPS[loop]

    async def main() -> tuple[list[str], int]:
        options = PulseOptions(sample_rate=RATE)
        words, lost = [], 0
        with anyio.fail_after(60):
            async with on.connect_pulse(
                options, base_url=server.url, resume=ResumePolicy(first_delay=0.02)
            ) as stream:
                await stream.send_audio(pcm)
                await stream.end_input()
                async for event in stream:
                    lost += isinstance(event, Reconnecting)
                    words += event.text.split() if isinstance(event, FinalTranscript) else []
        return words, lost

    with hosted(serve(recognizer=LocalRecognizer(), faults=faults)) as server:
        result: tuple[list[str], int] = run(main)
    return result


def changes(before: list[str], after: list[str]) -> int:
    """Words to insert, delete or replace to get from one to the other."""
    row = list(range(len(after) + 1))
    for i, word in enumerate(before, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(after, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != other))
    return row[-1]


def test_three_drops_change_two_words_at_most() -> None:
    pcm = spoken()
    whole, lost = transcript("asyncio", pcm, [Faults()])
    assert not lost
    assert len(whole) > 25
    drops = [Faults(after_seconds=seconds, reset=True) for seconds in (3.1, 2.7, 4.2)]
    for loop in ("asyncio", "trio"):
        broken, lost = transcript(loop, pcm, [*drops, Faults()])
        assert lost == 3
        assert changes(whole, broken) <= 2, f"{' '.join(whole)}\n{' '.join(broken)}"
