"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMMAND = (sys.executable, "-m", "smallest_transports.cli")
WITHIN = 30


def environment(**more: str) -> dict[str, str]:
    """Python finds the packages in this tree, and takes a warning for an error."""
    root = Path(__file__).parents[1]
    paths = [str(root), str(root / "transports"), *filter(None, [os.environ.get("PYTHONPATH")])]
    # buffered, as on most machines: then output meets a broken pipe only at the end
    ours = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": ""}
    return os.environ | ours | more


def ran(
    *argv: object, given: bytes = b"", redirect: str = "", **more: str
) -> subprocess.CompletedProcess[bytes]:
    """The command with this standard input, its streams redirected by a shell; `more` is for the environment."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *COMMAND, *map(os.fsencode, map(_plain, argv))],
        input=given,
        capture_output=True,
        env=environment(**more),
        timeout=WITHIN,
    )


def _plain(argument: object) -> str | bytes:
    return argument if isinstance(argument, bytes) else str(argument)
