"""`make bench`: a table of the core's hot paths, with the ratio to the peer of the same round."""

from __future__ import annotations

import platform

from bench.cases import CHUNK, PACKET, TRANSCRIPT, cases
from bench.timing import ROUNDS, measure


def main() -> None:
    """Measure and print."""
    results = measure(cases())
    middles = {result.case.name: result.middle for result in results}
    print(
        f"CPU time, {platform.python_implementation()} {platform.python_version()}, {ROUNDS} rounds in turns."
    )
    print(
        f"Messages: {len(PACKET)} bytes of audio, {len(TRANSCRIPT)} of transcript, {len(CHUNK)} of speech.\n"
    )
    print(f"{'path':36} {'µs/message (min-max)':>24} {'µs/s of audio':>14}  ratio to peer")
    for case, middle, least, most in results:
        per_second = f"{middle / case.audio_seconds:14.0f}" if case.audio_seconds else f"{'':14}"
        ratio = f"{middle / middles[case.peer]:5.2f} of {case.peer.split(', ')[1]}" if case.peer else ""
        print(f"{case.name:36} {middle:10.2f} ({least:.2f}-{most:.2f})".ljust(61), per_second, "", ratio)


if __name__ == "__main__":
    main()
