"""Whole sessions: audio in, every event out, and speech."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from smallest_proto.errors import HandshakeRejected, LocalProtocolError
from smallest_proto.limits import Limits
from smallest_proto.pulse import FinalTranscript, PulseOptions, StreamEnded
from smallest_transports.aiohttp import connect_pulse
from smallest_transports.loopback import serve
from sockets import Peer, raw_server, run
from transports.over_aiohttp.clients import SECOND, pulse_at, speak


def test_a_session_with_the_local_server() -> None:
    async def main() -> None:
        async with serve(api_key="k") as server, pulse_at(server.url, api_key="k", limits=Limits()) as stream:
            for _ in range(10):
                await stream.send_audio(SECOND)
            await stream.end_input()
            events = [event async for event in stream]
            assert "heard 10.0 seconds" in [e.text for e in events if isinstance(e, FinalTranscript)]
            assert events[-1] == StreamEnded(confirmed=True)
            await stream.aclose()
            await stream.aclose()

    run(main())


def test_speech_from_the_local_server() -> None:
    async def main() -> None:
        async with serve(api_key="k") as server:
            assert await speak(server.url) > 1000

    run(main())


def test_one_session_carries_many_streams_at_a_time() -> None:
    async def one(session: aiohttp.ClientSession, url: str) -> StreamEnded:
        async with connect_pulse(session=session, base_url=url, resume=False) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            *_, end = [event async for event in stream]
            assert isinstance(end, StreamEnded)
            return end

    async def main() -> None:
        async with serve() as server, aiohttp.ClientSession() as session:
            ends = await asyncio.gather(*(one(session, server.url) for _ in range(8)))
            assert all(end.confirmed for end in ends)

    run(main())


def test_the_request_is_ours_and_goes_through_the_session() -> None:
    requests: list[str] = []

    async def behave(peer: Peer) -> None:
        await peer.refuse(401)
        requests.append(peer.request)

    async def main() -> None:
        async with (
            raw_server(behave) as url,
            aiohttp.ClientSession(headers={"X-Theirs": "1", "Authorization": "Bearer old"}) as session,
        ):
            options = PulseOptions(language="hi")
            stream = connect_pulse(
                options,
                session=session,
                base_url=url + "/waves/v1",
                api_key="new",
                headers={"X-Mine": "2"},
                resume=False,
            )
            with pytest.raises(HandshakeRejected):
                await stream.__aenter__()
            with pytest.raises(LocalProtocolError, match="entered once"):
                await stream.__aenter__()
            assert session.headers["Authorization"] == "Bearer old"

    run(main())
    lines = requests[0].split("\r\n")
    assert lines[0].startswith("GET /waves/v1/pulse/get_text?")
    assert "language=hi" in lines[0]
    assert {"X-Theirs: 1", "X-Mine: 2", "Authorization: Bearer new"} <= set(lines)
    assert "permessage-deflate" not in requests[0]


def test_a_proxy_of_the_session_is_used() -> None:
    async def behave(peer: Peer) -> None:
        assert (await peer.read_request()).startswith("GET http://api.example/")
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")

    async def main() -> None:
        async with (
            raw_server(behave) as url,
            aiohttp.ClientSession(proxy=url) as session,
            connect_pulse(session=session, base_url="http://api.example", api_key="k", resume=False),
        ):
            pass

    with pytest.raises(HandshakeRejected) as caught:
        run(main())
    assert caught.value.status == 403
