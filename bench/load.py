"""Many real-time streams in one process: `python -m bench.load --transport trio --sessions 200 --seconds 30`.

The local server runs in another process and says "heard N seconds" for each second of audio that arrived, so that
a lost event is a missing number. Latency is from sending the packet that completes a second to its transcript.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import Any

import anyio

from bench.processes import ROOT, cores, pin, server
from bench.servers.child import allow_many_sockets
from bench.usage import cpu, percentile, resident_kb
from smallest_proto import FinalTranscript, InterimTranscript, PulseOptions, StreamEnded
from smallest_transports._functions import Functions
from smallest_transports._pulse import PulseStream

TRANSPORTS = {  # the module, the loop that anyio shall run, and its options
    "asyncio": ("asyncio", "asyncio", {}),
    "uvloop": ("asyncio", "asyncio", {"use_uvloop": True}),
    "fast": ("fast", "asyncio", {"use_uvloop": True}),
    "trio": ("trio", "trio", {}),
    "anyio-asyncio": ("anyio", "asyncio", {}),
    "anyio-trio": ("anyio", "trio", {}),
}
PACKET = bytes(1600)
PACKET_SECONDS = 0.05
PER_SECOND = 20
DIALLED_AT_ONCE = 20
SETTLED = 10
"""Seconds after which memory shall not grow any more."""


class Load:
    """Streams that all send at the rate of speech, what they heard, and what that took."""

    def __init__(self, functions: Functions, url: str, sessions: int, seconds: int, resume: bool) -> None:
        self._functions = functions
        self._url = url
        self._sessions = sessions
        self._seconds = seconds
        self._resume = resume
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.heard = 0
        self.unconfirmed = 0
        self.resident: list[float] = []
        self.cpu = 0.0
        self.took = 0.0

    @property
    def expected(self) -> int:
        """Transcripts that must come."""
        return self._sessions * self._seconds

    async def run(self) -> None:
        """Open all streams, then let them all run for so many seconds."""
        gate = anyio.CapacityLimiter(DIALLED_AT_ONCE)
        async with AsyncExitStack() as stack:
            streams: list[PulseStream] = []

            async def dial() -> None:
                async with gate:
                    opened = self._functions.connect_pulse(
                        PulseOptions(), api_key="none", base_url=self._url, resume=self._resume
                    )
                    streams.append(await stack.enter_async_context(opened))

            async with anyio.create_task_group() as dialling:
                for _ in range(self._sessions):
                    dialling.start_soon(dial)
            gc.collect()
            self.resident.append(resident_kb())
            before = cpu()
            begin = anyio.current_time() + 0.1
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, begin)
                for index, stream in enumerate(streams):
                    offset = PACKET_SECONDS * index / self._sessions
                    tasks.start_soon(self._talk, stream, begin + offset)
            self.cpu = cpu() - before
            self.took = anyio.current_time() - begin
        gc.collect()
        self.resident.append(resident_kb())

    async def _talk(self, stream: PulseStream, begin: float) -> None:
        sent = [0.0] * (self._seconds + 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._speak, stream, begin, sent)
            next_second = 1
            async for event in stream:
                if isinstance(event, FinalTranscript) and event.is_last:
                    pass  # of an odd number of seconds it says the last one again
                elif isinstance(event, InterimTranscript | FinalTranscript):
                    if event.text != f"heard {float(next_second)} seconds":
                        raise RuntimeError(f"{event.text!r} instead of second {next_second}")
                    self.latencies.append(anyio.current_time() - sent[next_second])
                    self.heard += 1
                    next_second += 1
                elif isinstance(event, StreamEnded):
                    self.unconfirmed += not event.confirmed

    async def _speak(self, stream: PulseStream, begin: float, sent: list[float]) -> None:
        for number in range(self._seconds * PER_SECOND):
            due = begin + number * PACKET_SECONDS
            await anyio.sleep_until(due)
            second, rest = divmod(number + 1, PER_SECOND)
            if rest == 0:
                sent[second] = anyio.current_time()
                self.late.append(sent[second] - due)
            await stream.send_audio(PACKET)
        await stream.end_input()

    async def _watch(self, begin: float) -> None:
        for second in (SETTLED, self._seconds):
            await anyio.sleep_until(begin + min(second, self._seconds))
            self.resident.append(resident_kb())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the figures; the exit code tells whether an event was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--transport", choices=[*TRANSPORTS, "all"], default="asyncio")
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--no-resume", action="store_true", help="streams that end with their connection")
    given = parser.parse_args(arguments)
    if not 1 <= given.sessions <= 5000 or not 1 <= given.seconds <= 3600:
        parser.error("--sessions takes 1 to 5000, --seconds 1 to 3600")
    if given.transport == "all":  # a process for each: what one has allocated the next shall not find
        rest = list(sys.argv[1:] if arguments is None else arguments)
        command = [sys.executable, "-m", "bench.load", *rest, "--transport"]
        return max(
            [subprocess.run([*command, name], cwd=ROOT, check=False).returncode for name in TRANSPORTS]
        )
    allow_many_sockets()
    here, there = cores()
    pin(here)
    return 1 if _measure(given.transport, there, given) else 0


def _measure(name: str, there: int | None, given: argparse.Namespace) -> int:
    module, loop, options = TRANSPORTS[name]
    functions: Functions = import_module(f"smallest_transports.{module}")._functions
    with server("bench.servers.loopback", core=there) as url:
        load = Load(functions, url, given.sessions, given.seconds, not given.no_resume)
        loop_options: dict[str, Any] = {"backend": loop, "backend_options": options}
        anyio.run(partial(load.run), **loop_options)
    lost = load.expected - load.heard
    middle, most = (1000 * percentile(load.latencies, share) for share in (0.5, 0.99))
    opened, settled, end, closed = (kb / 1024 for kb in load.resident)
    audio = given.sessions * given.seconds
    print(
        f"{name}, {given.sessions} streams for {given.seconds} s, resume={not given.no_resume},"
        f" Python {platform.python_version()}: lost {lost} of {load.expected}, ends unconfirmed {load.unconfirmed};"
        f" packet sent to transcript p50 {middle:.2f} ms, p99 {most:.2f} ms"
        f" (own timers late p99 {1000 * percentile(load.late, 0.99):.2f} ms);"
        f" resident MB: opened {opened:.1f}, after {min(SETTLED, given.seconds)} s {settled:.1f}, at the end {end:.1f},"
        f" closed {closed:.1f}; CPU {100 * load.cpu / load.took:.0f} % of a core,"
        f" {1e6 * load.cpu / audio:.0f} µs per s of audio; took {load.took:.1f} s;"
        f" load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )
    return lost


if __name__ == "__main__":
    sys.exit(main())
