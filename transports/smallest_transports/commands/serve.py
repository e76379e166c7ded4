"""`smallest-proto serve`: the local server until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from contextlib import suppress

from smallest_transports.loopback import serve as run_server
from smallest_transports.loopback.engines.base import Recognizer, Synthesizer


async def serve(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, SIGTERM or, with `--until-eof`, the end of standard input."""
    recognizer, synthesizer = engines(arguments.engine)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C cancels us instead
            loop.add_signal_handler(number, stop.set)
    if arguments.until_eof:
        try:
            loop.add_reader(sys.stdin, _stop_at_end, stop)
        except (OSError, ValueError):  # /dev/null, a file, or closed: nothing will come
            stop.set()
    async with run_server(
        recognizer=recognizer, synthesizer=synthesizer, port=arguments.port, api_key=arguments.api_key
    ) as server:
        print(
            f"Serving Pulse and Lightning on {server.url} ({arguments.engine} engines; Ctrl-C ends it)",
            flush=True,
        )
        await stop.wait()
    return 0


def _stop_at_end(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


def engines(name: str) -> tuple[Recognizer | None, Synthesizer | None]:
    """The engines of this name, models loaded; None for the scripted ones, which are the server's default."""
    if name == "scripted":
        return None, None
    from smallest_transports.loopback.engines.local import LocalRecognizer, LocalSynthesizer

    recognizer, synthesizer = LocalRecognizer(), LocalSynthesizer()
    try:
        recognizer.preload()
        synthesizer.preload()
    except BaseException:
        recognizer.close()
        synthesizer.close()
        raise
    return recognizer, synthesizer
