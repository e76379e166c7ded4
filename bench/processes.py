"""Servers and measurements in processes of their own, each held to one core where the system can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE = 10.0
"""Seconds a server may take to end once it is told to."""


def cores() -> tuple[int | None, int | None]:
    """Where the client and where the server belongs; None where there is no choice."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    usable = sorted(os.sched_getaffinity(0))
    return (usable[0], usable[1]) if len(usable) > 1 else (None, None)


def pin(core: int | None) -> None:
    """Hold this process, and the threads it will start, to one core."""
    if core is not None:
        os.sched_setaffinity(0, {core})


def core_argument(core: int | None) -> list[str]:
    """For the command line of a child."""
    return [] if core is None else ["--core", str(core)]


@contextmanager
def server(module: str, *arguments: str, core: int | None = None) -> Iterator[str]:
    """Run `python -m MODULE` and yield the base URL that it prints first. It ends when its input does."""
    command = [sys.executable, "-m", module, *core_argument(core), *arguments]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        url = child.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"{module} did not start")
        yield url
    finally:
        child.stdin.close()
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        child.stdout.close()
