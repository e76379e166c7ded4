"""`make explore`: the long searches, on every core. Exits 1, with the moves that lead there, if a rule breaks."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed

from explorer.runs import LONG
from explorer.search import Broken


def main() -> int:
    began = time.perf_counter()
    states = moves = 0
    with ProcessPoolExecutor() as pool:
        searches = [pool.submit(run.explore) for run in LONG]
        try:
            for search in as_completed(searches):
                result = search.result()
                print(result, flush=True)
                states, moves = states + result.states, moves + result.moves
        except Broken as broken:
            print(broken, file=sys.stderr)
            pool.shutdown(cancel_futures=True)
            return 1
    print(f"{states:,} states, {moves:,} moves, {time.perf_counter() - began:.0f} s: every invariant holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
