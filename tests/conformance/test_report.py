"""How the suite's report is judged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.autobahn.report import EXPECTED_CASES, PASSED, read_results, table

AGENT = "asyncio"
CASE = "6.3.1"


def report(folder: Path, behavior: str = "OK", close: str = "OK", cases: int = EXPECTED_CASES) -> None:
    """What the suite writes, with one case of these verdicts among good ones."""
    found = {f"1.1.{number}": ("OK", "OK") for number in range(1, cases)}
    found[CASE] = behavior, close
    index = {
        case: {
            "behavior": before,
            "behaviorClose": at,
            "remoteCloseCode": 1002,
            "duration": 3,
            "reportfile": f"{case}.json",
        }
        for case, (before, at) in found.items()
    }
    (folder / "index.json").write_text(json.dumps({AGENT: index}))
    (folder / f"{CASE}.json").write_text(
        '{"result": "As expected.", "resultClose": "Wrong.", "x": "\\ud800"}'
    )


@pytest.mark.parametrize("behavior", PASSED)
@pytest.mark.parametrize("close", PASSED)
def test_a_pass_is_a_pass_in_all_its_kinds(tmp_path: Path, behavior: str, close: str) -> None:
    report(tmp_path, behavior, close)
    assert read_results(tmp_path, AGENT).faults(tmp_path) == []


@pytest.mark.parametrize("verdict", ["FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT", "anything new"])
def test_a_failure_counts_before_the_close_and_at_the_close(tmp_path: Path, verdict: str) -> None:
    report(tmp_path, verdict, "OK")
    (before,) = read_results(tmp_path, AGENT).faults(tmp_path)
    assert before == f"asyncio: case 6.3.1: {verdict}, close OK, code 1002 (As expected. Wrong.)"
    report(tmp_path, "OK", verdict)
    (at,) = read_results(tmp_path, AGENT).faults(tmp_path)
    assert at == f"asyncio: case 6.3.1: OK, close {verdict}, code 1002 (As expected. Wrong.)"


@pytest.mark.parametrize("cases", [EXPECTED_CASES - 1, EXPECTED_CASES + 1])
def test_a_case_too_few_or_too_many_is_a_fault(tmp_path: Path, cases: int) -> None:
    report(tmp_path, cases=cases)
    assert read_results(tmp_path, AGENT).faults(tmp_path) == [f"asyncio: {cases} cases, expected 247"]


def test_no_report_and_no_agent_in_it_are_no_pass(tmp_path: Path) -> None:
    assert read_results(tmp_path, AGENT).faults(tmp_path) == ["asyncio: 0 cases, expected 247"]
    report(tmp_path)
    assert read_results(tmp_path, "trio").faults(tmp_path) == ["trio: 0 cases, expected 247"]


def test_the_table_counts_both_verdicts_on_every_case(tmp_path: Path) -> None:
    report(tmp_path, "NON-STRICT", "WRONG CODE")
    head, before, at = table([read_results(tmp_path, AGENT)]).splitlines()
    assert head.split()[:3] == ["cases", "OK", "NON-STRICT"]
    assert before.split() == ["asyncio", "247", "246", "1", "0", "0", "0", "0", "0", "0"]
    assert at.split() == ["its", "close", "247", "246", "0", "0", "0", "0", "1", "0", "0"]
