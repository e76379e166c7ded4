"""Every way a connection can fail, over real sockets: the documented error, in time, and nothing left behind."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trustme

from faults import FAULTS, Fault, silent
from smallest_proto.errors import ConnectFailed, ConnectionLost, DeadlineExceeded, ProtocolError, ServerError
from smallest_proto.events import ServerErrorReceived, UnknownMessage
from smallest_proto.lightning import LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import FinalTranscript, InterimTranscript, PulseOptions, StreamEnded
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._asyncio_dial import by_turns
from smallest_transports._tls import start_tls
from smallest_transports.asyncio import PulseStream, TranscriptEvent, connect_lightning, connect_pulse
from smallest_transports.loopback import serve
from sockets import BINARY, QUICK, TEXT, Peer, frame, raw_server, run, transcript

SECOND = bytes(32000)


async def hear(url: str, limits: Limits = QUICK) -> list[TranscriptEvent]:
    """A whole session: a second of audio in, every event out."""
    events: list[TranscriptEvent] = []
    async with connect_pulse(base_url=url, limits=limits) as stream:
        await stream.send_audio(SECOND)
        async for event in stream:
            events.append(event)
    return events


async def speak(url: str) -> None:
    async with connect_lightning(LightningOptions(linger=0.02), base_url=url, limits=QUICK) as stream:
        async for _ in await stream.speak("Good morning."):
            pass


@pytest.mark.parametrize("client", [hear, speak])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_the_documented_error_in_time(
    fault: Fault, client: Callable[[str], Awaitable[object]]
) -> None:
    async def main() -> None:
        async with raw_server(fault.behave) as url:
            await client(url)

    with pytest.raises(fault.error) as caught:
        run(main(), within=30)
    found = {name: getattr(caught.value, name) for name in fault.fields}
    assert found == fault.fields
    assert type(caught.value) is fault.error
    assert caught.value.__cause__ is None


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: a further one gets no answer at all."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for sock in waiting:
            sock.close()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def connecting(url: str, **settings: object) -> ProtocolError:
    """What connecting to `url` raises."""

    async def main() -> None:
        async with connect_pulse(base_url=url, api_key="k", **settings):  # type: ignore[arg-type]  # as given
            pass

    with pytest.raises(ProtocolError) as caught:
        run(main(), within=30)
    assert caught.value.__cause__ is None
    return caught.value


def test_a_refused_connection() -> None:
    port = free_port()
    error = connecting(f"http://127.0.0.1:{port}")
    assert isinstance(error, ConnectFailed)
    assert str(error) == f"cannot connect to 127.0.0.1 port {port}: Connection refused"
    assert error.retryable


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_name_that_no_host_can_have(host: str) -> None:
    error = connecting(f"http://{host}:80")
    assert isinstance(error, ConnectFailed)
    assert host in str(error)
    assert not error.retryable


def test_a_connection_that_does_not_come_about_in_time() -> None:
    with deaf_port() as port:
        error = connecting(f"http://127.0.0.1:{port}", connect_timeout=0.2)
    assert isinstance(error, DeadlineExceeded)
    assert str(error) == f"no connection to 127.0.0.1 port {port} within 0.2 s"
    assert error.code == "connect"


def test_a_timeout_of_the_operating_system_is_no_deadline_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    # a kernel takes minutes for this one: it is said in its place
    async def refuse(*_: object) -> None:
        raise TimeoutError(110, "Connection timed out")

    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", refuse)
    error = connecting("http://127.0.0.1:1", connect_timeout=None)
    assert isinstance(error, ConnectFailed)
    assert "Connection timed out" in str(error)


def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    # which names have two addresses depends on the machine: the look-up's answer is put in its place
    async def main() -> None:
        async with serve() as server:
            loop = asyncio.get_running_loop()
            dead, alive = ("127.0.0.1", free_port()), ("127.0.0.1", server.port)

            async def look_up(*_: object, **__: object) -> list[object]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (dead, alive)]

            monkeypatch.setattr(loop, "getaddrinfo", look_up)
            async with connect_pulse(base_url=f"http://two.example:{server.port}", api_key="k") as stream:
                await stream.end_input()

    run(main())


def test_an_address_without_an_answer_does_not_hold_up_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(port: int) -> None:
        async with serve() as server:
            addresses = [("127.0.0.1", port), ("127.0.0.1", server.port)]

            async def look_up(*_: object, **__: object) -> list[object]:
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]

            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
            async with connect_pulse(base_url=f"http://two.example:{port}", api_key="k") as stream:
                await stream.end_input()

    with deaf_port() as port:
        run(main(port), within=30)


def test_families_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    found = [(family, 1, 6, "", (str(i), i)) for i, family in enumerate((six, six, six, four, four))]
    assert [address[4][1] for address in by_turns(found)] == [0, 3, 1, 4, 2]
    assert by_turns([]) == []


# TLS


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for localhost and a client's that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def through_tls(port: int) -> Callable[[Peer], Awaitable[None]]:
    """A proxy to a plain port, for the inside of a TLS server."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def behave(peer: Peer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            pumps = [pump(peer.reader, writer), pump(reader, peer.writer)]
            tasks = [asyncio.create_task(each) for each in pumps]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        finally:
            writer.close()
            await writer.wait_closed()

    return behave


def test_trusted_tls_works_from_end_to_end() -> None:
    server_context, client_context = contexts()

    async def main() -> None:
        async with (
            serve(api_key="k") as server,
            raw_server(through_tls(server.port), ssl=server_context) as url,
            connect_pulse(base_url=url + "/waves/v1", api_key="k", ssl_context=client_context) as stream,
        ):
            assert url.startswith("https://")
            for _ in range(10):
                await stream.send_audio(SECOND)
            await stream.end_input()
            finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
            assert "heard 10.0 seconds" in finals

    run(main())


def test_a_tls_stream_is_closed_in_bounded_time_though_the_server_does_not_answer() -> None:
    server_context, client_context = contexts()

    async def main() -> None:
        async with raw_server(never_reads, ssl=server_context) as url:
            port = int(url.rpartition(":")[2])
            backend = AsyncioBackend()
            plain = await backend.connect("localhost", port, timeout=5)
            stream = await start_tls(backend, plain, client_context, "localhost", port, backend.now() + 5)
            await stream.write(bytes(1024 * 1024 * 16), asyncio.get_running_loop().time())
            await stream.aclose()
            await stream.aclose()
            with pytest.raises(ConnectionLost):
                await stream.write(b"x", None)
            assert await stream.read(None) == b""

    run(main(), within=30)


async def never_reads(peer: Peer) -> None:
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a transport for both ways
    await asyncio.Event().wait()


def test_an_untrusted_certificate_is_refused() -> None:
    server_context, _ = contexts()

    async def main() -> None:
        async with (
            raw_server(silent, ssl=server_context) as url,
            connect_pulse(base_url=url, api_key="k"),
        ):
            pass

    with pytest.raises(ConnectFailed) as caught:
        run(main(), within=30)
    assert caught.value.code == "tls"
    assert not caught.value.retryable
    assert "certificate" in str(caught.value) or "issuer" in str(caught.value)


async def hang_up_at_once(peer: Peer) -> None:
    await peer.reader.read(1)


async def answer_in_plain(peer: Peer) -> None:
    await peer.reader.read(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.until_gone()


@pytest.mark.parametrize("behave", [hang_up_at_once, answer_in_plain])
def test_tls_to_a_plain_port(behave: Callable[[Peer], Awaitable[None]]) -> None:
    async def main() -> None:
        async with raw_server(behave) as url:
            secure = connect_pulse(base_url=url.replace("http:", "https:"), api_key="k")
            await secure.__aenter__()

    with pytest.raises(ConnectFailed, match=r"TLS to|cannot connect to"):
        run(main(), within=30)


def test_tls_that_is_never_answered_is_part_of_the_connect_timeout() -> None:
    async def main() -> None:
        async with raw_server(silent) as url:
            secure = url.replace("http:", "https:")
            async with connect_pulse(base_url=secure, api_key="k", connect_timeout=0.2):
                pass

    with pytest.raises(DeadlineExceeded) as caught:
        run(main(), within=30)
    assert caught.value.code == "connect"


# while the stream is open


async def collect(stream: PulseStream, into: list[TranscriptEvent]) -> None:
    async for event in stream:
        into.append(event)


async def send_for_ever(stream: PulseStream) -> None:
    while True:
        await stream.send_audio(SECOND)
        await asyncio.sleep(0)


def session_with(
    behave: Callable[[Peer], Awaitable[None]], limits: Limits = QUICK, **options: object
) -> list[TranscriptEvent]:
    """All events of a session whose audio is already ended when iteration begins."""

    async def main() -> list[TranscriptEvent]:
        async with raw_server(behave) as url:
            given = PulseOptions(**options)  # type: ignore[arg-type]  # as given
            async with connect_pulse(given, base_url=url, limits=limits) as stream:
                await stream.send_audio(SECOND)
                await stream.end_input()
                return [event async for event in stream]

    return run(main(), within=30)


def test_nonsense_is_reported_and_survived() -> None:
    nonsense = ["not JSON", "[1, 2]", '"text"', "{"]
    wrong_types = {"transcript": 7, "is_final": "yes", "words": [{"start": "now"}], "languages": "en"}

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        for message in nonsense:
            peer.text(message)
        peer.text(wrong_types)
        peer.send(frame(BINARY, b"\x00\xff"))
        peer.text(transcript("still here", is_last=True))
        await peer.until_gone()

    events = session_with(behave)
    assert sum(isinstance(event, UnknownMessage) for event in events) >= len(nonsense) + 1
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["still here"]
    assert events[-1] == StreamEnded(confirmed=True)


def test_a_server_that_never_says_is_last() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.text(transcript("almost", is_final=True))
        await peer.until_gone()

    events = session_with(behave)
    assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["almost"]
    assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")


def test_a_clean_close_instead_of_is_last() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.close_frame(1000)
        await peer.until_gone()

    assert session_with(behave)[-1] == StreamEnded(confirmed=False, reason="closed")


async def open_until_gone(peer: Peer) -> None:
    await peer.accept()
    await peer.until_gone()


def test_a_server_that_does_not_answer_pings() -> None:
    async def main() -> None:
        async with (
            raw_server(open_until_gone) as url,
            connect_pulse(PulseOptions(heartbeat=0.1), base_url=url, limits=QUICK) as stream,
        ):
            async for _ in stream:
                pass

    with pytest.raises(DeadlineExceeded) as caught:
        run(main(), within=30)
    assert caught.value.code == "pong"


def test_events_before_a_drop_come_before_its_error() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(transcript("one", is_final=False))
        peer.text(transcript("one two"))

    async def main() -> None:
        seen: list[TranscriptEvent] = []
        async with raw_server(behave) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            await stream.send_audio(SECOND)
            with pytest.raises(ConnectionLost):
                await collect(stream, seen)
            texts = [e.text for e in seen if isinstance(e, InterimTranscript | FinalTranscript)]
            assert texts == ["one", "one two"]
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

    async def main() -> None:
        async with raw_server(behave) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            with pytest.raises(ServerError) as caught:  # nobody iterates: what came in must not be lost
                await send_for_ever(stream)
            assert caught.value.message == "no more"
            events: list[TranscriptEvent] = []
            with pytest.raises(ServerError):
                await collect(stream, events)
            assert any(isinstance(event, ServerErrorReceived) for event in events)

    run(main(), within=30)


@asynccontextmanager
async def flood(data: bytes) -> AsyncIterator[str]:
    """A server that writes `data` again and again, as fast as it is read."""

    async def behave(peer: Peer) -> None:
        await peer.accept()
        while True:
            peer.send(data)
            await peer.writer.drain()

    async with raw_server(behave) as url:
        yield url


def test_closing_is_bounded_while_the_server_never_stops_sending() -> None:
    async def main() -> None:
        interims = frame(TEXT, b'{"transcript":"x","is_final":false}') * 1000
        async with flood(interims) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            await anext(stream)

    run(main(), within=30)


def test_a_deadline_is_kept_while_the_server_never_stops_sending() -> None:
    async def main() -> None:
        pongs = frame(TEXT, b'{"type":"pong"}') * 1000
        async with flood(pongs) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            await stream.end_input()
            events = [event async for event in stream]
        assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    run(main(), within=30)


async def refuse(peer: Peer) -> None:
    await peer.refuse(401)


async def accept_and_close(peer: Peer) -> None:
    await peer.accept()
    peer.close_frame(1000)


@pytest.mark.parametrize("begin", [refuse, accept_and_close])
def test_the_socket_is_closed_though_the_server_keeps_its_end_open(
    begin: Callable[[Peer], Awaitable[None]],
) -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await begin(peer)
            await peer.until_gone()
            gone.set()

        async with raw_server(behave) as url:
            with pytest.raises(ProtocolError):
                await hear(url)
            await gone.wait()

    run(main(), within=30)


def test_a_deadline_that_a_sender_starts_reaches_the_task_that_iterates() -> None:
    async def main() -> None:
        async with (
            raw_server(open_until_gone) as url,
            connect_pulse(PulseOptions(heartbeat=None), base_url=url, limits=QUICK) as stream,
        ):
            events: list[TranscriptEvent] = []
            reading = asyncio.create_task(collect(stream, events))
            await asyncio.sleep(0)  # it waits now, and for no deadline
            await stream.end_input()
            await reading
            assert events[-1] == StreamEnded(confirmed=False, reason="drain_timeout")

    run(main(), within=30)
