"""Installing the conformance suite for Python 2.7, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")

VIRTUALENV = "virtualenv<20.22"
"""The last one that makes environments of Python 2.7; it brings the pip that goes with it."""


class SetUpError(Exception):
    """A step of the installation failed; the text holds what it printed."""


def install(python: Path, folder: Path) -> Path:
    """Set the suite up below `folder`, unless it is there, and return the interpreter that runs it.

    Raises SetUpError.
    """
    tool, env, mark = folder / "virtualenv", folder / "env", folder / "installed.txt"
    installed = env / "bin" / "python"
    wanted = f"# {python}\n{REQUIREMENTS.read_text()}"
    if mark.is_file() and mark.read_text() == wanted and installed.exists():
        return installed
    mark.unlink(missing_ok=True)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([sys.executable, *pip, "--upgrade", "--target", str(tool), VIRTUALENV])
    make = ["-m", "virtualenv", "--quiet", "--clear", "--no-periodic-update"]
    _run([sys.executable, *make, "--python", str(python), str(env)], PYTHONPATH=str(tool))
    _run([str(installed), *pip, "--no-deps", "--requirement", str(REQUIREMENTS)])
    mark.write_text(wanted)
    return installed


def _run(command: list[str], **variables: str) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, env={**environ, **variables}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SetUpError(f"{' '.join(command)}\n{done.stdout}\nexit code {done.returncode}")
