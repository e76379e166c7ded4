"""Both clients of the example over `websockets`, with the local server and with servers that fail."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.websockets_client import begun, run, run_sync
from smallest_proto import Event, Limits, PulseConnection
from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import ConnectionLost, ServerError
from smallest_proto.events import ConnectionClosed
from smallest_proto.pulse import Audio, CloseStream, FinalTranscript, PulseOptions, StreamEnded, pulse_request
from smallest_transports.loopback import serve
from sockets import Peer, hosted, raw_server, transcript

EXAMPLE = Path(__file__).parents[1] / "examples" / "websockets_client.py"
TEN_SECONDS = bytes(320000)

Client = Callable[[PulseConnection, str], list[Event]]


def by_asyncio(conn: PulseConnection, url: str) -> list[Event]:
    async def main() -> list[Event]:
        request = pulse_request(PulseOptions(), api_key=ApiKey("k"), base_url=url)
        return [event async for event in run(conn, request)]

    return asyncio.run(main())


def by_threads(conn: PulseConnection, url: str) -> list[Event]:
    return list(run_sync(conn, pulse_request(PulseOptions(), api_key=ApiKey("k"), base_url=url)))


def one_packet() -> PulseConnection:
    conn = PulseConnection(PulseOptions())
    conn.send(Audio(bytes(1600)), 0.0)
    return conn


CLIENTS = pytest.mark.parametrize("client", [by_asyncio, by_threads])


@CLIENTS
def test_a_recording_is_transcribed(client: Client) -> None:
    with hosted(serve(api_key="k")) as server:
        events = client(begun(PulseOptions(), TEN_SECONDS), server.url)
    assert "heard 10.0 seconds" in [event.text for event in events if isinstance(event, FinalTranscript)]
    assert StreamEnded(confirmed=True) in events
    assert isinstance(events[-1], ConnectionClosed)
    assert events[-1].expected


@CLIENTS
def test_a_deadline_is_kept(client: Client) -> None:
    conn = PulseConnection(PulseOptions(), limits=Limits(drain_timeout=0.2))
    conn.send(CloseStream(), 0.0)  # long ago: the deadline has passed when the connection opens
    with hosted(raw_server(answers_a_close)) as url:
        events = client(conn, url)
    assert StreamEnded(confirmed=False, reason="drain_timeout") in events


async def answers_a_close(peer: Peer) -> None:
    await peer.accept()
    while (await peer.frame())[0] != 8:
        pass
    peer.close_frame(1000)


@CLIENTS
def test_what_came_before_a_failure_comes_before_it(client: Client) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(transcript("one"))
        peer.close_frame(1008, "too many")
        await peer.frame()  # the answer: `websockets` then waits for the server to hang up

    with hosted(raw_server(behave)) as url:
        events = client(one_packet(), url)
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["one"]
    assert isinstance(events[-1], ConnectionClosed)
    assert isinstance(events[-1].error, ServerError)
    assert events[-1].error.message == "too many"


@CLIENTS
def test_a_server_that_hangs_up(client: Client) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()

    with hosted(raw_server(behave)) as url:
        events = client(one_packet(), url)
    assert isinstance(events[-1], ConnectionClosed)
    assert isinstance(events[-1].error, ConnectionLost)
    assert events[-1].code == 1006


@pytest.mark.parametrize("arguments", [[], ["--sync"]])
def test_the_script_prints_the_transcript(arguments: list[str], tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    with wave.open(str(recording), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(TEN_SECONDS)
    with hosted(serve(api_key="k")) as server:
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), str(recording), "--base-url", server.url, *arguments],
            env={**os.environ, "SMALLEST_API_KEY": "k"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "heard 10.0 seconds" in done.stdout.splitlines()
    assert done.stderr == ""
