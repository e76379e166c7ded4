"""`smallest-proto serve` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def serve_command(*arguments: str, stdin: int | None = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """The process, killed in the end. Python finds the packages in this tree."""
    paths = [str(ROOT), str(ROOT / "transports"), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "smallest_transports.cli", "serve", "--engine", "scripted", *arguments],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONASYNCIODEBUG": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
