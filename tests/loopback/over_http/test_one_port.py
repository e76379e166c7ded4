"""HTTP and WebSockets share one port, and a connection serves many requests."""

import asyncio

import pytest

from loopback.over_http.clients import BATCH, SPEAK, WAV, asked_once, connected
from smallest_proto.pulse import PulseOptions, StreamEnded
from smallest_transports.asyncio import connect_pulse
from smallest_transports.loopback import serve
from sockets import run


def test_http_and_websocket_share_a_port() -> None:
    async def main() -> None:
        async with serve() as server, await connected(server.port) as client:
            for _ in range(2):
                assert (await client.exchange("GET", "/waves/v1/lightning-v3.1/get_voices")).status == 200
                async with connect_pulse(base_url=server.url, resume=False) as stream:
                    await stream.send_audio(bytes(32000))
                    await stream.end_input()
                    assert [event async for event in stream][-1] == StreamEnded(confirmed=True)

    run(main())


def test_a_connection_serves_many_requests() -> None:
    async def main() -> None:
        async with serve() as server, await connected(server.port) as client:
            for _ in range(3):
                heard = await client.exchange("POST", BATCH, WAV, Content_Type="audio/wav")
                assert (heard.status, heard.headers["content-type"]) == (200, "application/json")
                assert (await client.exchange("GET", "/nowhere")).status == 404
                assert (await client.exchange("POST", "/waves/v1/tts", b"{}")).status == 400
                said = await client.exchange("POST", "/waves/v1/tts", SPEAK)
                assert (said.status, len(said.body)) == (200, 37440)

    run(main())


def test_requests_in_one_go_are_answered_in_order() -> None:
    async def main() -> None:
        async with serve() as server, await connected(server.port) as client:
            for target in ("/a", "/waves/v1/lightning-v3.1/get_voices", "/b"):
                client.ask("GET", target)
            client.ask("GET", "/c", Connection="close")
            assert [(await client.answer()).status for _ in range(4)] == [404, 200, 404, 404]
            assert await client.at_end()

    run(main(), within=5)


@pytest.mark.parametrize("upgrade", [True, False])
def test_bytes_may_come_one_by_one(upgrade: bool) -> None:
    more = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        if upgrade
        else ""
    )
    target = "/waves/v1/pulse/get_text" if upgrade else "/nowhere"

    async def main() -> None:
        async with serve() as server, await connected(server.port) as client:
            client.writer.get_extra_info("socket").setsockopt(6, 1, 1)  # TCP_NODELAY
            for byte in f"GET {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode():
                client.writer.write(bytes([byte]))
                await asyncio.sleep(0)
            status = (await client.reader.readline()).split()[1]
            assert status == (b"101" if upgrade else b"404")

    run(main())


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/"), ("GET", BATCH), ("POST", "/waves/v1/lightning-v3.1/get_voices"), ("PUT", "/waves/v1/tts")],
)
def test_what_is_not_there(method: str, target: str) -> None:
    found = asked_once(method, target)
    assert (found.status, found.json) == (404, {"error": "not found"})


def test_options_still_reach_a_websocket() -> None:
    """Reading the first bytes ahead loses none of them."""

    async def main() -> None:
        async with serve() as server:
            options = PulseOptions(endpoint="live", sample_rate=8000, language="hi")
            async with connect_pulse(options, base_url=server.url, resume=False) as stream:
                await stream.send_audio(bytes(32000))
                await stream.end_input()
                assert any("2.0 seconds" in getattr(event, "text", "") for event in [e async for e in stream])

    run(main())
