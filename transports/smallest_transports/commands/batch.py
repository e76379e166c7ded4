"""`smallest-proto transcribe --batch`: files as a whole, over HTTP."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Coroutine
from pathlib import Path

import msgspec

from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchAccepted, BatchAudio, BatchOptions, BatchPcm, BatchResult
from smallest_proto.vendor import UnknownValueWarning
from smallest_transports.asyncio import transcribe
from smallest_transports.audio_files import read_file
from smallest_transports.commands.display import word_line
from smallest_transports.commands.failures import BadInput, complain, encodable, printable
from smallest_transports.commands.recordings import read_all, read_clip
from smallest_transports.commands.service import service_url

LIMITS = Limits(response_timeout=660.0, idle_timeout=30.0)
"""The service takes up to ten minutes for a recording [openapi stt]."""

CONTENT_TYPES = {
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".m4a": "audio/mp4",
    ".webm": "audio/webm",
}


def transcribe_batch(arguments: argparse.Namespace) -> Coroutine[None, None, int]:
    """Transcribe every file; one that cannot be read does not keep the others from it. All are read now."""
    if arguments.endpoint not in (None, "stt", "get_text"):
        raise BadInput(f"--endpoint {arguments.endpoint}: expected stt or get_text beside --batch")
    if arguments.realtime:
        raise BadInput("--realtime: a file that is sent as a whole has no pace; leave out --batch")
    if arguments.no_resume:
        raise BadInput("--no-resume: one request has nothing to resume; leave out --batch")
    options = BatchOptions(
        endpoint=arguments.endpoint or "stt",
        language=arguments.language,
        word_timestamps=arguments.words or arguments.json,
    )
    sources, worst = read_all(arguments.files, read_source)
    return _transcribe_all(sources, worst, options, arguments)


async def _transcribe_all(
    sources: list[tuple[str, BatchAudio | BatchPcm]],
    worst: int,
    options: BatchOptions,
    arguments: argparse.Namespace,
) -> int:
    if sources:
        async with service_url(arguments.base_url) as url:
            for name, source in sources:
                result = await transcribe(source, options, base_url=url, limits=LIMITS)
                worst = max(worst, _show(name, result, arguments))
    return worst


def read_source(name: str) -> BatchAudio | BatchPcm:
    """The file as it is, if its name and its first bytes are those of a kind that the service reads; else as PCM.

    Raises AudioFileError.
    """
    content_type = CONTENT_TYPES.get(Path(name).suffix.lower())
    if content_type is not None:
        data = read_file(name)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UnknownValueWarning)
            try:
                return BatchAudio(data, content_type)
            except UnknownValueWarning:
                pass  # some other kind of file under this name, or none at all
    clip = read_clip(name)
    return BatchPcm(clip.pcm, clip.rate)


def _show(name: str, result: BatchResult | BatchAccepted, arguments: argparse.Namespace) -> int:
    if isinstance(result, BatchAccepted):
        complain(name, "the service has no result yet, only a promise")
        return 1
    if arguments.json:
        fields = {k: v for k, v in msgspec.structs.asdict(result).items() if v is not None}
        print(msgspec.json.encode({"file": encodable(name)} | fields).decode(), flush=True)
        return 0
    if len(arguments.files) > 1:
        print(f"{printable(name)}:")
    print("\n".join(map(printable, result.text.splitlines())), flush=True)
    if arguments.words:
        for word in result.words:
            print(word_line(word), flush=True)
    return 0
