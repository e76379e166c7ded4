"""`smallest-proto voices`: the catalogue."""

from __future__ import annotations

import argparse

import msgspec

from smallest_transports.asyncio import list_voices
from smallest_transports.commands.failures import printable
from smallest_transports.commands.service import service_url


async def voices(arguments: argparse.Namespace) -> int:
    """Print every voice: its id, and what the service says of it."""
    async with service_url(arguments.base_url) as url:
        found = await list_voices(base_url=url)
    for voice in found:
        if arguments.json:
            print(msgspec.json.encode(voice).decode())
            continue
        about = (voice.display_name, voice.gender, voice.accent, ", ".join(voice.languages))
        line = f"{voice.voice_id:<24}{'; '.join(part for part in about if part)}"
        print(printable(line).rstrip())
    return 0
