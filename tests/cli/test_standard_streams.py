"""Standard input, output and error: pipes, closed ones, narrow encodings, and names that would steer the terminal."""

import io
import json
import os
import signal
import subprocess
import wave
from pathlib import Path

import pytest
from rich.console import Console

from command_process import COMMAND, WITHIN, environment, ran
from ended import Command
from serve_command import serve_command
from smallest_transports.commands.display import TerminalDisplay

PIPE_HOLDS = 64 * 1024


def seconds_of(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        return float(file.getnframes() / file.getframerate())


# pipes


@pytest.mark.parametrize("more", [[], ["--batch"]], ids=["stream", "batch"])
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_recording_may_come_out_of_a_pipe(url: str, clip: Path, name: str, more: list[str]) -> None:
    expected = ran("transcribe", clip, "--base-url", url, *more)
    assert expected.returncode == 0
    ended = ran("transcribe", name, "--base-url", url, *more, given=clip.read_bytes())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, expected.stdout, b"")


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/null"])
def test_a_pipe_that_brings_nothing(url: str, name: str) -> None:
    ended = ran("transcribe", name, "--base-url", url)
    assert (ended.returncode, ended.stdout) == (2, b"")
    called = "standard input" if name == "-" else name
    assert ended.stderr.decode() == f"smallest-proto: {called}: is empty\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_speech_may_go_into_a_pipe(url: str, name: str) -> None:
    ended = ran("say", "Good morning.", "--words", "-o", name, "--base-url", url)
    assert ended.returncode == 0
    assert seconds_of(ended.stdout) == pytest.approx(0.78)
    *words, last = ended.stderr.decode().splitlines()
    assert [line.split()[2] for line in words] == ["Good", "morning."]
    assert last.startswith(f"{name}: 0.78 s of speech")
    raw = ran("say", "Good morning.", "-o", name, "--http", "--format", "pcm", "--base-url", url)
    assert ended.stdout.endswith(raw.stdout)
    assert len(raw.stdout) == len(ended.stdout) - 44


def until_it_sleeps(process: int) -> None:
    """A signal on the way to a call of the system would be heeded after it."""
    status = Path(f"/proc/{process}/stat")
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] not in "SZ":
        pass


@pytest.mark.parametrize(
    "arguments", [["say", "-", "-o", "x.wav"], ["transcribe", "-"], ["transcribe", "-", "--batch"]]
)
def test_ctrl_c_ends_waiting_for_standard_input(tmp_path: Path, arguments: list[str]) -> None:
    running = subprocess.Popen(
        [*COMMAND, *arguments, "--base-url", "http://127.0.0.1:9"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert running.stdin is not None
        running.stdin.write(bytes(2 * PIPE_HOLDS))  # through only once the command reads
        running.stdin.flush()
        until_it_sleeps(running.pid)
        running.send_signal(signal.SIGINT)
        assert running.wait(WITHIN) == 130
        assert running.communicate()[1] == b""
    finally:
        running.kill()
        running.communicate()


# closed, full, narrow


@pytest.mark.parametrize(
    ("arguments", "redirect", "code", "words"),
    [
        (["serve", "--list-faults"], ">&-", 0, b""),
        (["serve", "--list-faults"], "2>&-", 0, b""),
        (["serve", "--fault", "nonsense"], ">&- 2>&-", 2, b""),
        (
            ["say", "-", "-o", "x.wav"],
            "<&-",
            2,
            b"smallest-proto: TEXT is empty: expected something to say\n",
        ),
        (["transcribe", "-"], "<&-", 2, b"smallest-proto: standard input: is empty\n"),
    ],
)
def test_closed_streams(arguments: list[str], redirect: str, code: int, words: bytes) -> None:
    ended = ran(*arguments, redirect=redirect)
    assert (ended.returncode, ended.stderr) == (code, words)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_has_no_room() -> None:
    ended = ran("serve", "--list-faults", redirect="> /dev/full")
    assert ended.returncode == 1
    assert ended.stderr == b"smallest-proto: standard output: [Errno 28] No space left on device\n"


def test_a_narrow_encoding_escapes(url: str, tmp_path: Path) -> None:
    output = tmp_path / "o.wav"
    ended = ran("say", "नमस्ते", "--words", "-o", output, "--base-url", url, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert rb"\u0928\u092e" in ended.stdout


def test_json_is_utf_8_in_any_encoding(url: str, clip: Path) -> None:
    named = clip.rename(clip.with_name("नमस्ते é 😀.wav"))
    ended = ran("transcribe", named, "--batch", "--json", "--base-url", url, PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)["file"] == str(named)
    assert "नमस्ते é 😀".encode() in ended.stdout


def test_a_text_that_is_none(url: str, tmp_path: Path) -> None:
    ended = ran("say", b"hi \xff", "-o", tmp_path / "o.wav", "--base-url", url)
    assert (ended.returncode, ended.stderr) == (2, b"smallest-proto: TEXT: expected text in UTF-8\n")


def test_chaos_does_not_need_a_reader() -> None:
    with serve_command("--chaos", "3", "--chaos-drops", "0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        process.stderr.close()
        for _ in range(2):
            assert ran("voices", "--base-url", url).returncode == 0


# names


@pytest.mark.parametrize("name", ["a[/b].wav", "[live].wav"])
def test_a_name_is_no_markup(name: str) -> None:
    screen = io.StringIO()
    with TerminalDisplay(
        Console(file=screen, force_terminal=True, width=100), name, 1.0, words=False
    ) as display:
        display.sent(0.5)
    assert name in screen.getvalue()


@pytest.mark.parametrize("more", [[], ["--batch"]], ids=["stream", "batch"])
def test_a_name_cannot_steer_the_terminal(
    command: Command, url: str, clip: Path, tmp_path: Path, more: list[str]
) -> None:
    named = clip.rename(clip.with_name("red\x1b[31m.wav"))
    ended = command("transcribe", named, tmp_path / "no\x1b[31m.wav", "--base-url", url, *more)
    assert ended.code == 2
    assert f"{tmp_path}/red?[31m.wav:" in ended.out
    assert f"{tmp_path}/no?[31m.wav: no such file" in ended.err
    ended = command("say", "Hi", "-o", tmp_path / "o\x1b[31m.wav", "--base-url", url)
    assert ended.out.startswith(f"{tmp_path}/o?[31m.wav: ")


def test_the_current_folder_is_not_where_modules_come_from(tmp_path: Path) -> None:
    (tmp_path / "h11.py").write_text("raise SystemExit('imported from the current folder')")
    ended = subprocess.run(
        [*COMMAND[:1], "-P", *COMMAND[1:], "voices"],
        cwd=tmp_path,
        capture_output=True,
        env=environment(SMALLEST_API_KEY=""),
        timeout=60,
    )
    assert (ended.returncode, b"imported" in ended.stderr) == (0, False)
