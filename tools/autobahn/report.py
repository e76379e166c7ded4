"""What the suite found, read from the index of its report, and judged."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

EXPECTED_CASES = 247
"""Of 25.10.1, without those excluded."""

EXCLUDED = ("9.*", "12.*", "13.*")
"""Speed and limits, and compression, which the wire does not negotiate."""

PASSED = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")
COLUMNS = (*PASSED, "FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT")
"""Every verdict of the suite: the first four are passes."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One case, in the suite's own words: `behavior` before the close, `behavior_close` at the close."""

    behavior: str
    behavior_close: str = msgspec.field(name="behaviorClose")
    close_code: int | None = msgspec.field(name="remoteCloseCode")
    file: str = msgspec.field(name="reportfile")

    @property
    def passed(self) -> bool:
        return self.behavior in PASSED and self.behavior_close in PASSED


class Results:
    """The verdicts on one agent."""

    def __init__(self, agent: str, verdicts: dict[str, Verdict]) -> None:
        self.agent = agent
        self.verdicts = verdicts

    def faults(self, folder: Path) -> list[str]:
        """What is wrong, a line each, with the suite's reasons from its report in `folder`; [] for nothing."""
        lines = []
        if len(self.verdicts) != EXPECTED_CASES:
            lines.append(f"{self.agent}: {len(self.verdicts)} cases, expected {EXPECTED_CASES}")
        for case, verdict in sorted(self.verdicts.items(), key=lambda item: _number(item[0])):
            if not verdict.passed:
                told = f"{verdict.behavior}, close {verdict.behavior_close}, code {verdict.close_code}"
                lines.append(f"{self.agent}: case {case}: {told}{_reasons(folder, verdict.file)}")
        return lines


def read_results(folder: Path, agent: str) -> Results:
    """The verdicts on `agent`; none when the suite wrote no report."""
    index = folder / "index.json"
    if not index.is_file():
        return Results(agent, {})
    agents = msgspec.json.decode(index.read_bytes(), type=dict[str, dict[str, Verdict]])
    return Results(agent, agents.get(agent, {}))


def table(found: Iterable[Results]) -> str:
    """Agents against verdicts: a row for what came before the close, and one for the close itself."""
    rows = [["", "cases", *COLUMNS]]
    for results in found:
        verdicts = results.verdicts.values()
        for label, counted in (
            (results.agent, Counter(verdict.behavior for verdict in verdicts)),
            ("  its close", Counter(verdict.behavior_close for verdict in verdicts)),
        ):
            rows.append([label, str(counted.total()), *(str(counted[name]) for name in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    )


def _reasons(folder: Path, name: str) -> str:
    # half surrogates of the cases on UTF-8 stand there, which msgspec takes for a fault
    detail: dict[str, Any] = json.loads((folder / name).read_bytes())
    return f" ({' '.join(dict.fromkeys([detail['result'], detail['resultClose']]))})"


def _number(case: str) -> list[int]:
    return [int(part) for part in case.split(".")]
