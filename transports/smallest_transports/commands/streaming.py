"""Audio out and events in, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from smallest_proto.audio import AudioFormat
from smallest_proto.errors import ProtocolError
from smallest_transports.asyncio import PulseStream, TranscriptEvent


async def hear(
    stream: PulseStream, pcm: bytes, *, realtime: bool, sent: Callable[[float], None] = lambda _: None
) -> AsyncGenerator[TranscriptEvent, None]:
    """Send all of `pcm` and the end of input, and yield the events meanwhile.

    `realtime` paces the packets as a microphone would. `sent` is told how many seconds are out. Close the
    iterator when leaving it early.
    """
    sender = asyncio.create_task(_send(stream, pcm, realtime, sent))
    try:
        async for event in stream:
            yield event
    finally:
        sender.cancel()
        await asyncio.wait([sender])
        if not sender.cancelled():
            with suppress(ProtocolError):  # the stream has raised what the sender met
                sender.result()


async def _send(stream: PulseStream, pcm: bytes, realtime: bool, sent: Callable[[float], None]) -> None:
    audio: AudioFormat = stream.options.audio_format
    size = audio.packet_bytes(stream.options.packet_ms)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for start in range(0, len(pcm), size):
        packet = pcm[start : start + size]
        if realtime:  # a packet can leave once its last sample has been spoken
            await asyncio.sleep(begun + audio.seconds(start + len(packet)) - loop.time())
        await stream.send_audio(packet)
        sent(audio.seconds(start + len(packet)))
    await stream.end_input()
