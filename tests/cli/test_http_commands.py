"""`say --http`, `say --sse`, `transcribe --batch` and `voices` against a scripted local server."""

import json
import os
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from canary import CANARY
from ended import Command
from faults import Fault
from http_faults import CHUNKED, HASTY, HTTP_FAULTS, answered, read_whole_request
from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_transports.audio_files import read_audio, write_wav
from smallest_transports.loopback import serve
from sockets import Peer, hosted, raw_server

HEARD = "heard 2.0 seconds heard 3.0 seconds"


def arguments_of(name: str, clip: Path) -> list[object]:
    if name.startswith("say"):
        return ["say", "Good morning.", "-o", clip.with_name("out"), *name.split()[1:]]
    return ["transcribe", clip, "--batch"] if name == "batch" else ["voices"]


NAMES = pytest.mark.parametrize(
    "name", ["say --http", "say --http --format mp3", "say --sse", "batch", "voices"]
)


# say


@pytest.mark.parametrize("over", ["--http", "--sse"])
@pytest.mark.parametrize("rate", [8000, 24000])
def test_say_writes_the_same_file_over_everything(
    command: Command, url: str, tmp_path: Path, over: str, rate: int
) -> None:
    files = [tmp_path / "ws.wav", tmp_path / "other.wav"]
    for file, more in zip(files, ([], [over]), strict=True):
        ended = command("say", "Good morning.", "-o", file, "--base-url", url, "--rate", rate, *more)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith(f"{file}: 0.78 s of speech, the first after")
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("told", ["by format", "by name"])
@pytest.mark.parametrize(
    ("wanted", "length"),
    [("wav", "0.78 s"), ("pcm", "0.78 s"), ("ulaw", "0.78 s"), ("alaw", "0.78 s"), ("mp3", " bytes")],
)
def test_say_saves_other_formats_as_they_come(
    command: Command, url: str, tmp_path: Path, wanted: str, length: str, told: str
) -> None:
    output = tmp_path / f"out.{wanted}"
    more = ["--format", wanted] if told == "by format" else []
    ended = command("say", "Good morning.", "-o", output, "--base-url", url, "--http", *more)
    assert (ended.code, ended.err) == (0, "")
    assert length in ended.out
    if wanted == "wav":
        with wave.open(str(output)) as file:
            assert (file.getframerate(), file.getnframes()) == (24000, 18720)
    elif wanted == "mp3":
        assert read_audio(output).seconds == pytest.approx(0.78, abs=0.2)
    else:
        assert output.stat().st_size == 18720 * (2 if wanted == "pcm" else 1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--format", "mp3"], "--http"),
        (["--format", "wav", "--sse"], "--http"),
        (["--http", "--words"], "--words"),
        (["--sse", "--words"], "--words"),
        (["--http", "--rate", "7"], "--rate=7"),
        (["--http", "--base-url", "https://example.com"], API_KEY_VARIABLE),
    ],
)
def test_say_refuses_bad_input(
    command: Command, url: str, tmp_path: Path, more: list[str], words: str
) -> None:
    base = [] if "--base-url" in more else ["--base-url", url]
    ended = command("say", "Hi", "-o", tmp_path / "out", *base, *more)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.complaint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("more", [["--http", "--sse"], ["--http", "--format", "flac"]])
def test_what_the_parser_refuses(command: Command, tmp_path: Path, more: list[str]) -> None:
    ended = command("say", "Hi", "-o", tmp_path / "out", *more)
    assert ended.code == 2
    assert "usage:" in ended.err


def test_an_output_that_cannot_be_written(command: Command, url: str) -> None:
    ended = command("say", "Hi", "-o", "/dev/full", "--http", "--format", "pcm", "--base-url", url)
    assert ended.code == 2
    assert "/dev/full" in ended.complaint


def test_no_audio_is_no_file(command: Command, tmp_path: Path) -> None:
    with hosted(raw_server(answered(CHUNKED + b"0\r\n\r\n"))) as url:
        ended = command("say", "...", "-o", tmp_path / "out", "--http", "--base-url", url)
    assert ended.code == 2
    assert "nothing to say" in ended.complaint
    assert not list(tmp_path.iterdir())


# transcribe


def test_batch_prints_the_text(command: Command, url: str, clip: Path) -> None:
    for more in ([], ["--endpoint", "get_text"], ["--endpoint", "stt"]):
        ended = command("transcribe", clip, "--batch", "--base-url", url, *more)
        assert (ended.code, ended.out, ended.err) == (0, f"{HEARD}\n", "")


def test_batch_words(command: Command, url: str, clip: Path) -> None:
    ended = command("transcribe", clip, "--batch", "--words", "--base-url", url)
    assert ended.out.splitlines()[0] == HEARD
    assert [line.split()[3] for line in ended.out.splitlines()[1:]] == HEARD.split()


def test_batch_json_is_json(command: Command, url: str, clip: Path) -> None:
    ended = command("transcribe", clip, clip, "--batch", "--json", "--base-url", url)
    results = [json.loads(line) for line in ended.out.splitlines()]
    assert len(results) == 2
    for result in results:
        assert (result["file"], result["text"], result["duration"]) == (str(clip), HEARD, 3.0)
        assert [word["word"] for word in result["words"]] == HEARD.split()


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3", "aiff", "wav.bak"])
def test_files_go_as_they_are_or_as_pcm(command: Command, tmp_path: Path, suffix: str) -> None:
    seen: list[tuple[str, bytes]] = []

    async def answer(peer: Peer) -> None:
        body = await read_whole_request(peer)
        seen.append((peer.request, body))
        text = b'{"transcription":"yes"}'
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text)

    path = tmp_path / f"clip.{suffix}"
    kind = "WAV" if suffix == "wav.bak" else suffix.upper()
    soundfile.write(path, np.zeros(24000), 24000, format=kind)
    with hosted(raw_server(answer)) as url:
        ended = command("transcribe", path, "--batch", "--base-url", url)
    assert (ended.code, ended.out, ended.err) == (0, "yes\n", "")
    head, body = seen[0]
    if suffix in ("flac", "ogg", "mp3"):
        assert body == path.read_bytes()
        assert f"Content-Type: audio/{'mpeg' if suffix == 'mp3' else suffix}\r\n" in head
    else:
        assert "Content-Type: application/octet-stream\r\n" in head
        assert (body[:4], len(body)) == (b"RIFF", 44 + 32000)


def test_batch_goes_through_all_the_files(command: Command, url: str, clip: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.wav"
    ended = command("transcribe", clip, missing, clip, "--batch", "--base-url", url)
    assert ended.code == 2
    assert str(missing) in ended.complaint
    assert ended.out == f"{clip}:\n{HEARD}\n" * 2


@pytest.mark.parametrize("suffix", ["wav", "aiff"])
@pytest.mark.parametrize("kind", ["missing", "empty", "noise", "silent", "directory"])
def test_batch_refuses_what_is_no_sound(
    command: Command, url: str, tmp_path: Path, kind: str, suffix: str
) -> None:
    path = tmp_path / f"{kind}.{suffix}"
    if kind == "directory":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "noise":
        path.write_bytes(b"this is no sound at all " * 100)
    elif kind == "silent":
        write_wav(path, b"", 16000)
    ended = command("transcribe", path, "--batch", "--base-url", url)
    assert ended.out == ""
    if (kind, suffix) == ("silent", "wav"):  # only the server looks into a file that is what it says
        assert ended.code == 1
        assert "no samples" in ended.complaint
    else:
        assert ended.code == 2
        assert str(path) in ended.complaint


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--batch", "--realtime"], "--realtime"),
        (["--batch", "--no-resume"], "--no-resume"),
        (["--batch", "--endpoint", "live"], "--endpoint live"),
        (["--endpoint", "stt"], "--endpoint stt"),
        (["--batch", "--language", ""], "language"),
        (["--batch", "--base-url", "https://example.com"], API_KEY_VARIABLE),
    ],
)
def test_transcribe_refuses_bad_input(
    command: Command, url: str, clip: Path, more: list[str], words: str
) -> None:
    base = [] if "--base-url" in more else ["--base-url", url]
    ended = command("transcribe", clip, *base, *more)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.complaint


def test_a_promise_is_no_transcript(command: Command, clip: Path) -> None:
    body = b'{"status":"processing","request_id":"r"}'
    with hosted(raw_server(answered(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + body))) as url:
        ended = command("transcribe", clip, "--batch", "--base-url", url)
    assert (ended.code, ended.out) == (1, "")
    assert "promise" in ended.complaint


# voices


def test_voices(command: Command, url: str) -> None:
    ended = command("voices", "--base-url", url)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[0].split()[0] == "meher"
    ended = command("voices", "--json", "--base-url", url)
    assert [json.loads(line)["voice_id"] for line in ended.out.splitlines()] == ["meher", "sophia"]


def test_a_catalogue_cannot_steer_the_terminal(command: Command) -> None:
    body = b'{"voices":[{"voiceId":"a\\u001b[2J","displayName":"\\nB"}]}'
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with hosted(raw_server(answered(head + body))) as url:
        ended = command("voices", "--base-url", url)
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert ended.out.count("\n") == 1


STEERING = "\x1b]0;yours now\x07a\x9b2J\u202eb"


@pytest.mark.parametrize("more", [[], ["--words"]])
def test_a_transcript_cannot_steer_the_terminal(command: Command, clip: Path, more: list[str]) -> None:
    word = {"word": STEERING, "start": 0.0, "end": 1.0}
    body = json.dumps({"status": "success", "transcription": f"{STEERING}\nnext", "words": [word]}).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with hosted(raw_server(answered(head + body))) as url:
        ended = command("transcribe", clip, "--batch", "--base-url", url, *more)
    assert ended.code == 0
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(ended.out)
    assert ended.out.splitlines()[:2] == ["?]0;yours now?a?2J?b", "next"]


def test_a_file_may_have_a_name_that_is_no_unicode(command: Command, url: str, clip: Path) -> None:
    name = clip.rename(clip.parent / os.fsdecode(b"caf\xe9.wav"))
    for more in (["--batch"], []):
        ended = command("transcribe", name, "--json", "--base-url", url, *more)
        assert (ended.code, ended.err) == (0, "")
        assert json.loads(ended.out.splitlines()[0])["file"].endswith("caf?.wav")


# failures of the service


@NAMES
@pytest.mark.parametrize("fault", HTTP_FAULTS.values(), ids=HTTP_FAULTS.keys())
@pytest.mark.usefixtures("quick")
def test_a_failure_is_one_line_and_code_1(
    command: Command, clip: Path, name: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, f"  {CANARY} ")
    monkeypatch.setattr("smallest_transports._connect.Limits", lambda: HASTY)
    with hosted(raw_server(fault.behave)) as url:
        ended = command(*arguments_of(name, clip), "--base-url", url)
    assert (ended.code, ended.out) == (1, "")
    for field in ("message", "request_id"):
        assert str(fault.fields.get(field, "")) in ended.complaint
    assert CANARY not in ended.err
    assert not clip.with_name("out").exists()


async def echo(peer: Peer) -> None:
    await read_whole_request(peer)
    assert CANARY in peer.request
    body = f"\x1b[31mbad key\n {CANARY}".encode()
    peer.send(
        f"HTTP/1.1 401 No\r\nX-Request-Id: {CANARY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )


async def echo_in_event(peer: Peer) -> None:
    await read_whole_request(peer)
    body = f'event: error\ndata: {{"message":"\\u001b[2Jbad key {CANARY}"}}\n\n'.encode()
    peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


@pytest.mark.parametrize(
    ("name", "behave"),
    [
        ("say --http", echo),
        ("say --sse", echo),
        ("say --sse", echo_in_event),
        ("batch", echo),
        ("voices", echo),
    ],
)
@pytest.mark.usefixtures("quick")
def test_a_server_can_neither_show_the_key_nor_steer_the_terminal(
    command: Command, clip: Path, name: str, behave: Callable[[Peer], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY_VARIABLE, f"  {CANARY} ")
    with hosted(raw_server(behave)) as url:  # type: ignore[arg-type]  # coroutine functions, both of them
        ended = command(*arguments_of(name, clip), "--base-url", url)
    assert ended.code == 1
    assert "***" in ended.complaint
    assert CANARY not in ended.err + ended.out
    assert "\x1b" not in ended.err + ended.out


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
