"""The committed diagrams are those of the tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from smallest_proto.machine import Row
from smallest_proto.pulse.states import CLIENT, ClientAction, ClientInput, State
from tools.diagrams import DIAGRAMS, FOLDER, ROOT, draw, words


def stale(folder: Path) -> list[str]:
    """The diagrams that are missing, not as the tables have them, or of no table."""
    drawn = {f"{name}.svg": draw(diagram).encode() for name, diagram in DIAGRAMS.items()}
    there = {path.name: path.read_bytes() for path in folder.glob("*.svg")}
    return sorted(name for name in drawn | there if drawn.get(name) != there.get(name))


def test_no_committed_diagram_is_stale() -> None:
    assert stale(FOLDER) == [], "run: python tools/diagrams.py"


def test_a_changed_row_makes_its_diagram_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    entries: Any = CLIENT
    monkeypatch.setitem(entries, (State.OPEN, ClientInput.PONG), Row((ClientAction.WANT_CLOSE,), State.DONE))
    assert stale(FOLDER) == ["pulse-client.svg"]


def test_a_missing_and_a_left_over_diagram_are_seen(tmp_path: Path) -> None:
    for path in FOLDER.glob("*.svg"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pulse-client.svg").rename(tmp_path / "old.svg")
    assert stale(tmp_path) == ["old.svg", "pulse-client.svg"]


@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_row_stands_in_its_diagram(name: str) -> None:
    shown = " ".join(" ".join(ElementTree.fromstring(draw(DIAGRAMS[name])).itertext()).split())
    for (state, given), row in DIAGRAMS[name].table.items():
        for text in (state.value, given.value, row.state.value, *map(words, row.actions)):
            assert str(text).split()[0] in shown


def test_another_process_draws_the_same_bytes() -> None:
    """Whatever order sets come in there."""
    code = (
        "from tools.diagrams import *; from hashlib import sha256;"
        "print(sha256(''.join(map(draw, DIAGRAMS.values())).encode()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
