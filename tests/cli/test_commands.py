"""The commands against a scripted local server: what they print, what they write, and how they end."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from canary import CANARY
from command_process import COMMAND, WITHIN, environment
from ended import Command
from faults import FAULTS, Fault
from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_proto.pulse import FinalTranscript, InterimTranscript, Word
from smallest_transports.asyncio import TranscriptEvent
from smallest_transports.audio_files import write_wav
from smallest_transports.commands.display import PlainDisplay, TerminalDisplay
from smallest_transports.loopback import Faults, serve
from sockets import CLOSE, Peer, frame, hosted, raw_server


def assert_wav(path: Path, rate: int, seconds: float) -> None:
    """The file is WAV of 16-bit mono, this long."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, rate)
        assert file.getnframes() / rate == pytest.approx(seconds)


# say


def test_say_writes_a_wav_file(command: Command, url: str, tmp_path: Path) -> None:
    output = tmp_path / "out.wav"
    ended = command("say", "Good morning.", "-o", output, "--base-url", url)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"{output}: 0.78 s of speech")
    assert_wav(output, 24000, 0.78)


def test_say_takes_rate_speed_voice_and_words(command: Command, url: str, tmp_path: Path) -> None:
    output = tmp_path / "out.wav"
    ended = command(
        *("say", "Pay it now", "-o", output, "--base-url", url, "--rate", 8000, "--speed", 2),
        *("--words", "--voice", "sophia", "--model", "lightning_v3.1"),
    )
    assert (ended.code, ended.err) == (0, "")
    assert_wav(output, 8000, 0.3)
    assert [line.split()[2] for line in ended.out.splitlines()[:-1]] == ["Pay", "it", "now"]


def test_say_reads_standard_input(
    command: Command, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "text"
    text.write_text("Good morning.\n")
    output = tmp_path / "out.wav"
    with text.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert command("say", "-", "-o", output, "--base-url", url).code == 0
    assert_wav(output, 24000, 0.78)  # the line's end is not spoken


def test_standard_input_that_is_no_text(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_bytes(b"caf\xe9")
    with (tmp_path / "text").open(errors="surrogateescape") as file:  # as Python opens it
        monkeypatch.setattr(sys, "stdin", file)
        ended = command("say", "-", "-o", tmp_path / "out.wav")
    assert (ended.code, ended.complaint) == (2, "standard input: expected text in UTF-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["", "-o", "out.wav"], "TEXT is empty"),
        ([" \n", "-o", "out.wav"], "TEXT is empty"),
        (["Hi", "-o", "missing/out.wav"], "missing/out.wav"),
        (["Hi", "-o", "."], "directory"),
        (["Hi", "-o", "out.wav", "--rate", "7"], "--rate=7: expected one of 8000"),
        (["Hi", "-o", "out.mp3"], "out.mp3: expected --http"),
        (["Hi", "-o", "out.wav", "--speed", "9"], "--speed=9.0: expected"),
        (["Hi", "-o", "out.wav", "--speed", "nan"], "speed"),
        (["Hi", "-o", "out.wav", "--language", ""], "language"),
        (["Hi", "-o", "out.wav", "--voice", ""], "--voice=''"),
        (["Hi", "-o", "out.wav", "--base-url", "nonsense"], "--base-url='nonsense'"),
        (["Hi", "-o", "out.wav", "--base-url", ""], "--base-url is not a URL"),
        (["Hi", "-o", "out.wav", "--base-url", "https://user:secret@host"], "--base-url holds"),
        (["Hi", "-o", "out.wav", "--base-url", "https://example.com"], f"no API key: set {API_KEY_VARIABLE}"),
    ],
)
def test_say_refuses_bad_input(
    command: Command,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "--base-url" not in arguments:
        arguments = [*arguments, "--base-url", url]
    ended = command("say", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.complaint
    assert "secret" not in ended.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [["say"], ["say", "Hi"], ["say", "Hi", "-o", "x", "--rate", "fast"], [], ["sing"]]
)
def test_what_the_parser_refuses(command: Command, arguments: list[str]) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert "usage:" in ended.err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["say", "--help"], ["transcribe", "--help"], ["serve", "--help"]]
)
def test_help(command: Command, arguments: list[str]) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.err) == (0, "")
    assert "usage:" in ended.out


# transcribe


def test_transcribe_prints_the_finals(command: Command, url: str, clip: Path) -> None:
    ended = command("transcribe", clip, "--base-url", url)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.split("\n")[:2] == ["heard 2.0 seconds", "heard 3.0 seconds"]


def test_what_is_heard_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    steering, terminal = "\x1b]0;yours now\x07a", io.StringIO()
    word = Word(word=steering, start=0.0, end=1.0, confidence=0.5)
    events: list[TranscriptEvent] = [
        InterimTranscript(text=steering),
        FinalTranscript(text=steering, words=(word,)),
    ]
    console = Console(file=terminal, force_terminal=True, width=60)
    with TerminalDisplay(console, "clip", 1.0, words=True) as display:
        for event in events:
            display.show(event)
    plain = PlainDisplay(interims=True, words=True)
    for event in events:
        plain.show(event)
    for out in (terminal.getvalue(), capsys.readouterr().out):
        assert out.count("?]0;yours now?a") >= 2
        assert "\x1b]" not in out
        assert "\x07" not in out


@pytest.mark.parametrize("endpoint", ["get_text", "live", "transcribe"])
def test_transcribe_json_is_json(command: Command, url: str, clip: Path, endpoint: str) -> None:
    ended = command("transcribe", clip, "--base-url", url, "--json", "--endpoint", endpoint)
    assert (ended.code, ended.err) == (0, "")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert {event["file"] for event in events} == {str(clip)}
    assert events[-1]["event"] == "StreamEnded"
    assert events[-1]["confirmed"] is True
    finals = [event for event in events if event["event"] == "FinalTranscript"]
    assert finals[0]["text"] == "heard 2.0 seconds"
    assert finals[0]["words"][0] == {
        "word": "heard",
        "start": 0.0,
        "end": pytest.approx(0.667, abs=0.001),
        "confidence": 1.0,
    }
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_transcribe_words(command: Command, url: str, clip: Path) -> None:
    ended = command("transcribe", clip, "--base-url", url, "--words")
    assert ended.code == 0
    assert ended.out.splitlines()[1].split() == ["0.00", "0.67", "1.00", "heard"]


def test_transcribe_realtime_takes_its_time_and_shows_interims(
    command: Command, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "short.wav"
    write_wav(path, bytes(2 * 16000 * 11 // 10), 16000)
    ended = command("transcribe", path, "--base-url", url, "--realtime", "--json")
    assert ended.code == 0
    events = [json.loads(line) for line in ended.out.splitlines()]
    interim = next(event for event in events if event["event"] == "InterimTranscript")
    assert 0.9 <= interim["at"] < 5
    assert events[-1]["at"] >= 1.0
    plain = command("transcribe", path, "--base-url", url, "--realtime")
    assert "  ... heard 1.0 seconds" in plain.out.splitlines()


def test_transcribe_goes_through_all_the_files(
    command: Command, url: str, clip: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.wav"
    ended = command("transcribe", clip, missing, clip, "--base-url", url)
    assert ended.code == 2
    assert str(missing) in ended.complaint
    assert ended.out.count(f"{clip}:\n") == 2
    assert ended.out.count("heard 3.0 seconds") == 2


def bad_files(folder: Path) -> dict[str, Path]:
    made = {name: folder / f"{name}.wav" for name in ("missing", "empty", "noise", "silent", "cut")}
    directory = folder / "directory"
    directory.mkdir()
    made["empty"].touch()
    made["noise"].write_bytes(b"this is no sound at all " * 100)
    write_wav(made["silent"], b"", 16000)
    made["cut"].write_bytes(b"RIFF\x24\x00\x00\x00WAVE")
    return made | {"directory": directory}


@pytest.mark.parametrize("kind", ["missing", "empty", "noise", "silent", "cut", "directory"])
def test_transcribe_refuses_what_is_no_sound(command: Command, url: str, tmp_path: Path, kind: str) -> None:
    path = bad_files(tmp_path)[kind]
    ended = command("transcribe", path, "--base-url", url)
    assert (ended.code, ended.out) == (2, "")
    assert str(path) in ended.complaint


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--language", ""], "language"),
        (["--base-url", "nonsense"], "--base-url='nonsense'"),
        (["--base-url", "https://example.com"], API_KEY_VARIABLE),
    ],
)
def test_transcribe_refuses_bad_input(command: Command, clip: Path, arguments: list[str], words: str) -> None:
    if "--base-url" not in arguments:
        arguments = [*arguments, "--base-url", "http://127.0.0.1:9"]
    ended = command("transcribe", clip, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.complaint


def test_an_unknown_language_is_a_warning_that_quiet_silences(command: Command, clip: Path) -> None:
    arguments = ("transcribe", clip, "--base-url", "http://127.0.0.1:9", "--language", "tlh")
    assert command(*arguments).err.startswith("smallest-proto: warning: language='tlh'")
    assert "warning" not in command("--quiet", *arguments).err


# failures of the service


def arguments_of(name: str, clip: Path) -> list[object]:
    return (
        ["say", "Good morning.", "-o", clip.with_name("out.wav")]
        if name == "say"
        else ["transcribe", "--no-resume", clip]
    )


NAMES = pytest.mark.parametrize("name", ["say", "transcribe"])


@NAMES
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.usefixtures("quick")
def test_a_failure_is_one_line_and_code_1(
    command: Command, clip: Path, name: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, f"  {CANARY} ")
    with hosted(raw_server(fault.behave)) as url:
        ended = command(*arguments_of(name, clip), "--base-url", url)
    assert ended.code == 1
    complaint = ended.complaint
    for field in ("message", "request_id"):
        assert str(fault.fields.get(field, "")) in complaint
    assert CANARY not in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert not clip.with_name("out.wav").exists()


def test_a_lost_connection_is_told_and_made_good(command: Command, clip: Path) -> None:
    faults = [Faults(after_seconds=1.0, reset=True), Faults()]
    with hosted(serve(faults=faults)) as server:
        ended = command("transcribe", clip, "--base-url", server.url)
    assert ended.code == 0
    assert ended.complaint.endswith("going on with another connection")
    assert "heard" in ended.out


async def echo_in_refusal(peer: Peer) -> None:
    await peer.refuse(401, f"\x1b[31mbad key\n {CANARY}".encode(), X_Request_Id=CANARY)


async def echo_in_close(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.send(frame(CLOSE, b"\x03\xf0" + CANARY.encode()))
    await peer.until_gone()


async def echo_in_message(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.text({"status": "error", "type": "error", "message": f"bad key\r\n\x1b[2J{CANARY}"})
    await peer.until_gone()


@NAMES
@pytest.mark.parametrize("behave", [echo_in_refusal, echo_in_close, echo_in_message])
@pytest.mark.usefixtures("quick")
def test_a_server_can_neither_show_the_key_nor_steer_the_terminal(
    command: Command, clip: Path, name: str, behave: Callable[[Peer], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, f"  {CANARY} ")
    with hosted(raw_server(behave)) as url:  # type: ignore[arg-type]  # coroutine functions, all of them
        ended = command(*arguments_of(name, clip), "--base-url", url)
    assert ended.code == 1
    assert "***" in ended.complaint
    assert CANARY not in ended.err + ended.out
    assert "\x1b" not in ended.err + ended.out


@NAMES
def test_a_server_that_is_down(command: Command, clip: Path, name: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        ended = command(*arguments_of(name, clip), "--base-url", f"http://127.0.0.1:{port}")
    assert (ended.code, ended.out) == (1, "")
    assert ended.complaint == f"cannot connect to 127.0.0.1 port {port}: Connection refused"


@NAMES
def test_a_key_that_the_server_refuses(
    command: Command, clip: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, CANARY)
    with hosted(serve(api_key="another")) as server:
        ended = command(*arguments_of(name, clip), "--base-url", server.url)
    assert (ended.code, ended.out) == (1, "")
    assert "401" in ended.complaint
    assert CANARY not in ended.err


@pytest.mark.usefixtures("quick")
def test_an_end_that_nobody_confirms_is_a_failure(command: Command, clip: Path) -> None:
    async def never_last(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        await peer.until_gone()

    with hosted(raw_server(never_last)) as url:
        ended = command("transcribe", clip, "--base-url", url)
    assert ended.code == 1
    assert "last transcript" in ended.complaint


def test_an_output_that_cannot_be_written(command: Command, url: str) -> None:
    ended = command("say", "Hi", "-o", "/dev/full", "--base-url", url)
    assert ended.code == 2
    assert "/dev/full" in ended.complaint


# in a process of its own


def test_broken_pipes_are_quiet(url: str, clip: Path) -> None:
    head = subprocess.run(
        [
            "sh",
            "-c",
            '"$@" | head -n 1',
            "sh",
            *COMMAND,
            "transcribe",
            *[str(clip)] * 3,
            "--json",
            "--base-url",
            url,
        ],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=WITHIN,
    )
    assert json.loads(head.stdout)["file"] == str(clip)
    assert head.stderr == ""


def test_output_that_nobody_reads_is_quiet(url: str, tmp_path: Path) -> None:
    gone, ours = os.pipe()
    os.close(gone)
    ended = subprocess.run(
        [*COMMAND, "say", "Hi.", "-o", str(tmp_path / "out.wav"), "--base-url", url],
        stdout=ours,
        stderr=subprocess.PIPE,
        env=environment(),
        timeout=WITHIN,
    )
    os.close(ours)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_ctrl_c_is_quiet_too(url: str, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    write_wav(path, bytes(2 * 16000 * 60), 16000)
    running = subprocess.Popen(
        [*COMMAND, "transcribe", str(path), "--realtime", "--json", "--base-url", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # a shell's background jobs ignore Ctrl-C, and their children would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=WITHIN)[1] == ""
        assert running.returncode == 130
    finally:
        running.kill()
        running.communicate()


def test_help_needs_no_audio_libraries() -> None:
    script = (
        "import sys\n"
        "for name in ('numpy', 'soundfile', 'soxr', 'rich', 'jiwer', 'pocketsphinx', 'hibari'):\n"
        "    sys.modules[name] = None\n"
        "from smallest_transports.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )

    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, *argv],
            capture_output=True,
            text=True,
            env=environment(),
            timeout=WITHIN,
        )

    ended = run("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    for argv in (["transcribe", __file__, "--base-url", "http://127.0.0.1:9"], ["demo"], ["serve"]):
        ended = run(*argv)
        assert ended.returncode != 0
        assert "pip install" in ended.stderr
        assert ended.stderr.count("\n") == 1
