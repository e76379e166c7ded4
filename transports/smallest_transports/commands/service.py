"""Which service a command talks to: the one asked for, or a local server started for the purpose."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_transports.commands.failures import BadInput

START_TIMEOUT = 60.0
"""Seconds for the local server to load its models; a cold disk is slow."""

STOP_TIMEOUT = 10.0


@asynccontextmanager
async def service_url(base_url: str | None) -> AsyncIterator[str | None]:
    """The base URL to use, None for the vendor's own; says so on standard error when it is a local server."""
    if base_url is not None or os.environ.get(API_KEY_VARIABLE):
        yield base_url
        return
    print(f"No --base-url and no {API_KEY_VARIABLE}: using the engines on this machine.", file=sys.stderr)
    async with local_server() as url:
        yield url


@asynccontextmanager
async def local_server() -> AsyncIterator[str]:
    """The local server in a process of its own, for as long as the block lasts. Yields its URL.

    Raises BadInput with the server's own words when it does not start.
    """
    with TemporaryFile() as complaints:  # a pipe that nobody reads would stop a talkative server
        process = await asyncio.create_subprocess_exec(
            # -P: without it, Python looks for every module in the current folder first
            *(sys.executable, "-P", "-m", "smallest_transports.cli", "serve", "--until-eof"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
        )
        try:
            yield await _read_url(process, complaints)
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        assert process.stdin is not None
        process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _read_url(process: asyncio.subprocess.Process, complaints: IO[bytes]) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT):
            line = (await process.stdout.readline()).decode()
    except TimeoutError:
        raise BadInput(f"the local server did not start within {START_TIMEOUT:g} s") from None
    url = next((word for word in line.split() if word.startswith("http://")), "")
    if not url:
        complaints.seek(0)
        text = complaints.read().decode(errors="replace").strip().removeprefix("smallest-proto: ")
        raise BadInput(text or "the local server did not start")
    return url
