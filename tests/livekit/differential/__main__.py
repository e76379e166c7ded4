"""Run many scripts against both plugins and compare what they tell their users.

python -m livekit.differential --against seed --scripts 2000     # livekit-plugins-smallestai==1.6.0 installed
python -m livekit.differential --against newer --scripts 2000    # 1.8.9

With --no-resume, ours leaves a lost connection to the framework, as the official plugin does.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections import Counter
from dataclasses import fields
from importlib import import_module
from typing import Any

from livekit.differential.permitted import NEWER, RESUMING, SEED, Difference
from livekit.differential.players import Outcome, Plugin, play
from livekit.differential.scripts import Script, make
from livekit.plugins import smallest

AT_ONCE = 16
VERSIONS = {"seed": "1.6.0", "newer": "1.8.9"}


def official_plugin(against: str) -> Plugin:
    """The official class, of the version that is compared with."""
    official: Any = import_module("livekit.plugins.smallestai")  # only in this target's environment
    if official.__version__ != VERSIONS[against]:
        sys.exit(f"livekit-plugins-smallestai {official.__version__}: expected {VERSIONS[against]}")
    plugin: Plugin = official.STT
    return plugin


async def compare(
    script: Script, plugin: Plugin, ours: dict[str, Any], table: tuple[Difference, ...], used: Counter[str]
) -> str:
    """What differs beyond the table, "" for nothing."""
    first, second = await asyncio.gather(play(plugin, script), play(smallest.STT, script, **ours))
    a, b = first, second
    for difference in table:
        if a != b and difference.applies(script, a, b):
            a, b = difference.change(a, b)
            used[difference.name] += 1
    unlike = [f.name for f in fields(Outcome) if f.compare and getattr(a, f.name) != getattr(b, f.name)]
    if not unlike:
        return ""
    return "\n".join(
        [f"script {script.index}: {script.ending}{' retry' * script.retry}, {script.options}"]
        + [f"  {place} {text}" for place in ("said", "after", "again") for text in getattr(script, place)]
        + [f"  last {script.last}"]
        + [
            f"  {name}:\n    official {getattr(first, name)}\n    ours     {getattr(second, name)}"
            for name in unlike
        ]
    )


async def run(against: str, scripts: int, number: int, only: int | None, resume: bool) -> int:
    """How many scripts gave differences that the table does not permit."""
    newer = against == "newer"
    plugin = official_plugin(against)
    table: tuple[Difference, ...] = NEWER if newer else SEED
    ours: dict[str, Any] = {"endpoint": "live", "vad_events": True} if newer else {}
    if resume:
        table = RESUMING + table
    else:
        ours["resume"] = False
    used: Counter[str] = Counter()
    indices = iter(range(scripts) if only is None else [only])
    failures: list[str] = []

    async def work() -> None:
        for index in indices:
            script = make(number, index, newer=newer)
            if failure := await compare(script, plugin, ours, table, used):
                failures.append(failure)

    from livekit.agents.utils import http_context

    async with http_context.open():
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    for failure in failures[:10]:
        print(failure, end="\n\n")
    count = 1 if only is not None else scripts
    print(f"{count} scripts against {VERSIONS[against]}: {len(failures)} differ beyond the table")
    for difference in table:
        print(f"  {used[difference.name]:5} {difference.name}")
    return len(failures)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", choices=VERSIONS, required=True)
    parser.add_argument("--scripts", type=int, default=2000)
    parser.add_argument("--number", type=int, default=0, help="another number gives other scripts")
    parser.add_argument("--only", type=int, help="one script, to look at")
    parser.add_argument(
        "--no-resume", dest="resume", action="store_false", help="leave drops to the framework"
    )
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    sys.exit(bool(asyncio.run(run(given.against, given.scripts, given.number, given.only, given.resume))))


if __name__ == "__main__":
    main()
