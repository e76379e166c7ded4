"""Every way that a request over HTTP can fail: the same error on every loop and carrier, and no key in it."""

import logging
import pickle
import threading
from collections.abc import Awaitable, Callable
from functools import cache

import anyio
import pytest

from canary import CANARY, told
from http_calls import CALLS, Call, batch, pcm_of, voices
from http_faults import CHUNKED, HASTY, HTTP_FAULTS, SIZED, answered, read_whole_request
from loops import EVERY_NET, NETS, Net, some
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import Event
from smallest_proto.lightning import SpeechComplete, audio_event, error_event
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchPcm
from smallest_transports.asyncio import SpeechStream, synthesize
from sockets import Peer, free_port
from sockets import until as until_there

ROOM = 16 * 1024 * 1024


def echo(status: int) -> Callable[[Peer], Awaitable[None]]:
    async def behave(peer: Peer) -> None:
        await read_whole_request(peer)
        assert CANARY in peer.request  # or this test tests nothing
        body = f'{{"error":"bad key {CANARY}","error_code":"{CANARY}"}}'
        peer.send(
            f"HTTP/1.1 {status} {CANARY}\r\nX-Request-Id: {CANARY}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    return behave


def met(net: Net, behave: Callable[[Peer], Awaitable[None]], calls: list[Call]) -> list[ProtocolError]:
    """What each of the calls, made at the same time, raises when the server does that."""
    errors: dict[Call, ProtocolError] = {}

    async def make(call: Call) -> None:
        with pytest.raises(ProtocolError) as caught:
            await call(net, url, CANARY)
        errors[call] = caught.value

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for call in calls:
                tasks.start_soon(make, call)

    with net.raw(behave) as url:
        net.run(main, within=10)
    return [errors[call] for call in calls]


@cache
def elsewhere(name: str) -> list[ProtocolError]:
    """What the calls raise on the first of the nets."""
    return met(NETS[0], HTTP_FAULTS[name].behave, CALLS)


@EVERY_NET
@pytest.mark.parametrize("name", HTTP_FAULTS)
def test_a_fault_is_the_documented_error_in_time(
    net: Net, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fault = HTTP_FAULTS[name]
    errors = met(net, fault.behave, CALLS)
    for error in errors:
        assert type(error) is fault.error
        assert {name: getattr(error, name) for name in fault.fields} == fault.fields
        assert error.__cause__ is None
        does_not_show_the_key(error, caplog.text)
    assert errors == elsewhere(name)  # type, text and every field


@EVERY_NET
@pytest.mark.parametrize("status", [401, 200])
def test_an_echo_of_the_key_is_not_shown(net: Net, status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for error in met(net, echo(status), CALLS):
        does_not_show_the_key(error, caplog.text)


def does_not_show_the_key(error: ProtocolError, log: str) -> None:
    for text in (log, *told(error)):
        assert CANARY not in text
    assert CANARY.encode() not in pickle.dumps(error)


def test_a_stream_does_not_show_the_key() -> None:
    speech = synthesize("Hi", base_url="http://127.0.0.1:9", api_key=CANARY)
    assert CANARY not in f"{speech!r} {vars(speech)}"


@EVERY_NET
def test_nobody_listens(net: Net) -> None:
    port = free_port()

    async def main() -> None:
        for call in CALLS:
            with pytest.raises(ConnectFailed) as caught:
                await call(net, f"http://127.0.0.1:{port}", "k")
            assert str(caught.value) == f"cannot connect to 127.0.0.1 port {port}: Connection refused"

    net.run(main)


@some("asyncio-tcp", "uvloop-tls", "trio-tcp", "anyio-trio-tls")
def test_a_document_that_is_none(net: Net) -> None:
    for body in (b"", b"no JSON", b"[]", b"{}", b'{"a":' * 100_000, b" " * 5 * 1024 * 1024):
        response = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        for error in met(net, answered(response, wait=True), [batch, voices]):
            assert type(error) is RemoteProtocolError


@EVERY_NET
def test_audio_before_the_end_is_sound(net: Net) -> None:
    def heard(via: str, data: bytes) -> tuple[list[Event], ProtocolError]:
        events: list[Event] = []

        async def main() -> ProtocolError:
            async with net.on.synthesize("Hi", via=via, **net.to(url, limits=HASTY)) as speech:  # type: ignore[arg-type]  # a literal of it
                with pytest.raises(ProtocolError) as caught:
                    await collect(speech, events)
                assert [event async for event in speech] == []  # the failure is told once
            return caught.value

        with net.raw(answered(data)) as url:
            return events, net.run(main)

    sound = bytes(range(100)) * 2
    for via, data, error in (
        ("http", SIZED + sound, ConnectionLost),
        ("sse", CHUNKED + chunk(audio_event(sound)), ConnectionLost),
        ("sse", CHUNKED + chunk(audio_event(sound)) + b"0\r\n\r\n", ConnectionLost),
        ("sse", CHUNKED + chunk(audio_event(sound) + error_event("no", "BAD")), ServerError),
        ("sse", CHUNKED + chunk(audio_event(sound) + b'data: {"audio":"*","done":false}\n\n'), ServerError),
    ):
        events, failure = heard(via, data)
        assert pcm_of(events) == sound
        assert type(failure) is error
        assert not any(isinstance(event, SpeechComplete) for event in events)


async def collect(speech: SpeechStream, into: list[Event]) -> None:
    async for event in speech:
        into.append(event)


@EVERY_NET
@pytest.mark.parametrize("end", ["close", "cut", "reset"])
def test_a_body_that_the_connection_ends_is_whole_only_if_that_was_meant(net: Net, end: str) -> None:
    heard = threading.Event()
    sound = bytes(range(100)) * 2

    async def behave(peer: Peer) -> None:
        await read_whole_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + sound)
        await until_there(heard.is_set)
        if end == "cut":
            peer.writer.transport.abort()  # of TLS, without its goodbye
        elif end == "reset":
            peer.reset()

    async def main() -> list[Event]:
        events: list[Event] = []
        async with net.on.synthesize("Hi", **net.to(url)) as speech:
            events.append(await anext(speech))
            heard.set()
            await collect(speech, events)
        return events

    with net.raw(behave) as url:
        if end == "close" or (end, net.carrier) == ("cut", "tcp"):
            *audio, last = net.run(main, within=10)
            assert pcm_of(audio) == sound
            assert isinstance(last, SpeechComplete)
        else:
            with pytest.raises(ConnectionLost):
                net.run(main, within=10)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@EVERY_NET
@pytest.mark.usefixtures("short_close")
def test_a_refusal_in_the_middle_of_an_upload_is_told(net: Net) -> None:
    told = threading.Event()

    async def behave(peer: Peer) -> None:
        peer.stop_reading()
        peer.send(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        await until_there(told.is_set)

    async def main() -> None:
        limits = Limits(close_timeout=0.05)  # the answer may take 30 seconds, and does not
        with pytest.raises(ServerError) as caught:
            await net.on.transcribe(BatchPcm(bytes(ROOM), 16000), **net.to(url, limits=limits))
        assert caught.value.status == 413
        told.set()

    with net.raw(behave) as url:
        net.run(main, within=10)
