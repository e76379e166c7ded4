"""What is made to hurt ends in the documented error, and memory stays small."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from fuzz import hostile
from smallest_proto.events import Event, UnknownMessage

ROOT = Path(__file__).parent.parent.parent


def test_hostile_inputs() -> None:
    # in a process of its own: this one's peak is anyone's
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.hostile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n") == 10


def test_growth_is_seen() -> None:
    def hold(data: bytes) -> Iterator[Event]:
        held = data * hostile.MOST_GROWTH
        yield UnknownMessage(reason=str(len(held)))

    _, growth = hostile.measured(hostile.Case("held", b"xx", hold, ""))
    assert growth > hostile.MOST_GROWTH
