"""A minute of speech through a network that breaks by a seeded plan: every word arrives, once and on time.

python -m transports.test_chaos 50      # in tests/: that many schedules on asyncio and on trio, and a summary
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from loops import LOOPS
from numbered_speech import RATE, WORD, NumberedSpeech, speech
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    AudioDropped,
    FinalTranscript,
    PulseOptions,
    Reconnecting,
    ResumePolicy,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
)
from smallest_transports._pulse import PulseStream, TranscriptEvent
from smallest_transports.loopback import serve
from smallest_transports.loopback.chaos import ChaosProxy, chaos
from smallest_transports.loopback.chaos_schedule import ChaosSchedule, Way
from sockets import hosted

WORDS = 120
POLICY = ResumePolicy(first_delay=0.02, longest_delay=0.2, max_attempts=100)
LIMITS = Limits(close_timeout=0.2, handshake_timeout=2.0, pong_timeout=0.5)
BYTES = int(WORDS * WORD * RATE * 2)


@asynccontextmanager
async def broken_network(schedule: ChaosSchedule) -> AsyncIterator[ChaosProxy]:
    async with (
        serve(recognizer=NumberedSpeech()) as server,
        chaos("127.0.0.1", server.port, schedule) as proxy,
    ):
        yield proxy


async def talk(stream: PulseStream) -> list[TranscriptEvent]:
    for number in range(1, WORDS + 1):
        await stream.send_audio(speech(number, number + 1))
    await stream.end_input()
    return [event async for event in stream]


def survive(loop: str, seed: int) -> int:
    """Run one schedule and check all that must hold; the number of drops that the session noticed."""
    schedule = ChaosSchedule.from_seed(
        seed, drops=seed % 11, counting=Way.UP, over_bytes=BYTES * 3 // 4, longest_pause=0.1
    )

    on, run = LOOPS[loop]

    async def main() -> list[TranscriptEvent]:
        options = PulseOptions(sample_rate=RATE, heartbeat=1.0)
        with anyio.fail_after(60):
            async with on.connect_pulse(options, base_url=proxy.url, resume=POLICY, limits=LIMITS) as stream:
                return await talk(stream)

    with hosted(broken_network(schedule)) as proxy:
        events: list[TranscriptEvent] = run(main)
        story = f"seed {seed}\n{schedule}\n" + "\n".join(map(str, proxy.log))
    check(events, story)
    return sum(isinstance(event, Reconnecting) for event in events)


def check(events: list[TranscriptEvent], story: str) -> None:
    words = [word for event in events if isinstance(event, FinalTranscript) for word in event.words]
    assert [word.word for word in words] == [str(n) for n in range(1, WORDS + 1)], story
    for index, word in enumerate(words):
        assert word.start == pytest.approx(index * WORD, abs=0.02), story
        assert word.end == pytest.approx((index + 1) * WORD, abs=0.02), story
    turns = [type(event) for event in events if isinstance(event, SpeechStarted | SpeechEnded)]
    assert turns == [SpeechStarted, SpeechEnded] * (len(turns) // 2), story
    assert not any(isinstance(event, AudioDropped) for event in events), story
    assert events[-1] == StreamEnded(confirmed=True), story


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
@pytest.mark.parametrize("seed", range(8))
def test_every_word_arrives_once_and_on_time(loop: str, seed: int) -> None:
    survive(loop, seed)


if __name__ == "__main__":
    for name in ("asyncio", "trio"):
        drops = Counter({seed: survive(name, seed) for seed in range(int(sys.argv[1]))})
        print(f"{name}: {len(drops)} schedules, {drops.total()} drops, nothing lost, nothing twice")
