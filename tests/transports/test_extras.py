"""A transport whose package is not installed says what to install."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["aiohttp", "anyio", "trio"])
def test_the_import_says_what_to_install(name: str) -> None:
    code = f"import sys; sys.modules[{name!r}] = None; import smallest_transports.{name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ModuleNotFoundError: smallest_transports.{name} needs {name}: pip install 'smallest-proto[{name}]'"
    )
