"""The examples do what they say, in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from smallest_proto.wav import wav_file
from smallest_transports.loopback import serve
from sockets import hosted

ROOT = Path(__file__).parents[1]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / script), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_every_session_vector_replays() -> None:
    done = run("replay_vectors.py")
    assert done.returncode == 0, done.stdout + done.stderr
    sessions = sum(
        1 for name in ("pulse", "lightning") for _ in (ROOT / "tests/vectors" / name).glob("*.json")
    )
    assert done.stdout.split() == [str(sessions), "sessions,", "0", "failures"]


def test_a_session_that_comes_out_differently_is_reported(tmp_path: Path) -> None:
    source = ROOT / "tests/vectors/pulse/example_26_1_two_turns.json"
    vector = json.loads(source.read_text("utf-8"))
    vector["events"]["default"].pop()
    (tmp_path / "pulse").mkdir()
    (tmp_path / "pulse" / source.name).write_text(json.dumps(vector), "utf-8")
    done = run("replay_vectors.py", str(tmp_path))
    assert done.returncode == 1
    assert "example_26_1_two_turns (default)" in done.stdout
    assert done.stdout.endswith("1 sessions, 1 failures\n")


def test_a_close_that_is_wanted_with_another_code_is_reported(tmp_path: Path) -> None:
    source = ROOT / "tests/vectors/pulse/example_26_16_direct_server.json"
    (tmp_path / "pulse").mkdir()
    text = source.read_text("utf-8")
    assert '"wants_close": 1000' in text
    (tmp_path / "pulse" / source.name).write_text(
        text.replace('"wants_close": 1000', '"wants_close": 1011'), "utf-8"
    )
    done = run("replay_vectors.py", str(tmp_path))
    assert done.returncode == 1


def test_a_folder_without_sessions_is_a_failure(tmp_path: Path) -> None:
    done = run("replay_vectors.py", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout) == (1, "0 sessions, 0 failures\n")


@pytest.mark.parametrize("loop", ["asyncio", "trio", "anyio"])
def test_a_file_is_transcribed_in_twelve_lines(loop: str, tmp_path: Path) -> None:
    script = f"transcribe_{loop}.py"
    lines = (ROOT / "examples" / script).read_text("utf-8").splitlines()
    assert sum(1 for line in lines if line and not line.startswith('"""')) <= 12
    (tmp_path / "speech.wav").write_bytes(wav_file(bytes(2 * 8000 * 3), 8000))
    with hosted(serve()) as server:
        done = run(script, str(tmp_path / "speech.wav"), server.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "heard 2.0 seconds heard 3.0 seconds\n"
