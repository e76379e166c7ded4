"""Importing the plugin costs next to nothing beside LiveKit, and versions agree."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from livekit.plugins import smallest

ROOT = Path(__file__).parents[2]
MOST = 100_000
"""Microseconds on top of `import livekit.agents`."""

SHARE = 0.1
"""Or that part of what `livekit.agents` itself takes, which is 1.3 s where nothing else runs."""

CODE = "import livekit.agents, livekit.plugins.smallest"


def cost() -> tuple[int, int]:
    """Microseconds of the framework's import and of the plugin's own."""
    command = [sys.executable, "-X", "importtime", "-c", CODE]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    names = ("livekit.agents", "livekit.plugins.smallest")
    framework, own = (re.search(rf"\| +(\d+) \| +{name}$", report, re.MULTILINE) for name in names)
    assert framework
    assert own
    return int(framework[1]), int(own[1])


def test_importing_is_quick() -> None:
    tries = (cost() for _ in range(5))  # a busy machine: one quick time will do
    assert any(own < max(MOST, SHARE * framework) for framework, own in tries)


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
