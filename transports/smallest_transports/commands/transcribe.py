"""`smallest-proto transcribe`: audio files into text."""

from __future__ import annotations

import argparse
from collections.abc import Coroutine
from contextlib import aclosing

from smallest_proto.limits import Limits
from smallest_proto.pulse import AudioDropped, PulseOptions, Reconnecting, ResumePolicy, StreamEnded
from smallest_transports.asyncio import TranscriptEvent, connect_pulse
from smallest_transports.audio_files import Clip
from smallest_transports.commands.batch import transcribe_batch
from smallest_transports.commands.display import display_for
from smallest_transports.commands.failures import BadInput, complain, printable
from smallest_transports.commands.recordings import SAMPLE_RATE, read_all, read_clip
from smallest_transports.commands.service import service_url
from smallest_transports.commands.streaming import hear

LIMITS = Limits(drain_timeout=60.0)
"""A file goes out faster than it is heard: long after the last packet, the server may be in a silence of it."""


def transcribe(arguments: argparse.Namespace) -> Coroutine[None, None, int]:
    """Transcribe every file; one that cannot be read does not keep the others from it.

    All are read now: a loop would not hear Ctrl-C while a pipe brings nothing.
    """
    if arguments.batch:
        return transcribe_batch(arguments)
    if arguments.endpoint == "stt":
        raise BadInput("--endpoint stt: expected --batch beside it, or get_text, live or transcribe")
    options = PulseOptions(
        endpoint=arguments.endpoint or "get_text", language=arguments.language, sample_rate=SAMPLE_RATE
    )
    clips, worst = read_all(arguments.files, read_clip)
    return _transcribe_all(clips, worst, options, arguments)


async def _transcribe_all(
    clips: list[tuple[str, Clip]], worst: int, options: PulseOptions, arguments: argparse.Namespace
) -> int:
    if clips:
        async with service_url(arguments.base_url) as url:
            for name, clip in clips:
                worst = max(worst, await _transcribe(name, clip, options, url, arguments))
    return worst


async def _transcribe(
    name: str, clip: Clip, options: PulseOptions, url: str | None, arguments: argparse.Namespace
) -> int:
    display = display_for(
        name, clip.seconds, json=arguments.json, interims=arguments.realtime, words=arguments.words
    )
    if len(arguments.files) > 1 and not arguments.json:
        print(f"{printable(name)}:", flush=True)
    confirmed = False
    resume = not arguments.no_resume and ResumePolicy(
        keep_seconds=max(1.0, clip.seconds), keep_bytes=len(clip.pcm) + 1024, end_timeout=LIMITS.drain_timeout
    )
    async with connect_pulse(options, resume=resume, base_url=url, limits=LIMITS) as stream:
        events = hear(stream, clip.pcm, realtime=arguments.realtime, sent=display.sent)
        with display:
            async with aclosing(events):
                async for event in events:
                    display.show(event)
                    if trouble := trouble_in(event):
                        complain(name, trouble)
                    if isinstance(event, StreamEnded):
                        confirmed = event.confirmed
    if not confirmed:
        complain(name, "the service stopped before its last transcript")
    return 0 if confirmed else 1


def trouble_in(event: TranscriptEvent) -> str:
    """What an event says that the user should know of though the work goes on; mostly nothing."""
    match event:
        case Reconnecting(error=error):
            return f"{error}; going on with another connection"
        case AudioDropped(start=start, end=end):
            return f"nobody may have heard {start:.1f} to {end:.1f} s"
        case _:
            return ""
