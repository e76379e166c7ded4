"""The core's hot paths alone, without sockets, as a table."""

from __future__ import annotations

from bench.cases import CHUNK, PACKET, TRANSCRIPT, cases
from bench.timing import ROUNDS, measure

SECONDS = 12
"""About how long all of them take."""


def table() -> list[str]:
    """Measure; the lines of a Markdown table, with the ratio to the peer of the same round."""
    results = measure(cases())
    middles = {result.case.name: result.middle for result in results}
    lines = [
        f"CPU time of single messages without sockets, {ROUNDS} rounds in turns: {len(PACKET)} bytes of audio,"
        f" {len(TRANSCRIPT)} of transcript, {len(CHUNK)} of speech.",
        "",
        "| path | µs/message (least to most) | µs/s of audio | ratio to peer |",
        "| --- | --- | --- | --- |",
    ]
    for case, middle, least, most in results:
        per_second = f"{middle / case.audio_seconds:.0f}" if case.audio_seconds else ""
        ratio = f"{middle / middles[case.peer]:.2f} of {case.peer.split(', ')[1]}" if case.peer else ""
        lines.append(f"| {case.name} | {middle:.2f} ({least:.2f}-{most:.2f}) | {per_second} | {ratio} |")
    return lines
