"""Runs the WebSocket conformance suite against our wire, as client on each backend and as server.

Exit code 1 when a case fails or is missing, 2 when the suite cannot be run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from smallest_proto.errors import ProtocolError
from tools.autobahn.backends import BACKENDS
from tools.autobahn.client import run_cases
from tools.autobahn.installation import SetUpError, install
from tools.autobahn.interpreter import NoPython27Error, find_python27
from tools.autobahn.process import Suite, SuiteError
from tools.autobahn.report import Results, read_results, table
from tools.autobahn.server import echo_server

HOME = Path(__file__).resolve().parent.parent.parent / ".venv" / "autobahn27"
SERVER = "server"
SECONDS = 300
"""For each run, which takes about 15."""


def examine_client(suite: Suite, name: str) -> None:
    """The suite's server against our client on one backend. Raises SuiteError."""
    with suite.started("server", url="ws://127.0.0.1") as process:
        port, cases = suite.listening(process)
        running = BACKENDS[name]
        try:
            running.run(lambda: run_cases(running.backend, port, name, cases), SECONDS)
        except (ProtocolError, TimeoutError) as error:
            raise suite.error(str(error) or f"not done after {SECONDS} s") from None


async def examine_server(suite: Suite) -> None:
    """The suite's client against our server. Raises SuiteError."""
    async with echo_server() as port:
        server = {"agent": SERVER, "url": f"ws://127.0.0.1:{port}"}
        with suite.started("client", servers=[server]) as process:
            code = await asyncio.to_thread(process.wait)  # which SIGALRM bounds
    if code:
        raise suite.error(f"it ended with {code}")


def examine(python: Path, name: str, keep: Path | None) -> tuple[Results, list[str]]:
    """The verdicts on one agent, and what is wrong with them."""
    with _folder(keep, name) as folder:
        suite = Suite(python, folder, SECONDS + 10)
        if name == SERVER:
            asyncio.run(examine_server(suite))
        else:
            examine_client(suite, name)
        results = read_results(folder, name)
        return results, results.faults(folder)


@contextmanager
def _folder(keep: Path | None, name: str) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="autobahn-") as made:
            yield Path(made)
    else:
        folder = keep.absolute() / name
        folder.mkdir(parents=True)
        yield folder


def main() -> int:
    """Everything, in order."""
    agents = [*BACKENDS, SERVER]
    parser = argparse.ArgumentParser(prog="python -m tools.autobahn", description=__doc__)
    parser.add_argument("agents", nargs="*", metavar="AGENT", help=f"some of {', '.join(agents)}")
    parser.add_argument("--home", type=Path, default=HOME, help="where the suite is installed")
    parser.add_argument("--keep", type=Path, help="keep the suite's reports, in this new folder")
    given = parser.parse_args()
    if unknown := set(given.agents) - set(agents):
        parser.error(f"no such agent: {', '.join(sorted(unknown))}")
    # so that it clears up as after Ctrl-C
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    found: list[Results] = []
    faults: list[str] = []
    try:
        python = install(find_python27(os.environ), given.home.absolute())
        for name in given.agents or agents:
            print(f"{name}: ", end="", flush=True)
            began = time.monotonic()
            results, wrong = examine(python, name, given.keep)
            print(f"{len(results.verdicts)} cases in {time.monotonic() - began:.0f} s", flush=True)
            found.append(results)
            faults += wrong
    except (NoPython27Error, SetUpError, SuiteError) as error:
        print(f"\nthe conformance suite cannot be run: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print("\n".join(["", table(found), "", *(faults or ["No case failed and none is missing."])]))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
