"""Importing the plugin brings little beside LiveKit, and versions agree."""

import subprocess
import sys
import tomllib
from pathlib import Path

from livekit.plugins import smallest

ROOT = Path(__file__).parents[2]
CODE = "import livekit.agents, livekit.plugins.smallest"


def test_importing_brings_no_aiohttp_transport_and_no_local_server() -> None:
    code = f"import sys; {CODE}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not [
        name
        for name in loaded
        if name.startswith(("smallest_transports.aiohttp", "smallest_transports.loop"))
    ]


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert smallest.__version__ == project["version"]
