"""The command line in this process, and what it needs."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from ended import Command, Ended
from http_faults import HASTY
from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_transports.audio_files import write_wav
from smallest_transports.cli import main
from smallest_transports.loopback import serve
from sockets import QUICK, hosted


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a test can wait for."""
    monkeypatch.setattr("smallest_transports._connect.Limits", lambda: QUICK)
    monkeypatch.setattr("smallest_transports.commands.transcribe.LIMITS", QUICK)
    for command in ("batch", "say"):
        monkeypatch.setattr(f"smallest_transports.commands.{command}.LIMITS", HASTY)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with hosted(serve()) as server:
        yield server.url


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    write_wav(path, bytes(2 * 24000 * 3), 24000)
    return path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command line in this process."""

    def run(*argv: object) -> Ended:
        with warnings.catch_warnings():
            try:
                code = main([str(arg) for arg in argv])
            except SystemExit as exit:
                code = int(str(exit.code))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
