"""Transcribe a WAV of 16-bit mono on asyncio: `python examples/transcribe_asyncio.py FILE.wav BASE_URL`."""

import asyncio
import sys
import wave

from smallest_proto import FinalTranscript, PulseOptions
from smallest_transports.asyncio import connect_pulse


async def main(path: str, base_url: str) -> None:
    with wave.open(path) as audio:
        async with connect_pulse(PulseOptions(sample_rate=audio.getframerate()), base_url=base_url) as stream:
            await stream.send_audio(audio.readframes(audio.getnframes()))
            await stream.end_input()
            print(*[event.text async for event in stream if isinstance(event, FinalTranscript)])


asyncio.run(main(sys.argv[1], sys.argv[2]))
