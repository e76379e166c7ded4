"""Keeps the corpus small: `python -m fuzz.keep [TARGET ...]`.

Takes the seeds, the kept corpus and what the last runs found, and keeps the smallest inputs that together take
every branch that any of them takes. Files whose name is not one of ours, such as the reproducers of bugs, stay.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeAlias

from fuzz import rows, targets
from fuzz.engine import PACKAGES
from fuzz.replay import CORPUS, kept
from fuzz.run import FOUND
from fuzz.seeds import seeds

Arc: TypeAlias = tuple[str, int, int] | rows.Key

LARGEST = 6000
"""Bytes of a file worth keeping."""

_OURS = re.compile(r"[0-9a-f]{12}")
_WANTED = tuple(f"/{package}/" for package in PACKAGES)


def arcs(function: Callable[[bytes], None], data: bytes) -> set[Arc]:
    """The jumps from line to line that this input takes in the packages, and the rows of the tables."""
    found: set[Arc] = set()

    def local(last: list[int], name: str) -> Callable[[FrameType, str, Any], Any]:
        def trace(frame: FrameType, event: str, _: Any) -> Any:
            line = -frame.f_lineno if event == "exception" else frame.f_lineno
            found.add((name, last[0], line))
            last[0] = line
            return trace

        return trace

    def call(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if not any(part in name for part in _WANTED):
            return None
        return local([0], f"{name}:{frame.f_code.co_firstlineno}")

    sys.settrace(call)
    try:
        with rows.watched(found.add):
            function(data)
    finally:
        sys.settrace(None)
    return found


def smallest(function: Callable[[bytes], None], inputs: list[bytes]) -> list[bytes]:
    """Smallest first, those that add an arc; then, largest first, without those that the others make needless."""
    counts: dict[Arc, int] = {}
    chosen: list[tuple[bytes, set[Arc]]] = []
    for data in sorted(inputs, key=lambda data: (len(data), data)):
        taken = arcs(function, data)
        if taken - counts.keys():
            chosen.append((data, taken))
            for arc in taken:
                counts[arc] = counts.get(arc, 0) + 1
    needed = []
    for data, taken in reversed(chosen):
        if all(counts[arc] > 1 for arc in taken):
            for arc in taken:
                counts[arc] -= 1
        else:
            needed.append(data)
    return needed


def main(chosen: list[str]) -> None:
    """The command."""
    for name in chosen or targets.names():
        function, directory = targets.load(name), CORPUS / name
        directory.mkdir(parents=True, exist_ok=True)
        others = [path for path in kept(name) if not _OURS.fullmatch(path.name)]
        paths = [path for path in (*kept(name), *(FOUND / name).glob("*")) if path not in others]
        inputs = {data for data in (*seeds(name), *(p.read_bytes() for p in paths)) if len(data) <= LARGEST}
        keep = smallest(function, list(inputs))
        for path in set(kept(name)) - set(others):
            path.unlink()
        for data in keep:
            # S324: a name, not a secret
            (directory / hashlib.sha1(data).hexdigest()[:12]).write_bytes(data)
        size = sum(path.stat().st_size for path in kept(name))
        print(f"{name}: {len(inputs)} inputs, {len(kept(name))} kept, {size} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
