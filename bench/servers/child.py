"""What both servers do as a child process: say where they listen, and end with their parent."""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys

from bench.processes import pin


def arguments(description: str | None) -> argparse.Namespace:
    """The command line, already acted on: the core, and as many files as the system allows."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--core", type=int)
    parser.add_argument("--tls", metavar="PEM", help="a certificate with its key, for TLS")
    given = parser.parse_args()
    pin(given.core)
    allow_many_sockets()
    return given


def allow_many_sockets() -> None:
    """Raise the limit of open files to what this user may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def until_parent_ends(url: str) -> None:
    """Tell the parent the base URL, then wait until it closes our input."""
    print(url, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
