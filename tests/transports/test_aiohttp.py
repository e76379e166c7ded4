"""The streams over an aiohttp session do what they do over asyncio, but for what aiohttp decides."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import pickle
import ssl
import subprocess
import sys
import traceback
import tracemalloc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import trustme

from faults import FAULTS, Fault, silent
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import ConnectionClosed, ServerErrorReceived
from smallest_proto.lightning import LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import CloseStream, FinalTranscript, PulseOptions, StreamEnded
from smallest_transports._session import Session
from smallest_transports.aiohttp import PulseStream, TranscriptEvent, connect_lightning, connect_pulse
from smallest_transports.loopback import serve
from sockets import CLOSE, QUICK, TEXT, Peer, frame, raw_server, run, stall, transcript, until

SECOND = bytes(32000)
CANARY = "sk_canary_5dc2a6"
FAR_TOO_MUCH = 200 * 1024 * 1024
ROOM = 16 * 1024 * 1024

Behave = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def pulse_at(
    url: str, options: PulseOptions = PulseOptions(), **connect: Any
) -> AsyncIterator[PulseStream]:
    """A stream, connected, over a session of its own that must survive it."""
    connect = {"limits": QUICK, **connect}
    async with aiohttp.ClientSession() as session:
        try:
            async with connect_pulse(
                options, session=session, base_url=url, **connect, resume=False
            ) as stream:
                yield stream
        finally:
            assert not session.closed
            assert not session.connector._acquired  # type: ignore[union-attr]  # nothing is held back
            assert "Authorization" not in session.headers


async def hear(url: str, api_key: str = "k") -> list[TranscriptEvent]:
    """A whole session: a second of audio in, every event out."""
    async with pulse_at(url, api_key=api_key) as stream:
        await stream.send_audio(SECOND)
        return [event async for event in stream]


async def speak(url: str, api_key: str = "k") -> int:
    """Bytes spoken."""
    heard = 0
    async with aiohttp.ClientSession() as session:
        options = LightningOptions(linger=0.02)
        async with connect_lightning(
            options, session=session, base_url=url, api_key=api_key, limits=QUICK
        ) as stream:
            async for event in await stream.speak("Good morning."):
                heard += len(getattr(event, "pcm", b""))
    return heard


async def collect(stream: PulseStream, into: list[TranscriptEvent]) -> None:
    async for event in stream:
        into.append(event)


async def open_until_gone(peer: Peer) -> None:
    await peer.accept()
    await peer.until_gone()


async def never_reads(peer: Peer) -> None:
    await peer.accept()
    peer.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the only way not to read at all
    await asyncio.Event().wait()


# a whole session


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


# what fails

OTHERWISE: dict[str, Fault | None] = {
    # aiohttp drops the body of a refusal, and what only it tells
    "refused with 400": Fault(
        FAULTS["refused with 400"].behave,
        HandshakeRejected,
        {"status": 400, "message": "", "request_id": None, "retryable": False, "body": b""},
    ),
    "refused with 401": Fault(
        FAULTS["refused with 401"].behave,
        HandshakeRejected,
        {"status": 401, "message": "", "request_id": "id-1"},
    ),
    "refused with 404 in HTML": Fault(
        FAULTS["refused with 404 in HTML"].behave,
        HandshakeRejected,
        {"status": 404, "body": b"", "headers": (("content-length", "21"), ("content-type", "text/html"))},
    ),
    # nor does it refuse a server's masked frame
    "a masked frame": None,
}


@pytest.mark.parametrize("client", [hear, speak])
@pytest.mark.parametrize("name", [name for name in FAULTS if OTHERWISE.get(name, True)])
def test_a_fault_is_the_documented_error(name: str, client: Callable[[str], Awaitable[object]]) -> None:
    fault = OTHERWISE.get(name) or FAULTS[name]

    async def main() -> None:
        async with raw_server(fault.behave) as url:
            await client(url)

    with pytest.raises(fault.error) as caught:
        run(main(), within=30)
    assert {field: getattr(caught.value, field) for field in fault.fields} == fault.fields
    assert type(caught.value) is fault.error
    assert caught.value.__cause__ is None


def connecting(url: str, **given: Any) -> ProtocolError:
    """What connecting to `url` raises."""

    async def main() -> None:
        async with pulse_at(url, api_key="k", **given):
            pass

    with pytest.raises(ProtocolError) as caught:
        run(main(), within=30)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def test_a_refused_connection() -> None:
    error = connecting("http://127.0.0.1:1")
    assert type(error) is ConnectFailed
    assert str(error) == "cannot connect to 127.0.0.1 port 1: Connection refused"


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_name_that_no_host_can_have(host: str) -> None:
    error = connecting(f"http://{host}:80")
    assert type(error) is ConnectFailed
    assert host in str(error)


def test_the_sessions_own_timeout_to_connect() -> None:
    async def main() -> None:
        timeout = aiohttp.ClientTimeout(sock_connect=0.01)
        async with raw_server(silent) as url, aiohttp.ClientSession(timeout=timeout) as session:
            secure = url.replace("http:", "https:")  # TLS is part of it, and is never answered
            async with connect_pulse(session=session, base_url=secure, api_key="k", resume=False):
                pass

    with pytest.raises(DeadlineExceeded) as caught:
        run(main())
    assert caught.value.code == "connect"


def test_the_sessions_own_timeout_for_the_upgrade() -> None:
    async def main() -> None:
        timeout = aiohttp.ClientTimeout(total=0.1)
        async with (
            raw_server(silent) as url,
            aiohttp.ClientSession(timeout=timeout) as session,
            connect_pulse(session=session, base_url=url, api_key="k", resume=False),
        ):
            pass

    with pytest.raises(DeadlineExceeded) as caught:
        run(main())
    assert caught.value.code == "handshake"


def test_an_untrusted_certificate() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def main() -> None:
        async with raw_server(silent, ssl=context) as url, pulse_at(url, api_key="k"):
            pass

    with pytest.raises(ConnectFailed) as caught:
        run(main(), within=30)
    assert caught.value.code == "tls"
    assert not caught.value.retryable
    assert "issuer" in str(caught.value) or "certificate" in str(caught.value)


def test_a_trusted_certificate() -> None:
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trusting)

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.text(transcript("done", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave, ssl=context) as url:
            async with pulse_at(url, api_key="k", ssl_context=trusting) as stream:
                await stream.end_input()
                assert [e async for e in stream][-1] == StreamEnded(confirmed=True)
            await asyncio.sleep(0.1)  # TLS takes a turn or two more to close

    run(main())


def test_tls_to_a_plain_port() -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url.replace("http:", "https:"), api_key="k"):
            pass

    with pytest.raises(ConnectFailed, match="TLS to") as caught:
        run(main())
    assert caught.value.code == "tls"


@pytest.mark.parametrize("status", [301, 307, 308])
@pytest.mark.parametrize("ending", ["open", "refused", "unreachable", "nowhere", "endless"])
def test_a_redirect_is_an_error_wherever_it_leads(status: int, ending: str) -> None:
    keys: list[bool] = []

    async def other(peer: Peer) -> None:
        if ending == "open":
            await peer.accept()
            await peer.until_gone()
        else:
            await peer.refuse(403)
        keys.append(CANARY in peer.request)

    async def main() -> None:
        async with raw_server(other) as elsewhere:
            targets = {"unreachable": "http://127.0.0.1:1/", "nowhere": "ftp://x/", "endless": "/again"}
            target = targets.get(ending, elsewhere)
            async with (
                raw_server(lambda peer: peer.refuse(status, Location=target, Connection="close")) as url,
                pulse_at(url, api_key=CANARY),
            ):
                pass

    known = ending not in ("unreachable", "nowhere")
    with pytest.raises(HandshakeRejected if known else RemoteProtocolError) as caught:
        run(main())
    assert "base_url must name the server itself" in str(caught.value)
    assert not caught.value.retryable
    assert caught.value.status == (status if known else None)
    assert not any(keys)


def test_a_101_that_is_no_upgrade() -> None:
    async def behave(peer: Peer) -> None:
        await peer.read_request()
        peer.send(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url):
            pass

    with pytest.raises(RemoteProtocolError, match="no WebSocket upgrade"):
        run(main())


def test_a_proxy_that_cannot_be_reached_or_refuses() -> None:
    async def main(proxy: str) -> None:
        async with (
            aiohttp.ClientSession(proxy=proxy) as session,
            connect_pulse(session=session, base_url="https://api.example", api_key="k", resume=False),
        ):
            pass

    async def refusing() -> None:
        async with raw_server(lambda peer: peer.refuse(407)) as url:
            await main(url)

    for case, status in ((main(f"http://{CANARY}:x@127.0.0.1:1"), None), (refusing(), 407)):
        with pytest.raises(ConnectFailed) as caught:
            run(case)
        assert caught.value.code == "proxy"
        assert caught.value.status == status
        assert CANARY not in str(caught.value)


def test_sessions_that_cannot_be_used() -> None:
    async def closed() -> None:
        session = aiohttp.ClientSession()
        await session.close()
        async with connect_pulse(session=session, api_key="k", resume=False):
            pass

    with pytest.raises(LocalProtocolError, match="session is closed"):
        run(closed())

    async def with_auth() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions want the header instead
            session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("u", "p"))
        async with (
            session,
            connect_pulse(session=session, base_url="http://127.0.0.1:1", api_key="k", resume=False),
        ):
            pass

    with pytest.raises(LocalProtocolError, match="auth"):
        run(with_auth())


def test_options_that_are_the_sessions_are_refused() -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TypeError, match="connect_timeout; expected session, api_key"):
                connect_pulse(session=session, api_key="k", connect_timeout=1, resume=False)  # type: ignore[call-arg]

    run(main())


def test_without_aiohttp_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['aiohttp'] = None; import smallest_transports.aiohttp"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: smallest_transports.aiohttp needs aiohttp: pip install 'smallest-proto[aiohttp]'"
    )


# while it is open


def test_events_before_a_drop_come_before_its_error() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(transcript("one two"))

    async def main() -> None:
        seen: list[TranscriptEvent] = []
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await stream.send_audio(SECOND)
            with pytest.raises(ConnectionLost):
                await collect(stream, seen)
            assert [e.text for e in seen if isinstance(e, FinalTranscript)] == ["one two"]
            with pytest.raises(ConnectionLost):
                await stream.send_audio(SECOND)
            assert [event async for event in stream] == []

    run(main(), within=30)


def test_a_sender_learns_why_the_server_left() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text({"type": "error", "status": "error", "message": "no more"})
        peer.close_frame(1008, "quota")

    async def send_for_ever(stream: PulseStream) -> None:
        while True:
            await stream.send_audio(SECOND)
            await asyncio.sleep(0)

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            with pytest.raises(ServerError) as caught:  # nobody iterates: what came in must not be lost
                await send_for_ever(stream)
            assert caught.value.message == "no more"
            events: list[TranscriptEvent] = []
            with pytest.raises(ServerError):
                await collect(stream, events)
            assert any(isinstance(event, ServerErrorReceived) for event in events)

    run(main(), within=30)


@pytest.mark.parametrize(("code", "told"), [(1000, 1000), (None, 1005)])
def test_a_close_without_is_last(code: int | None, told: int) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.send(frame(CLOSE, b"" if code is None else code.to_bytes(2)))
        answer = await peer.frame()
        assert answer == (CLOSE, (1000).to_bytes(2))

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await stream.end_input()
            events = []
            while (event := await stream.next_event()) is not None:
                events.append(event)
            assert StreamEnded(confirmed=False, reason="closed") in events
            assert isinstance(events[-1], ConnectionClosed)
            assert events[-1].code == told

    run(main())


def test_a_server_that_does_not_answer_pings() -> None:
    async def main() -> None:
        async with (
            raw_server(open_until_gone) as url,
            pulse_at(url, PulseOptions(heartbeat=0.1)) as stream,
        ):
            await collect(stream, [])

    with pytest.raises(DeadlineExceeded) as caught:
        run(main(), within=30)
    assert caught.value.code == "pong"


def test_pings_are_answered() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.send(frame(9, b"?"))
        assert await peer.frame() == (10, b"?")
        peer.text(transcript("done", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            assert [event async for event in stream][-1] == StreamEnded(confirmed=True)

    run(main())


def test_a_deadline_that_a_sender_starts_reaches_the_task_that_iterates() -> None:
    async def main() -> None:
        async with raw_server(open_until_gone) as url, pulse_at(url, PulseOptions(heartbeat=None)) as stream:
            events: list[TranscriptEvent] = []
            reading = asyncio.create_task(collect(stream, events))
            for _ in range(5):
                await asyncio.sleep(0)  # it waits now, and for no deadline
            await stream.send(CloseStream())
            await reading
            assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    run(main(), within=30)


def test_a_deadline_is_kept_while_the_server_never_stops_sending() -> None:
    pongs = frame(TEXT, b'{"type":"pong"}') * 1000

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.send(pongs)
            await peer.writer.drain()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await stream.end_input()
            events = [event async for event in stream]
        assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    run(main(), within=30)


def test_only_one_task_may_iterate() -> None:
    async def main() -> None:
        async with raw_server(open_until_gone) as url, pulse_at(url) as stream:
            reading = asyncio.create_task(anext(stream))
            await asyncio.sleep(0)
            with pytest.raises(LocalProtocolError, match="only one may"):
                await anext(stream)
            reading.cancel()
            await asyncio.wait([reading])

    run(main())


def test_the_close_of_a_task_ends_the_iteration_of_another() -> None:
    async def main() -> None:
        async with raw_server(open_until_gone) as url, pulse_at(url) as stream:
            events: list[TranscriptEvent] = []
            reading = asyncio.create_task(collect(stream, events))
            await asyncio.sleep(0)
            await stream.aclose()
            await reading
            assert events[-1] == StreamEnded(confirmed=False, reason="abandoned")
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(SECOND)

    run(main(), within=30)


def test_whether_the_server_is_still_there_is_known_without_iterating() -> None:
    leave = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.text(transcript("early"))
        await leave.wait()
        peer.close_frame(1001)
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            carrier = stream._carrier
            assert isinstance(carrier, Session)
            assert await carrier.alive()
            leave.set()
            async with asyncio.timeout(10):
                while await carrier.alive():  # noqa: ASYNC110  # nobody announces it: that is the point
                    await asyncio.sleep(0.01)
            events: list[TranscriptEvent] = []
            with pytest.raises(ConnectionLost):
                await collect(stream, events)
            assert [e.text for e in events if isinstance(e, FinalTranscript)] == ["early"]

    run(main())


# cancellation


def test_cancelled_waiting_loses_nothing() -> None:
    count = 200

    async def behave(peer: Peer) -> None:
        await peer.accept()
        for i in range(count):
            peer.text(transcript(str(i)))
            await asyncio.sleep(0)
        peer.text(transcript("end", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        texts: list[str] = []
        rounds = cancelled = 0
        async with raw_server(behave) as url, pulse_at(url) as stream:
            while True:
                waiting = asyncio.create_task(anext(stream))
                rounds += 1
                for _ in range(rounds % 7):
                    await asyncio.sleep(0)
                waiting.cancel()
                try:
                    event = await waiting
                except asyncio.CancelledError:
                    cancelled += 1
                    continue
                if isinstance(event, FinalTranscript):
                    texts.append(event.text)
                if isinstance(event, StreamEnded):
                    break
        assert cancelled > 20
        assert texts == [*map(str, range(count)), "end"]

    run(main())


def test_cancelled_sending_is_sent_whole() -> None:
    received = bytearray()
    slow, done = asyncio.Event(), asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await slow.wait()
        while True:
            opcode, payload = await peer.frame()
            if opcode == TEXT:
                break
            received.extend(payload)
        done.set()
        peer.text(transcript("end", is_last=True))
        await peer.until_gone()

    piece = bytes(range(250)) * 4000

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url, limits=Limits()) as stream:
            sending = [asyncio.create_task(stream.send_audio(piece)) for _ in range(8)]
            await asyncio.sleep(0.1)  # the first ones are through by then, the others wait
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)
            assert sending[-1].cancelled()
            slow.set()
            await stream.end_input()
            assert [e async for e in stream][-1] == StreamEnded(confirmed=True)
        assert done.is_set()
        whole = len(received) // len(piece)
        assert whole > 0  # the first ones, and one whose sending was cancelled
        assert bytes(received) == piece * whole

    run(main(), within=60)


@pytest.mark.parametrize("turns", range(0, 40, 2))
def test_cancelled_anywhere_nothing_is_left(turns: int) -> None:
    async def session(url: str) -> None:
        async with pulse_at(url, limits=Limits()) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            await collect(stream, [])

    async def main() -> None:
        async with serve() as server:
            task = asyncio.create_task(session(server.url))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None

    run(main())


def test_a_cancelled_close_leaves_nothing() -> None:
    async def main() -> None:
        async with (
            raw_server(open_until_gone) as url,
            pulse_at(url, limits=Limits(close_timeout=60)) as stream,
        ):
            closing = asyncio.create_task(stream.aclose())
            await asyncio.sleep(0.05)  # the server does not answer the close frame
            closing.cancel()
            await asyncio.wait([closing])
            assert closing.cancelled()

    run(main(), within=30)


# pressure


def test_sending_waits_for_a_server_that_does_not_read() -> None:
    async def main() -> None:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < FAR_TOO_MUCH:
                await stream.send_audio(SECOND)
                sent += len(SECOND)

        async with raw_server(never_reads) as url, pulse_at(url) as stream:
            sending = [asyncio.create_task(send()) for _ in range(3)]
            await stall(lambda: sent, ROOM)
            sending[0].cancel()  # which must not disturb the others
            await asyncio.wait(sending[:1])
            await asyncio.sleep(0.01)
            assert [task.done() for task in sending] == [True, False, False]
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)

    run(main())


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_user_who_stops_iterating_stops_the_server(size: int) -> None:
    written: list[int] = []

    async def floods(peer: Peer) -> None:
        await peer.accept()
        await peer.pour(frame(TEXT, json.dumps(transcript("x" * size)).encode()) * 50, written)

    async def main() -> None:
        async with raw_server(floods) as url, pulse_at(url) as stream:
            await anext(stream)
            await stall(lambda: sum(written), ROOM)

    run(main(), within=30)


def test_a_server_that_stops_reading_is_found_out() -> None:
    async def main() -> None:
        async def send() -> None:
            for _ in range(FAR_TOO_MUCH // len(SECOND)):
                await stream.send_audio(SECOND)

        async with (
            raw_server(never_reads) as url,
            pulse_at(url, PulseOptions(heartbeat=0.2)) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(send())
            await collect(stream, [])

    with pytest.raises(ExceptionGroup) as caught:
        run(main(), within=30)
    first = caught.value.exceptions[0]
    assert isinstance(first, DeadlineExceeded)
    assert first.code == "pong"


def test_a_sender_that_waits_for_room_learns_of_the_end() -> None:
    async def main() -> None:
        async with (
            raw_server(never_reads) as url,
            pulse_at(url, PulseOptions(heartbeat=0.2)) as stream,
        ):
            sending = asyncio.create_task(stream.send_audio(bytes(2 * ROOM)))
            for _ in range(2):
                with pytest.raises(DeadlineExceeded):
                    await sending if sending.done() else await collect(stream, [])
                await asyncio.wait([sending])

    run(main(), within=30)


def test_nothing_is_left_when_a_server_that_does_not_read_closes() -> None:
    async def main() -> None:
        close = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.accept()
            peer.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the only way not to read at all
            await close.wait()
            peer.close_frame(1011)
            await asyncio.Event().wait()

        async with raw_server(behave) as url, pulse_at(url, PulseOptions(heartbeat=None)) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stream.send_audio(bytes(ROOM))
            close.set()
            with pytest.raises(ConnectionLost):
                await collect(stream, [])

    run(main(), within=30)


def test_closing_is_bounded_while_the_server_does_not_read() -> None:
    async def main() -> None:
        async with raw_server(never_reads) as url, pulse_at(url) as stream:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await stream.send_audio(bytes(ROOM))

    run(main(), within=30)


def test_closing_is_bounded_while_the_server_never_stops_sending() -> None:
    interims = frame(TEXT, b'{"transcript":"x","is_final":false}') * 1000

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.send(interims)
            await peer.writer.drain()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            await anext(stream)

    run(main(), within=30)


def test_a_user_who_does_not_iterate_stops_the_server() -> None:
    message = frame(TEXT, b'{"type":"transcription","transcript":"' + b"x" * 1000 + b'","is_final":false}')
    written = 0

    async def behave(peer: Peer) -> None:
        nonlocal written
        await peer.accept()
        while True:
            peer.send(message * 100)
            await peer.writer.drain()
            written += len(message) * 100

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url) as stream:
            tracemalloc.start()
            try:
                await stall(lambda: written, ROOM)
                assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
            finally:
                tracemalloc.stop()
            await anext(stream)  # and what has come is not lost

    run(main())


# the API key


async def refused_with_an_echo(peer: Peer) -> None:
    await peer.refuse(401, CANARY.encode(), X_Request_Id=CANARY, X_Echo=f"Bearer {CANARY}")


async def closed_with_an_echo(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.close_frame(1008, f"key {CANARY} is over its quota")
    await peer.until_gone()


async def told_with_an_echo(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.text({"type": "error", "status": "error", "message": f"key {CANARY} is bad", "error_code": CANARY})
    await peer.until_gone()


async def named_in_a_header(peer: Peer) -> None:
    assert CANARY in await peer.read_request()  # or this test tests nothing
    peer.send(f"HTTP/1.1 {CANARY}\r\nX: {CANARY}\r\n\r\n".encode())
    await peer.until_gone()


async def redirected(peer: Peer) -> None:
    await peer.refuse(307, Location=f"ftp://{CANARY}/")


def our_locals(error: BaseException) -> Iterator[tuple[str, str]]:
    """What tools that show the variables of a traceback would show of our frames."""
    for entry, _ in traceback.walk_tb(error.__traceback__):
        if (module := entry.f_globals["__name__"]).startswith("smallest_"):
            yield module, repr({name: value for name, value in entry.f_locals.items() if name != "self"})


SHOWS: list[Behave] = [
    refused_with_an_echo,
    closed_with_an_echo,
    told_with_an_echo,
    named_in_a_header,
    redirected,
    *(fault.behave for name, fault in FAULTS.items() if OTHERWISE.get(name, True)),
]


@pytest.mark.parametrize("client", [hear, speak])
@pytest.mark.parametrize("behave", SHOWS)
def test_no_failure_shows_the_key(
    behave: Behave, client: Callable[[str, str], Awaitable[object]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with raw_server(behave) as url:
            await client(url, CANARY)

    with pytest.raises(ProtocolError) as caught:
        run(main(), within=30)
    text = io.StringIO()
    chained: BaseException | None = caught.value
    while chained is not None:  # causes that are suppressed are there all the same
        text.write(f"{chained} {chained!r} {chained.args} {vars(chained)}")
        text.write("".join(traceback.format_exception(chained)))
        for module, values in our_locals(chained):
            text.write(f"{module} {values}")
        chained = chained.__cause__ or chained.__context__
    text.write(caplog.text + repr([record.__dict__ for record in caplog.records]))
    assert CANARY not in text.getvalue()
    assert CANARY.encode() not in pickle.dumps(caught.value)


def test_a_stream_does_not_show_the_key() -> None:
    async def main() -> None:
        async with serve() as server, pulse_at(server.url, api_key=CANARY) as stream:
            carrier = stream._carrier
            assert isinstance(carrier, Session)
            assert CANARY not in repr(stream) + repr(vars(stream)) + repr(vars(carrier)) + repr(
                vars(carrier._link)
            )
            await until(lambda: True)

    run(main())
