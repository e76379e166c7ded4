"""Runs the measurements: each in a process of its own, all clients in turns, another one first in every round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple

from bench.peers import Peer
from bench.plan import Measure
from bench.processes import ROOT, core_argument, cores, server
from bench.targets import named

WORKER_SECONDS = 90
"""No single measurement takes longer, or it counts as failed."""


STARTS, LIVEKIT_STARTS = 0.4, 1.7
"""Seconds until a client's process measures."""

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

    def _values(self, measure: str, peer: str, key: str) -> dict[int, float]:
        rounds = self._figures.get((measure, peer), {})
        return {number: figures[key] for number, figures in rounds.items() if key in figures}

    def spread(self, measure: str, peer: str, key: str) -> Spread | None:
        """Of one client's figure; None if it was never taken."""
        values = self._values(measure, peer, key).values()
        return Spread(median(values), min(values), max(values)) if values else None

    def ratio(self, measure: str, peer: str, key: str, other: str, other_measure: str = "") -> float | None:
        """To the other client's figure in the same round, the median of the rounds that have both."""
        ours, theirs = self._values(measure, peer, key), self._values(other_measure or measure, other, key)
        ratios = [value / theirs[number] for number, value in ours.items() if theirs.get(number)]
        return median(ratios) if ratios else None


class Extent(NamedTuple):
    """How much of the plan is to be done. rounds: of all instead of each one's own. clients: these alone, if any.

    Left to itself a first round takes all clients, and a further one those that a target is about, if there are any.
    """

    quick: bool = False
    rounds: int | None = None
    clients: Collection[str] = ()

    def rounds_of(self, measure: Measure) -> int:
        """How often it is taken."""
        return self.rounds or (1 if self.quick else measure.rounds)

    def peers(self, measure: Measure, number: int) -> list[Peer]:
        """Whom it is taken of in this round."""
        peers = measure.peers(self.quick, self.clients)
        worth = named(measure.name) if number and not self.clients and self.rounds is None else set()
        return [peer for peer in peers if not worth or peer.name in worth]

    def seconds(self, measures: Sequence[Measure]) -> float:
        """About how long that takes."""
        return sum(
            (
                measure.takes * (0.5 if self.quick else 1.0)
                + (LIVEKIT_STARTS if "LiveKit" in peer.name else STARTS)
            )
            for measure in measures
            for number in range(self.rounds_of(measure))
            for peer in self.peers(measure, number)
        )


def run(measures: Sequence[Measure], extent: Extent, until: float) -> Results:
    """Take the measurements of many rounds first, the others once, and those again as the time allows.

    After `until` on the monotonic clock only first rounds begin.
    """
    results = Results()
    most = {measure.name: extent.rounds_of(measure) for measure in measures}
    many = [measure for measure in measures if measure.rounds >= MANY]
    few = [measure for measure in measures if measure.rounds < MANY]
    with _certificate() as pem:
        for some in (many, few):
            for number in range(max((most[measure.name] for measure in some), default=0)):
                for measure in some:
                    if number < most[measure.name] and (number == 0 or monotonic() < until):
                        _round(measure, number, extent, pem, results)
    return results


def _round(measure: Measure, number: int, extent: Extent, pem: Path | None, results: Results) -> None:
    peers = extent.peers(measure, number)
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
            said = _work(measure, peer, url, extent.quick, here, pem)
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
