"""The chaos mode of `smallest-proto serve`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from loopback.chaos.ends import converse
from smallest_proto.errors import ProtocolError
from smallest_transports.loopback.chaos_schedule import ChaosSchedule, Kind
from sockets import WITHIN, free_port, run

ROOT = Path(__file__).parents[3]


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    paths = [str(ROOT), str(ROOT / "transports"), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "smallest_transports.cli", "serve", "--engine", "scripted", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONASYNCIODEBUG": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_serve_has_a_chaos_mode() -> None:
    port = free_port()
    with command("--port", str(port), "--chaos", "1", "--chaos-drops", "2") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert f"http://127.0.0.1:{port}/waves/v1" in line
        assert "chaos of seed 1" in line
        url = f"http://127.0.0.1:{port}/waves/v1"

        async def main() -> None:
            while True:  # until the two drops are over
                with suppress(ProtocolError):
                    for _ in range(8):
                        await converse(url)
                    return

        run(main())
        process.terminate()
        _, told = process.communicate(timeout=WITHIN)
        assert process.returncode == 0
        for mishap in ChaosSchedule.from_seed(1, drops=2).mishaps:
            if mishap.kind is Kind.CLOSE_AT_ONCE:
                assert f"connection {mishap.connection}: {mishap}" in told
        assert "connection 2: accepted" in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--chaos-drops", "3"], "--chaos"),
        (["--chaos", "-1"], "seed=-1"),
        (["--chaos", "1", "--chaos-drops", "-1"], "drops=-1"),
        (["--chaos", "1", "--port", "70000"], "port=70000"),
    ],
)
def test_bad_settings_of_the_command_are_one_line(arguments: list[str], words: str) -> None:
    with command(*arguments) as process:
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err.count("\n")) == (2, 1)
    assert words in err
