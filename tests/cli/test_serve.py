"""`smallest-proto serve` as a process: it says where it is, and ends when it is told to."""

import asyncio
import re
import signal
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from serve_command import serve_command
from smallest_proto.errors import ConnectFailed, ConnectionLost, HandshakeRejected
from smallest_proto.events import ConnectionClosed
from smallest_proto.pulse import StreamEnded
from smallest_transports.asyncio import PulseStream, connect_lightning, connect_pulse
from smallest_transports.loopback.faults import FAULTS
from sockets import run

WITHIN = 30


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"http://127\.0\.0\.1:\d+/waves/v1|https://localhost:\d+/waves/v1", line)
    assert match, line
    return match[0]


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=WITHIN)
    return process.returncode, err


async def converse(url: str, context: ssl.SSLContext | None = None) -> None:
    async with connect_pulse(base_url=url, api_key="any", ssl_context=context, resume=False) as stream:
        await stream.send_audio(bytes(32000))
        await stream.end_input()
        assert [event async for event in stream][-1] == StreamEnded(confirmed=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with serve_command() as process:
        url = address(process)
        run(converse(url))
        process.send_signal(number)
        assert end_of(process) == (0, "")


@pytest.mark.parametrize(
    ("numbers", "drain"),
    [
        ([signal.SIGTERM], "0.2"),
        ([signal.SIGTERM, signal.SIGTERM], "60"),
        ([signal.SIGTERM, signal.SIGINT], "60"),
        ([signal.SIGINT], "60"),
    ],
)
def test_a_signal_ends_it_cleanly_while_a_client_is_connected(
    numbers: list[signal.Signals], drain: str
) -> None:
    async def main(process: subprocess.Popen[str], url: str) -> None:
        async with (
            connect_pulse(base_url=url, resume=False) as stream,
            connect_lightning(base_url=url) as idle,
        ):
            await stream.send_audio(bytes(32000))
            for number in numbers:
                process.send_signal(number)
                while await idle.next_event() is not None:  # signals that come together would count as one
                    pass
            with pytest.raises(ConnectionLost) as caught:
                await all_of(stream)
        assert caught.value.status == 1001
        assert await asyncio.to_thread(end_of, process) == (0, "")

    with serve_command("--drain", drain) as process:
        run(main(process, address(process)))


async def all_of(stream: PulseStream) -> list[object]:
    return [event async for event in stream]


def test_a_session_may_finish_after_sigterm() -> None:
    async def main(process: subprocess.Popen[str], url: str) -> None:
        idle = connect_lightning(base_url=url)
        async with idle, connect_pulse(base_url=url, resume=False) as stream:
            await stream.send_audio(bytes(32000))
            await anext(stream)
            process.send_signal(signal.SIGTERM)
            while (event := await idle.next_event()) is not None:
                assert isinstance(event, ConnectionClosed)
                assert event.code == 1001
            await stream.send_audio(bytes(32000))
            await stream.end_input()
            assert (await all_of(stream))[-1] == StreamEnded(confirmed=True)
            with pytest.raises(ConnectFailed):
                await connect_pulse(base_url=url, resume=False).__aenter__()
        assert await asyncio.to_thread(end_of, process) == (0, "")

    with serve_command("--drain", "20") as process:
        run(main(process, address(process)))


def test_the_end_of_standard_input_ends_it() -> None:
    with serve_command("--until-eof", stdin=subprocess.PIPE) as process:
        run(converse(address(process)))
        assert process.stdin is not None
        process.stdin.write("this is read and means nothing\n")
        process.stdin.flush()
        assert process.poll() is None
        assert end_of(process) == (0, "")  # communicate closes its standard input


def test_without_standard_input_until_eof_ends_at_once() -> None:
    with serve_command("--until-eof") as process:
        assert end_of(process) == (0, "")


def test_an_end_of_standard_input_means_nothing_otherwise() -> None:
    with serve_command() as process:
        run(converse(address(process)))
        assert process.poll() is None


def test_a_taken_port_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with serve_command("--port", str(taken.getsockname()[1])) as process:
            code, err = end_of(process)
    assert code == 1
    assert err.startswith("smallest-proto: ")
    assert err.count("\n") == 1
    assert "in use" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "port"),
        (["--api-key", ""], "api_key"),
        (["--max-connections", "0"], "max_connections"),
        (["--max-message-bytes", "0"], "max_message_bytes"),
        (["--drain", "-1"], "--drain"),
        (["--drain", "nan"], "--drain"),
        (["--fault", "what"], "stop_pongs"),
        (["--fault", "reject=99"], "reject"),
        (["--tls-key", "key.pem"], "--tls-cert"),
        (["--tls-cert", "missing.pem"], "No such file"),
        (["--tls-cert", __file__], "PEM"),
    ],
)
def test_bad_settings_are_one_line(arguments: list[str], words: str) -> None:
    with serve_command(*arguments) as process:
        code, err = end_of(process)
    assert code == 2
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize("apart", [False, True])
def test_tls_with_the_key_in_one_file_or_in_two(apart: bool, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key if apart else certificate, append=not apart)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with serve_command(
        "--tls-cert", str(certificate), *(["--tls-key", str(key)] if apart else [])
    ) as process:
        url = address(process)
        assert url.startswith("https://localhost:")
        run(converse(url, context))


def test_the_certificate_needs_its_own_key(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    trustme.CA().issue_cert("localhost").cert_chain_pems[0].write_to_path(certificate)
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(key)
    with serve_command("--tls-cert", str(certificate), "--tls-key", str(key)) as process:
        code, err = end_of(process)
    assert (code, err.count("\n")) == (2, 1)
    assert "key" in err


def test_faults_and_limits_are_in_force() -> None:
    async def main(url: str) -> None:
        with pytest.raises(HandshakeRejected) as refused:
            await connect_pulse(base_url=url, resume=False).__aenter__()
        assert (refused.value.status, refused.value.retry_after) == (429, 3.0)

    with serve_command(
        "--fault", "reject=429", "--fault", "retry-after=3", "--max-connections", "5"
    ) as process:
        run(main(address(process)))


def test_the_faults_are_listed() -> None:
    with serve_command("--list-faults") as process:
        out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (0, "")
    assert [name for name in FAULTS if f"\n{name}" not in "\n" + out] == []
