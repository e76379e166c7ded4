"""The report as Markdown."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.peers import BY_HAND, BY_HAND_AIOHTTP, OFFICIAL, PEERS
from bench.plan import GROWTH, Figure, Measure
from bench.rounds import Results, Spread
from bench.targets import asked_and_measured
from smallest_proto import machine

_PACKAGES = (
    "aiohttp", "anyio", "livekit-agents", "livekit-plugins-smallestai", "msgspec", "picows", "pybase64", "smallestai",
    "trio", "uvloop", "websockets", "wsproto",
)  # fmt: skip
_TABLES = (
    ("Cost", ("stt", "stt10", "tts", "streams", "memory", "heard", "import")),
    ("Latency and set-up", ("paced", "speech", "silence", "defaults", "connect", "tls")),
)
_COMPARED = (OFFICIAL, BY_HAND, BY_HAND_AIOHTTP)


def report(
    measures: Sequence[Measure], results: Results, micro: Sequence[str], command: str, loads: str
) -> str:
    """Everything that was measured, the missing clients, the machine, and how to repeat it."""
    lines = ["# Benchmarks", ""]
    if asked := asked_and_measured(results):
        lines += ["## Asked and measured", "", *asked, ""]
    lines += _preface(command, loads)
    by_name = {measure.name: measure for measure in measures}
    if any(results.spread(m.name, p.name, f.key) for m in measures for f in m.figures for p in PEERS):
        lines += ["![The figures as bars](benchmarks.svg)", ""]
    for title, names in _TABLES:
        lines += _table(title, [by_name[name] for name in names if name in by_name], results)
    lines += _ratios([by_name[name] for name in ("stt", "tts", "paced") if name in by_name], results)
    growing = [[by_name[name] for point in g.points if (name := g.name(point)) in by_name] for g in GROWTH]
    for growth, points in zip(GROWTH, growing, strict=True):
        lines += _table(f"Growth: {growth.title.lower()}", points, results)
    if micro:
        lines += ["## The core alone", "", *micro, ""]
    lines += _missing(results)
    return "\n".join(lines).rstrip() + "\n"


def _preface(command: str, loads: str) -> list[str]:
    return [
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {_machine()}; load average {loads}.",
        "",
        "Each figure is the median of the rounds (least-most); x is the ratio to the other client's figure of the"
        " same round, the median of those. Client and server are processes of their own, each on a core of its own;"
        " every measurement has a fresh process, and clients take turns. CPU is user and system time of the client's"
        " process alone, for each second of audio. The hand-written clients parse and do nothing else, picows"
        " by hand in C: little more than what the machine's sockets and event loop cost. Ours infer speech, keep"
        " audio for a reconnection, and watch limits and deadlines. Figures depend on the machine;"
        " ratios do so less.",
        "",
        f"Versions: {_versions()}. {_core()}",
        "",
    ]


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        processor = names[0] if names else processor
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores of {processor}, {platform.system()}, {implementation}"


def _core() -> str:
    """Whether mypyc has compiled what is measured: the clients have the same path as this process."""
    compiled = not str(machine.__file__).endswith(".py")
    return f"The core is {'compiled by mypyc' if compiled else 'interpreted'}."


def _versions() -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _table(title: str, measures: Sequence[Measure], results: Results) -> list[str]:
    columns = [(measure, figure) for measure in measures for figure in measure.figures]
    rows = []
    for peer in PEERS:
        cells = [_cell(results, measure, figure, peer.name) for measure, figure in columns]
        if any(cells):
            rows.append(f"| {peer.name} | " + " | ".join(cells) + " |")
    if not rows:
        return []
    explained: dict[str, list[str]] = {}
    for measure, figure in columns:
        explained.setdefault(measure.title, []).append(figure.heading)
    notes = [f"- {' / '.join(headings)}: {title}." for title, headings in explained.items()]
    head = "| client | " + " | ".join(figure.heading for _, figure in columns) + " |"
    return [f"## {title}", "", head, "| --- " * (len(columns) + 1) + "|", *rows, "", *notes, ""]


def _cell(results: Results, measure: Measure, figure: Figure, peer: str) -> str:
    spread = results.spread(measure.name, peer, figure.key)
    if spread is None:
        return "failed" if (measure.name, peer) in results.failures else ""
    text = shown(spread, figure.decimals)
    if figure.beside and figure.beside != peer:
        ratio = results.ratio(measure.name, peer, figure.key, figure.beside)
        text += "" if ratio is None else f" x{ratio:.2f}"
    return text


def shown(spread: Spread, decimals: int) -> str:
    """`12.3 (11.9-13.0)`."""
    middle, least, most = (f"{value:.{decimals}f}" for value in spread)
    return middle if least == most else f"{middle} ({least}-{most})"


def _ratios(measures: Sequence[Measure], results: Results) -> list[str]:
    """Ours beside each of the peers that the others do not show."""
    columns = [(measure, other) for measure in measures for other in _COMPARED]
    rows = []
    for peer in PEERS:
        if not peer.ours:
            continue
        ratios = [results.ratio(m.name, peer.name, "cpu_us", other) for m, other in columns]
        if any(ratio is not None for ratio in ratios):
            cells = ("" if ratio is None else f"{ratio:.2f}" for ratio in ratios)
            rows.append(f"| {peer.name} | " + " | ".join(cells) + " |")
    if not rows:
        return []
    head = "| CPU, x | " + " | ".join(f"{measure.name}: {other}" for measure, other in columns) + " |"
    return ["## Ratios in the same round", "", head, "| --- " * (len(columns) + 1) + "|", *rows, ""]


def _missing(results: Results) -> list[str]:
    lines = [
        f"- {peer.name}: `pip install {peer.install}`" if peer.install else f"- {peer.name}: no {name}"
        for peer in PEERS
        if (name := peer.missing())
    ]
    lines += [f"- {peer}, {measure}: {why}" for (measure, peer), why in results.failures.items()]
    return ["## Not measured", "", *lines, ""] if lines else []


def command_line() -> str:
    """What was typed."""
    return shlex.join(["python", "-m", "bench", *sys.argv[1:]])
