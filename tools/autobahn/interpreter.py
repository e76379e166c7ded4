"""Finding a Python 2.7, the only one that the conformance suite runs on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

VARIABLE = "AUTOBAHN_PYTHON"
COMMANDS = ("python2.7", "pypy2.7", "pypy2", "pypy", "python2")

HELP = f"""\
The conformance suite (autobahntestsuite 25.10.1) runs on Python 2.7 only, and none was found. Install one:

    pyenv install 2.7.18        (or pypy2.7-7.3.22, which needs no compiler)
    apt install python2.7       (Debian 11, Ubuntu 22.04 and older)

or say where it is: make autobahn {VARIABLE}=/path/to/python2.7

Tried: """


class NoPython27Error(Exception):
    """There is none; the text says what to install."""


def find_python27(environ: Mapping[str, str]) -> Path:
    """The interpreter named by AUTOBAHN_PYTHON, else the first on the PATH or of pyenv that is a 2.7 and runs.

    Raises NoPython27Error.
    """
    if named := environ.get(VARIABLE):
        where = shutil.which(os.path.expanduser(named), path=environ.get("PATH"))
        if where is None or not runs_as_27(where):
            raise NoPython27Error(f"{VARIABLE}={named}: this is no Python 2.7 that runs")
        return Path(where)
    tried = []
    for candidate in _candidates(environ):
        if runs_as_27(candidate):
            return Path(candidate)
        tried.append(candidate)
    raise NoPython27Error(HELP + (", ".join(tried) or f"{', '.join(COMMANDS)} and pyenv; none is there"))


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    path = environ.get("PATH")
    for command in COMMANDS:
        if found := shutil.which(command, path=path):
            yield found  # may be a shim of pyenv that runs nothing
    for root in dict.fromkeys(_pyenv_roots(environ)):
        for pattern in ("versions/2.7*/bin/python2.7", "versions/pypy2.7*/bin/pypy"):
            yield from map(str, sorted(root.glob(pattern), reverse=True))


def _pyenv_roots(environ: Mapping[str, str]) -> Iterator[Path]:
    if root := environ.get("PYENV_ROOT"):
        yield Path(root)
    pyenv = shutil.which("pyenv", path=environ.get("PATH"))
    if pyenv and (answer := _output(pyenv, "root")):
        yield Path(answer)
    if home := environ.get("HOME"):
        yield Path(home, ".pyenv")


def runs_as_27(program: str) -> bool:
    """Whether the program starts, and says that it is Python 2.7."""
    return _output(program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])") == "2.7"


def _output(*command: str) -> str:
    """What it prints, "" when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
