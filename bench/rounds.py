"""Runs the measurements: each in a process of its own, all clients in turns, another one first in every round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

from bench.peers import Peer
from bench.plan import Measure
from bench.processes import ROOT, core_argument, cores, server

WORKER_SECONDS = 90
"""No single measurement takes longer, or it counts as failed."""


MANY = 5
"""Rounds that make a measurement one of those that come first: the costs that the others are judged by."""


class Spread(NamedTuple):
    """The median of the rounds, the least and the most."""

    middle: float
    least: float
    most: float


class Results:
    """All figures, by measure, client and round; and why there are none."""

    def __init__(self) -> None:
        self._figures: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
        self.failures: dict[tuple[str, str], str] = {}

    def add(self, measure: str, peer: str, number: int, figures: dict[str, float]) -> None:
        """Note what a worker said."""
        self._figures.setdefault((measure, peer), {})[number] = figures

    def spread(self, measure: str, peer: str, key: str) -> Spread | None:
        """Of one client's figure; None if it was never taken."""
        values = [figures[key] for figures in self._figures.get((measure, peer), {}).values()]
        return Spread(median(values), min(values), max(values)) if values else None

    def ratio(self, measure: str, peer: str, key: str, other: str) -> float | None:
        """To the other client's figure in the same round, the median of the rounds that have both."""
        ours, theirs = (self._figures.get((measure, name), {}) for name in (peer, other))
        ratios = [ours[number][key] / theirs[number][key] for number in ours if number in theirs]
        return median(ratios) if ratios else None


def run(measures: Sequence[Measure], rounds: int | None, quick: bool, until: float) -> Results:
    """Take the measurements of many rounds first, the others once, and those again as the time allows.

    `rounds` for all instead of each one's own; after `until` on the monotonic clock only first rounds begin.
    """
    results = Results()
    most = {measure.name: rounds or (1 if quick else measure.rounds) for measure in measures}
    many = [measure for measure in measures if measure.rounds >= MANY]
    few = [measure for measure in measures if measure.rounds < MANY]
    with _certificate() as pem:
        for some in (many, few):
            for number in range(max((most[measure.name] for measure in some), default=0)):
                for measure in some:
                    if number < most[measure.name] and (number == 0 or monotonic() < until):
                        _round(measure, number, quick, pem, results)
    return results


def _round(measure: Measure, number: int, quick: bool, pem: Path | None, results: Results) -> None:
    peers = [peer for peer in measure.peers(quick) if not peer.missing()]
    if not peers or (measure.tls and pem is None):
        return
    begun = monotonic()
    shift = number * 3 % len(peers)
    here, there = cores()
    tls = ["--tls", str(pem)] if measure.tls else []
    print(f"round {number + 1}: {measure.name}", end="", file=sys.stderr, flush=True)
    with server("bench.servers.cheap", *tls, core=there) as url:
        for peer in peers[shift:] + peers[:shift]:
            print(".", end="", file=sys.stderr, flush=True)
            said = _work(measure, peer, url, quick, here, pem)
            if isinstance(said, str):
                results.failures[measure.name, peer.name] = said
            else:
                results.add(measure.name, peer.name, number, said)
    print(f" {monotonic() - begun:.0f} s", file=sys.stderr)


def _work(
    measure: Measure, peer: Peer, url: str, quick: bool, core: int | None, pem: Path | None
) -> dict[str, float] | str:
    settings = measure.settings if not quick or measure.quick is None else measure.quick
    if measure.name == "import":
        settings = {"modules": peer.imports}
    work = measure.works or (measure.name.partition(",")[0])
    command = [sys.executable, "-W", "ignore", "-m", "bench.worker", *core_argument(core)]
    command += [work, peer.name, url, json.dumps(settings)]
    environment = dict(os.environ)
    if pem is not None:
        environment["SSL_CERT_FILE"] = str(pem)
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=WORKER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"took more than {WORKER_SECONDS} s"
    try:
        figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        said = [line.strip(" |+-") for line in done.stderr.splitlines()]  # groups of exceptions draw a frame
        return next((line for line in reversed(said) if ": " in line), f"exit code {done.returncode}")
    return figures


@contextmanager
def _certificate() -> Iterator[Path | None]:
    """A certificate for localhost with its key and its issuer, in one file; None without trustme."""
    try:
        import trustme
    except ModuleNotFoundError:
        yield None
        return
    with TemporaryDirectory() as folder:
        pem = Path(folder) / "localhost.pem"
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", "127.0.0.1")
        issued.private_key_and_cert_chain_pem.write_to_path(pem)
        authority.cert_pem.write_to_path(pem, append=True)
        yield pem
