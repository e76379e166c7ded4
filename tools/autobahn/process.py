"""The suite as a process of its own: started, waited for, and ended."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tools.autobahn.report import EXCLUDED

PROGRAM = Path(__file__).with_name("fuzzer.py")
START_SECONDS = 60


class SuiteError(Exception):
    """The suite did not start, or did not end well; the text holds the last of what it printed."""


class Suite:
    """One run of the suite in one role.

    python: the interpreter that has it installed. folder: where it finds its orders and leaves its report.
    seconds: after which it ends, whatever becomes of us.
    """

    def __init__(self, python: Path, folder: Path, seconds: int) -> None:
        self._command = [str(python), "-E", "-u", str(PROGRAM)]
        self._seconds = seconds
        self._log = folder / "log.txt"
        self._folder = folder

    @contextmanager
    def started(self, mode: str, **orders: object) -> Iterator[subprocess.Popen[bytes]]:
        """The process for as long as the block lasts; `mode` is its role, server or client."""
        spec = self._folder / "spec.json"
        spec.write_bytes(
            msgspec.json.encode(
                {"outdir": str(self._folder), "cases": ["*"], "exclude-cases": EXCLUDED, **orders}
            )
        )
        command = [*self._command, mode, str(spec), str(self._seconds)]
        with self._log.open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                yield process
            finally:
                process.kill()

    def listening(self, process: subprocess.Popen[bytes]) -> tuple[int, int]:
        """Wait until the server listens: its port, and how many cases it has. Raises SuiteError."""
        until = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < until:
            if found := re.search(
                rb"^listening on (\d+) for (\d+) cases$", self._log.read_bytes(), re.MULTILINE
            ):
                return int(found[1]), int(found[2])
            time.sleep(0.05)
        raise self.error("it does not listen")

    def error(self, what: str) -> SuiteError:
        """An error with the last of what was printed."""
        return SuiteError(f"{what}:\n{self._log.read_text(errors='replace')[-4000:]}")
