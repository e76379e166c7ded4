"""The benchmark's harness runs, and its report says what was asked. No time is asserted."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("picows", reason="the server of the benchmark needs picows: pip install picows")
pytest.importorskip("websockets", reason="one of the two clients needs websockets: pip install websockets")

from bench.growth_plot import growth_panels
from bench.peers import ASYNCIO, BY_HAND, BY_HAND_PICOWS, BY_NAME, OFFICIAL
from bench.plan import GROWTH, MEASURES
from bench.rounds import Extent, Results
from bench.targets import BEST_PEER, TARGETS, Target, asked_and_measured, named

ROOT = Path(__file__).parent.parent
BY_HAND_NAME = "websockets by hand"
SVG = "{http://www.w3.org/2000/svg}"


def test_it_measures_two_clients(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--only", "stt,speech", "--rounds", "1"]
    command += ["--clients", ASYNCIO, BY_HAND, "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    report = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    latency = report.partition("## Latency and set-up")[2].partition("##")[0]
    rows = {cells[1].strip(): cells[2:-1] for line in latency.splitlines() if (cells := line.split("|"))[1:]}
    _, confirmed, inferred = (cell.strip() for cell in rows[ASYNCIO])
    assert inferred
    assert not confirmed, "in a context no end is certain"
    _, confirmed, inferred = (cell.strip() for cell in rows[BY_HAND])
    assert confirmed
    assert not inferred
    assert "failed" not in report
    assert f"| STT CPU, default asyncio transport, of {BY_HAND_NAME} |" in report
    assert ElementTree.parse(tmp_path / "benchmarks.svg").getroot().tag == f"{SVG}svg"


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.words)
def test_targets_name_clients_and_measures_that_there_are(target: Target) -> None:
    measures = {measure.name: measure for measure in MEASURES}
    for name in (target.measure, target.other_measure or target.measure):
        only = measures[name].only
        for client in {target.client, target.beside} - {"", BEST_PEER}:
            assert BY_NAME[client].takes(name)
            assert not only or client in only
    assert target.key in {figure.key for figure in measures[target.measure].figures}
    assert (target.most is None) != (target.least is None)
    assert target.client in named(target.measure)


def test_what_is_asked_and_missed_is_said() -> None:
    results = Results()
    results.add("stt", OFFICIAL, 0, {"cpu_us": 100.0})
    results.add("stt", ASYNCIO, 0, {"cpu_us": 61.0})
    assert asked_and_measured(results)[2:] == [
        "| STT CPU, default asyncio transport, of the official plugin | ≤ 0.6 | 0.61 **not met** |  |"
    ]
    results.add("stt", OFFICIAL, 1, {"cpu_us": 100.0})
    results.add("stt", ASYNCIO, 1, {"cpu_us": 57.0})
    results.add("stt", BY_HAND_PICOWS, 1, {"cpu_us": 40.0})
    assert asked_and_measured(results)[2:] == [
        "| STT CPU, default asyncio transport, of the official plugin | ≤ 0.6 | 0.59 | 0.40 |"
    ]


def test_growth_is_drawn_as_a_line_for_each_client() -> None:
    growth, results = GROWTH[0], Results()
    for point in growth.points:
        results.add(growth.name(point), ASYNCIO, 0, {"cpu_us": 100.0})
    parts, height = growth_panels(results, 0, 0, 0)
    panel = ElementTree.fromstring("".join(parts))
    assert height > 0
    (line,) = panel.iter("polyline")
    places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
    assert len(places) == len(growth.points)
    assert len({y for _, y in places}) == 1, "flat is linear"
    steps = {round(b[0] - a[0]) for a, b in pairwise(places)}
    assert max(steps) - min(steps) <= 1, "each tenfold is as wide as the other"


def test_a_whole_run_is_estimated_at_less_than_ten_minutes() -> None:
    assert Extent().seconds(MEASURES) < 600
