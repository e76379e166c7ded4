"""`smallest-proto serve` as a process: it says where it is, and ends when it is told to."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smallest_proto.errors import ConnectionLost
from smallest_proto.pulse import StreamEnded
from smallest_transports.asyncio import connect_pulse
from sockets import run

WITHIN = 30
ROOT = Path(__file__).parents[2]


@contextmanager
def server(*arguments: str, stdin: int | None = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    paths = [str(ROOT), str(ROOT / "transports"), *filter(None, [os.environ.get("PYTHONPATH")])]
    process = subprocess.Popen(
        [sys.executable, "-m", "smallest_transports.cli", "serve", "--engine", "scripted", *arguments],
        stdin=stdin,
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


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"http://127\.0\.0\.1:\d+/waves/v1", line)
    assert match, line
    return match[0]


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=WITHIN)
    return process.returncode, err


async def converse(url: str) -> None:
    async with connect_pulse(base_url=url) as stream:
        await stream.send_audio(bytes(32000))
        await stream.end_input()
        assert [event async for event in stream][-1] == StreamEnded(confirmed=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with server() as process:
        url = address(process)
        run(converse(url))
        process.send_signal(number)
        assert end_of(process) == (0, "")


def test_a_signal_ends_it_cleanly_while_a_client_is_connected() -> None:
    async def main(process: subprocess.Popen[str], url: str) -> None:
        async with connect_pulse(base_url=url) as stream:
            await stream.send_audio(bytes(32000))
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionLost):
                await all_of(stream)
        assert await asyncio.to_thread(end_of, process) == (0, "")

    async def all_of(stream: object) -> None:
        async for _ in stream:  # type: ignore[attr-defined]  # a PulseStream
            pass

    with server() as process:
        run(main(process, address(process)))


def test_the_end_of_standard_input_ends_it() -> None:
    with server("--until-eof", stdin=subprocess.PIPE) as process:
        run(converse(address(process)))
        assert process.stdin is not None
        process.stdin.write("this is read and means nothing\n")
        process.stdin.flush()
        assert process.poll() is None
        assert end_of(process) == (0, "")  # communicate closes its standard input


def test_without_standard_input_until_eof_ends_at_once() -> None:
    with server("--until-eof") as process:
        assert end_of(process) == (0, "")


def test_an_end_of_standard_input_means_nothing_otherwise() -> None:
    with server() as process:
        run(converse(address(process)))
        assert process.poll() is None


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with server("--port", str(taken.getsockname()[1])) as process:
            code, err = end_of(process)
    assert code == 1
    assert err.startswith("smallest-proto: ")
    assert err.count("\n") == 1
    assert "in use" in err


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--port", "70000"], "port"), (["--api-key", ""], "api_key")]
)
def test_bad_settings_are_one_line(arguments: list[str], words: str) -> None:
    with server(*arguments) as process:
        code, err = end_of(process)
    assert code == 2
    assert err.count("\n") == 1
    assert words in err
