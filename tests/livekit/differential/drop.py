"""The same drop, two seconds into four seconds of speech: how much of it do the users of each plugin still get?

python -m livekit.differential.drop     # livekit-plugins-smallestai==1.8.9 installed
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from livekit.agents import stt
from livekit.agents.utils import http_context

from dropping_server import DROPS, Drop, DroppingServer
from livekit import rtc
from livekit.differential.__main__ import official_plugin
from livekit.differential.players import Plugin
from livekit.plugins import smallest
from numbered_speech import RATE, WORD, speech
from sockets import raw_server

SPEECH, AT = 4.0, 2.0
"""Seconds."""

FRAME = 0.01
PATIENCE = 30.0


async def recovered(plugin: Plugin, drop: Drop, **options: Any) -> tuple[float, str]:
    """Seconds of the speech that stand in finals, and how the stream ended. Takes as long as the speech."""
    server = DroppingServer(drop, AT)
    words: dict[str, float] = {}
    async with raw_server(server.behave) as url:
        stream = plugin(api_key="sk_test", base_url=url, sample_rate=RATE, **options).stream()
        pushing = asyncio.create_task(_speak(stream))
        how = "clean"
        try:
            async with asyncio.timeout(PATIENCE):
                async for event in stream:
                    if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                        for word in event.alternatives[0].words or ():
                            length = float(word.end_time) - float(word.start_time)  # type: ignore[arg-type]  # given
                            words[str(word)] = max(words.get(str(word), 0.0), length)
        except TimeoutError:
            how = "no end"
        except Exception as error:  # the official plugin lets anything through
            how = type(error).__name__
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
            await stream.aclose()
    return round(sum(words.values()), 3), how


async def _speak(stream: stt.RecognizeStream) -> None:
    """Push the speech as a room does, in real time."""
    pcm = speech(1, 1 + round(SPEECH / WORD))
    loop, step = asyncio.get_running_loop(), round(2 * RATE * FRAME)
    begun = loop.time()
    for number, at in enumerate(range(0, len(pcm), step), 1):
        stream.push_frame(rtc.AudioFrame(pcm[at : at + step], RATE, 1, step // 2))
        await asyncio.sleep(max(0.0, begun + number * FRAME - loop.time()))
    stream.end_input()


async def main() -> None:
    """Print the figures."""
    official = official_plugin("newer")
    async with http_context.open():
        theirs = await asyncio.gather(*(recovered(official, drop) for drop in DROPS))
        ours = await asyncio.gather(*(recovered(smallest.STT, drop, endpoint="live") for drop in DROPS))
    print(f"seconds of {SPEECH:g} s of speech in finals; the connection is lost after {AT:g} s")
    print(f"{'drop':22}{'official 1.8.9':>26}{'ours':>26}")
    for drop, first, second in zip(DROPS, theirs, ours, strict=True):
        shown = [f"{seconds:.2f} s, {how}" for seconds, how in (first, second)]
        print(f"{drop:22}{shown[0]:>26}{shown[1]:>26}")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    asyncio.run(main())
