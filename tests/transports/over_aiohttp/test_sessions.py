"""What outlives a connection, over an aiohttp session: streams that resume, and a pool."""

from __future__ import annotations

import aiohttp
import pytest

from numbered_speech import RATE, WORD, NumberedSpeech, speech
from smallest_proto.lightning import AudioChunk, ContextComplete, LightningOptions
from smallest_proto.pulse import FinalTranscript, PulseOptions, Reconnecting, Resumed, ResumePolicy
from smallest_transports.aiohttp import connect_pulse, lightning_pool
from smallest_transports.loopback import Faults, serve
from sockets import QUICK, run


@pytest.mark.parametrize("fault", [{"reset": True}, {"hang_up": True}, {"close": 1011}])
def test_no_word_is_lost_or_told_twice(fault: dict[str, int]) -> None:
    faults = [Faults(after_seconds=seconds, **fault) for seconds in (1.3, 2.1)]  # type: ignore[arg-type]  # as given

    async def main() -> None:
        async with (
            serve(recognizer=NumberedSpeech(), faults=[*faults, Faults()]) as server,
            aiohttp.ClientSession() as session,
            connect_pulse(
                PulseOptions(sample_rate=RATE),
                session=session,
                base_url=server.url,
                resume=ResumePolicy(first_delay=0.01),
                limits=QUICK,
            ) as stream,
        ):
            await stream.send_audio(speech(1, 13))
            await stream.end_input()
            events = [event async for event in stream]
        words = [word for event in events if isinstance(event, FinalTranscript) for word in event.words]
        assert [word.word for word in words] == [str(number) for number in range(1, 13)]
        assert [word.start for word in words] == [pytest.approx(i * WORD, abs=0.02) for i in range(12)]
        assert sum(isinstance(event, Reconnecting) for event in events) == 2
        assert sum(isinstance(event, Resumed) for event in events) == 2

    run(main())


def test_a_pool_keeps_its_connection() -> None:
    async def main() -> None:
        async with (
            serve() as server,
            aiohttp.ClientSession() as session,
            lightning_pool(
                LightningOptions(linger=0.02), session=session, base_url=server.url, limits=QUICK
            ) as pool,
        ):
            for _ in range(2):
                async with pool.speak("Good morning.") as spoken:
                    events = [event async for event in spoken]
                assert any(isinstance(event, AudioChunk) for event in events)
                assert isinstance(events[-1], ContextComplete)
            assert pool.idle == 1
            assert len(server.requests) == 1

    run(main())
