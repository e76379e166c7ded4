"""One measurement of one client, in a process of its own: prints its figures as JSON. Started by `bench.rounds`."""

from __future__ import annotations

import argparse
import json
from time import perf_counter

from bench.processes import pin


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("measure")
    parser.add_argument("peer")
    parser.add_argument("url")
    parser.add_argument("settings", type=json.loads)
    parser.add_argument("--core", type=int)
    given = parser.parse_args()
    pin(given.core)
    if given.measure == "import":
        figures = _import(given.settings["modules"].split(","))
    else:
        from bench.measures import MEASURES

        figures = MEASURES[given.measure](given.peer, given.url, **given.settings)
    print(json.dumps(figures))


def _import(modules: list[str]) -> dict[str, float]:
    """Before anything else is imported that the client might need, but for argparse, json and subprocess."""
    begun = perf_counter()
    for module in modules:
        __import__(module)
    return {"ms": 1000 * (perf_counter() - begun)}


if __name__ == "__main__":
    main()
