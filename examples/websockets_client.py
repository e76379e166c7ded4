"""Pulse over the package `websockets`, by its asyncio and its threading client: any WebSocket library will do.

    pip install smallest-proto websockets
    python examples/websockets_client.py speech.wav [--sync] [--base-url http://127.0.0.1:8765/waves/v1]

The library brings sockets, TLS, frames and pings; `PulseConnection` says what to send and what the answers mean.
The loops below do all that is to do between them: send what `messages_to_send` returns, close when
`close_requested` is set, hand in every message, the end and the time, and take the events. When a socket fails
while it is sending, what the server said last is still read; only then does reading raise ConnectionClosed.
"""

import asyncio
import wave
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from os import environ
from time import monotonic as now

from websockets import ConnectionClosed
from websockets.asyncio.client import connect
from websockets.sync.client import connect as connect_sync

from smallest_proto import NEED_DATA, Event
from smallest_proto.endpoints import BASE_URL, ApiKey, UpgradeRequest
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    FinalTranscript,
    PulseConnection,
    PulseOptions,
    pulse_request,
)


def address(request: UpgradeRequest) -> str:
    return f"{'wss' if request.secure else 'ws'}://{request.host_header}{request.target}"


def seconds_left(conn: PulseConnection) -> float | None:
    return None if (deadline := conn.next_deadline()) is None else max(0.0, deadline - now())


async def run(conn: PulseConnection, request: UpgradeRequest) -> AsyncIterator[Event]:
    given, ping = request.headers, conn.heartbeat
    async with connect(
        address(request), additional_headers=given, ping_interval=ping, compression=None
    ) as ws:
        conn.receive_open(now())
        while conn.closed is None:
            with suppress(ConnectionClosed):
                for message in conn.messages_to_send():
                    await ws.send(message)
            if conn.close_requested is not None:
                await ws.close(*conn.close_requested)
            try:
                async with asyncio.timeout(seconds_left(conn)):
                    conn.receive_message(await ws.recv(), now())
            except TimeoutError:
                pass
            except ConnectionClosed:
                conn.receive_close(ws.close_code or 1006, ws.close_reason or "", now())
            conn.handle_timeout(now())
            while (event := conn.next_event()) is not NEED_DATA:
                yield event


def run_sync(conn: PulseConnection, request: UpgradeRequest) -> Iterator[Event]:
    given, ping = request.headers, conn.heartbeat
    with connect_sync(address(request), additional_headers=given, ping_interval=ping, compression=None) as ws:
        conn.receive_open(now())
        while conn.closed is None:
            with suppress(ConnectionClosed):
                for message in conn.messages_to_send():
                    ws.send(message)
            if conn.close_requested is not None:
                ws.close(*conn.close_requested)
            try:
                conn.receive_message(ws.recv(seconds_left(conn)), now())
            except TimeoutError:
                pass
            except ConnectionClosed:
                conn.receive_close(ws.close_code or 1006, ws.close_reason or "", now())
            conn.handle_timeout(now())
            while (event := conn.next_event()) is not NEED_DATA:
                yield event


def begun(options: PulseOptions, pcm: bytes) -> PulseConnection:
    """A machine with a whole recording to send; a live one would `send` it as it is recorded."""
    conn = PulseConnection(options)
    conn.send(Audio(pcm), now())
    conn.send(CloseStream(), now())
    return conn


async def show(conn: PulseConnection, request: UpgradeRequest) -> None:
    async for event in run(conn, request):
        if isinstance(event, FinalTranscript):
            print(event.text)


def main() -> None:
    arguments = ArgumentParser()
    arguments.add_argument("file", help="16-bit mono WAV")
    arguments.add_argument("--sync", action="store_true")
    arguments.add_argument("--base-url", default=BASE_URL)
    given = arguments.parse_args()
    with wave.open(given.file) as file:
        options = PulseOptions(sample_rate=file.getframerate())
        conn = begun(options, file.readframes(file.getnframes()))
    key = ApiKey(environ["SMALLEST_API_KEY"]) if "SMALLEST_API_KEY" in environ else None  # the local server's
    request = pulse_request(options, api_key=key, base_url=given.base_url)
    if given.sync:
        for event in run_sync(conn, request):
            if isinstance(event, FinalTranscript):
                print(event.text)
    else:
        asyncio.run(show(conn, request))


if __name__ == "__main__":
    main()
