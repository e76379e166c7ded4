"""Over an aiohttp session of the user's."""

import traceback
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from livekit.agents import APIError, APIStatusError, APITimeoutError
from livekit.agents.types import APIConnectOptions

from canary import CANARY, told
from livekit.plugins import smallest
from livekit_stt import ONCE, TWICE, frame, push, rest, shown, usage
from smallest_transports.loopback import serve
from sockets import Peer, raw_server, run


@asynccontextmanager
async def over_session(url: str) -> AsyncIterator[tuple[smallest.STT, list[str]]]:
    """A recogniser over a session, and the paths of the requests that the session saw."""
    paths: list[str] = []

    async def started(_: object, __: object, params: aiohttp.TraceRequestStartParams) -> None:
        paths.append(params.url.path)

    trace = aiohttp.TraceConfig()
    trace.on_request_start.append(started)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        smallest.STT(api_key="sk_test", base_url=url, http_session=session) as pulse,
    ):
        yield pulse, paths
        assert not session.closed


def test_a_stream() -> None:
    async def main() -> None:
        async with (
            serve(api_key="sk_test") as server,
            over_session(server.url) as (pulse, paths),
            pulse.stream(conn_options=ONCE) as stream,
        ):
            push(stream, 1.25)
            stream.end_input()
            events = await rest(stream)
        assert shown(events) == ["START", "INTERIM heard 1.0 seconds", "FINAL heard 1.25 seconds", "END"]
        assert usage(events) == pytest.approx(1.25)
        assert paths == ["/waves/v1/pulse/get_text"]

    run(main())


def test_a_recording() -> None:
    async def main() -> None:
        async with serve(api_key="sk_test") as server, over_session(server.url) as (pulse, paths):
            event = await pulse.recognize(frame(1.5), conn_options=ONCE)
        assert event.alternatives[0].text == "heard 1.5 seconds"
        assert paths == ["/waves/v1/pulse/get_text"]

    run(main())


def test_a_server_that_never_answers() -> None:
    async def mute(peer: Peer) -> None:
        await peer.until_gone()

    async def main() -> None:
        async with (
            raw_server(mute) as url,
            over_session(url) as (pulse, _),
            pulse.stream(conn_options=APIConnectOptions(max_retry=0, timeout=0.3)) as stream,
        ):
            with pytest.raises(APITimeoutError):
                await rest(stream)

    run(main())


def test_refusals() -> None:
    seen: list[str] = []

    async def refuse(peer: Peer) -> None:
        await peer.refuse(401, b'{"error":"private sk_test"}', Connection="close")
        seen.append(peer.request)
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(refuse) as url, over_session(url) as (pulse, _):
            async with pulse.stream(conn_options=TWICE) as stream:
                with pytest.raises(APIStatusError) as streamed:
                    await rest(stream)
            with pytest.raises(APIStatusError) as recorded:
                await pulse.recognize(frame(0.1), conn_options=TWICE)
        for caught in (streamed, recorded):
            assert caught.value.status_code == 401
            assert "sk_test" not in str(caught.value)
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__
        assert len(seen) == 2

    run(main())


@pytest.mark.parametrize("status", [200, 401])
def test_an_echo_of_the_key_is_not_shown(status: int) -> None:
    body = f'{{"error":"bad key {CANARY}","error_code":"{CANARY}"}}'

    async def echo(peer: Peer) -> None:
        assert CANARY in await peer.read_request()
        peer.send(
            f"HTTP/1.1 {status} {CANARY}\r\nX-Request-Id: {CANARY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await peer.until_gone()

    async def main() -> None:
        async with (
            raw_server(echo) as url,
            aiohttp.ClientSession() as session,
            smallest.STT(api_key=CANARY, base_url=url, http_session=session, endpoint="live") as pulse,
        ):
            with pytest.raises(APIStatusError) as caught:
                await pulse.recognize(frame(0.1), conn_options=ONCE)
        for text in told(caught.value):
            assert CANARY not in text

    run(main())


@pytest.mark.parametrize(
    "answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"]
)
def test_a_recording_that_fails(answer: bytes) -> None:
    async def behave(peer: Peer) -> None:
        await peer.read_request()
        peer.send(answer)
        await peer.writer.drain()

    async def main() -> None:
        async with raw_server(behave) as url, over_session(url) as (pulse, _):
            with pytest.raises(APIError) as caught:
                await pulse.recognize(frame(0.1), conn_options=ONCE)
        assert caught.value.retryable
        assert "sk_test" not in repr(caught.value)

    run(main())


@pytest.mark.parametrize("over", [False, True])
def test_a_transcript_for_a_webhook_that_nobody_asked_for(over: bool) -> None:
    body = b'{"status":"processing","request_id":"x"}'

    async def promise(peer: Peer) -> None:
        await peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(promise) as url, aiohttp.ClientSession() as session:
            given = session if over else None
            async with smallest.STT(
                api_key="sk_test", base_url=url, endpoint="live", http_session=given
            ) as pulse:
                with pytest.raises(APIError, match="webhook"):
                    await pulse.recognize(frame(0.1), conn_options=ONCE)

    run(main())


@pytest.mark.parametrize("why", ["closed", "auth"])
def test_a_session_that_cannot_be_used(why: str) -> None:
    async def main() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions want the header instead
            auth = aiohttp.BasicAuth("somebody", "a password") if why == "auth" else None
            session = aiohttp.ClientSession(auth=auth)
        async with (
            session,
            smallest.STT(api_key="sk_test", base_url="http://127.0.0.1:9", http_session=session) as pulse,
        ):
            if why == "closed":
                await session.close()
            with pytest.raises(APIError, match="session cannot be used: expected an open one") as caught:
                await pulse.recognize(frame(0.1), conn_options=TWICE)
            assert not caught.value.retryable
            assert "a password" not in "".join(traceback.format_exception(caught.value))

    run(main())
