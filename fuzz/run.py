"""Coverage-guided fuzzing: `python -m fuzz.run [TARGET ...] --seconds N`, all targets when none is named.

The time is divided over the targets. What was found goes on in the next run (`fuzz/found/`); an input that
breaks a target is written to `fuzz/crashes/`, and the exit code is then 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from fuzz import engine, targets

HERE = Path(__file__).parent
CORPUS, FOUND, CRASHES = HERE / "corpus", HERE / "found", HERE / "crashes"

_STATUS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)", re.MULTILINE)
_TOKEN = re.compile(rb'"[A-Za-z_]\w{2,30}"(?::(?:true|null|""|0))?')
_MOST_TOKENS = 400


class Result(NamedTuple):
    """One target's run: inputs tried, counters hit, features, inputs kept and their size, and the crashes."""

    executions: int
    coverage: int
    features: int
    corpus: int
    size: str
    crashes: list[Path]
    log: str


def dictionary(directories: list[Path]) -> str:
    """The JSON keys and words of a corpus, as a libFuzzer dictionary."""
    tokens: dict[bytes, None] = {}
    for directory in directories:
        for path in sorted(directory.iterdir()):
            tokens |= dict.fromkeys(_TOKEN.findall(path.read_bytes()))
    escaped = (token.decode().replace('"', '\\"') for token in list(tokens)[:_MOST_TOKENS])
    return "".join(f'"{token}"\n' for token in escaped)


def run(name: str, seconds: int, corpus: Path, extra: list[str]) -> Result:
    """Fuzz one target in a process of its own."""
    label = name.rpartition(".")[2]
    found, crashes = FOUND / label, CRASHES / label
    for directory in (found, crashes):
        directory.mkdir(parents=True, exist_ok=True)
    before = set(crashes.iterdir())
    seeds = [corpus] if corpus.is_dir() else []
    with tempfile.NamedTemporaryFile("w", suffix=".dict") as words:
        words.write(dictionary(seeds) or '"{}"\n')  # libFuzzer takes no empty one
        words.flush()
        command = [sys.executable, "-m", "fuzz.engine", name, str(found), *map(str, seeds)]
        command += [f"-max_total_time={seconds}", f"-dict={words.name}", f"-artifact_prefix={crashes}/"]
        command += ["-timeout=20", "-rss_limit_mb=1024", "-max_len=8192", "-print_final_stats=1", *extra]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    log = done.stdout.decode(errors="replace")
    new = sorted(set(crashes.iterdir()) - before)
    if done.returncode and not new:
        tail = "\n".join(log.splitlines()[-30:])
        sys.exit(f"{tail}\n{name}: ended with {done.returncode}")
    last = (_STATUS.findall(log) or [("0", "0", "0", "0", "0b")])[-1]
    count = re.search(r"number_of_executed_units: (\d+)", log)
    coverage, features, inputs = map(int, last[1:4])
    tried = int(count[1] if count else last[0])
    return Result(tried, coverage, features, inputs, last[4], new, log)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m fuzz.run", description=__doc__)
    parser.add_argument(
        "target", nargs="*", help="a name from fuzz/targets, or a module with a function `fuzz`"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--corpus", type=Path, help="seeds, instead of fuzz/corpus/TARGET")
    parser.add_argument("--instrument", action="append", default=[], help="a package of yours to guide by")
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit(engine.MISSING)
    chosen = arguments.target or targets.names()
    share = max(1, arguments.seconds // len(chosen))
    print(
        f"{share} s each\n{'target':24}{'executions':>12}{'coverage':>10}{'features':>10}{'inputs':>8}{'size':>9}"
    )
    broken: list[Path] = []
    for name in chosen:
        extra = [f"--instrument={package}" for package in arguments.instrument]
        result = run(name, share, arguments.corpus or CORPUS / name, extra)
        numbers = f"{result.executions:12}{result.coverage:10}{result.features:10}{result.corpus:8}"
        print(f"{name:24}{numbers}{result.size:>9}", flush=True)
        if result.crashes:
            broken += result.crashes
            print(result.log[result.log.find("=== Uncaught") :])
    for path in broken:
        target = path.parent.name
        print(f"crash: {path}; see it again with: python -m fuzz.replay {target} {path}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
