"""`make bench`: ours beside its peers. Prints the report and writes it, with a plot, to `docs/`."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

from bench import micro
from bench.peers import BY_NAME, PEERS
from bench.plan import GROUPS, MEASURES, MICRO
from bench.plot import plot
from bench.processes import ROOT
from bench.report import command_line, report
from bench.rounds import Extent, Results, run


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little of everything, once: about a minute")
    parser.add_argument("--only", metavar="A,B", help=f"of: {', '.join(GROUPS)}")
    parser.add_argument(
        "--clients", metavar="NAME", nargs="+", default=[], help="these, or all with such a name in theirs"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="so many of everything")
    parser.add_argument("--minutes", type=float, default=8.0, help="begin no further round after this (8)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="the folder to write to (docs)")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else list(GROUPS)
    if unknown := set(wanted) - set(GROUPS):
        parser.error(f"--only: {', '.join(sorted(unknown))}: expected some of {', '.join(GROUPS)}")
    if given.rounds is not None and not 1 <= given.rounds <= 100:
        parser.error("--rounds takes 1 to 100")
    clients = [peer for name in given.clients for peer in _named(name)]
    if strangers := [name for name in given.clients if not _named(name)]:
        parser.error(
            f"--clients: {', '.join(strangers)}: expected names, or parts of them: {'; '.join(BY_NAME)}"
        )
    extent = Extent(given.quick, given.rounds, clients)
    measures = [measure for measure in MEASURES if measure.name.partition(",")[0] in wanted]
    if given.quick:
        measures = [measure for measure in measures if measure.quick is not None]
    for peer in PEERS:
        if peer.missing() and (not clients or peer.name in clients):
            print(f"skipped: {peer.name}: pip install {peer.install}", file=sys.stderr)
    if measures and find_spec("picows") is None:
        parser.error("the server that all are measured against needs picows: pip install picows")
    load = os.getloadavg()[0]
    begun = monotonic()
    estimate = extent.seconds(measures) + (micro.SECONDS if MICRO in wanted else 0)
    print(f"this takes about {estimate / 60:.1f} minutes", file=sys.stderr)
    results = run(measures, extent, begun + 60 * given.minutes) if measures else Results()
    hot_paths = micro.table() if MICRO in wanted else []
    print(f"it took {(monotonic() - begun) / 60:.1f} minutes", file=sys.stderr)
    loads = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
    text = report(measures, results, hot_paths, command_line(), loads)
    print(text)
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "benchmarks.md").write_text(text, encoding="utf-8")
    if measures:
        (given.out / "benchmarks.svg").write_text(plot(measures, results), encoding="utf-8")
    return 0


def _named(name: str) -> list[str]:
    return [name] if name in BY_NAME else [full for full in BY_NAME if name in full]


if __name__ == "__main__":
    sys.exit(main())
