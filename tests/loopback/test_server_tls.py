"""The local server over TLS, and what those find who speak something else there."""

import asyncio
import ssl
from contextlib import suppress

import pytest
import trustme

from smallest_proto.errors import ConnectFailed, ConnectionLost, DeadlineExceeded, ProtocolError
from smallest_proto.lightning import AudioChunk, LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchAudio, BatchResult, PulseOptions, StreamEnded
from smallest_proto.wav import wav_file
from smallest_transports.asyncio import connect_lightning, connect_pulse, synthesize, transcribe
from smallest_transports.loopback import Faults, LoopbackServer, serve
from sockets import QUICK, run, until

KEY = "right"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def client_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def converse(server: LoopbackServer, context: ssl.SSLContext | None) -> None:
    async with connect_pulse(base_url=server.url, api_key=KEY, ssl_context=context, resume=False) as stream:
        await stream.send_audio(bytes(32000))
        await stream.end_input()
        events = [event async for event in stream]
    assert events[-1] == StreamEnded(confirmed=True)


def test_both_protocols_run_over_it(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(ssl_context=server_side, api_key=KEY) as server:
            assert server.url == f"https://localhost:{server.port}/waves/v1"
            await converse(server, client_side)
            connect = {"base_url": server.url, "api_key": KEY, "ssl_context": client_side}
            options = LightningOptions(text_mode="segment")
            async with connect_lightning(options, **connect) as stream:  # type: ignore[arg-type]  # as they are
                events = [event async for event in await stream.speak("Good morning.")]
                assert any(isinstance(event, AudioChunk) for event in events)
            wav = BatchAudio(wav_file(bytes(32000), 16000))
            assert isinstance(await transcribe(wav, **connect), BatchResult)  # type: ignore[arg-type]  # likewise
            async with synthesize("Hello.", **connect) as speech:  # type: ignore[arg-type]  # likewise
                assert isinstance(await anext(speech), AudioChunk)

    run(main())


def test_more_than_a_socket_buffer_goes_through(
    server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with serve(ssl_context=server_side) as server:
            async with connect_pulse(
                base_url=server.url, api_key=KEY, ssl_context=client_side, resume=False
            ) as stream:
                for _ in range(100):
                    await stream.send_audio(bytes(32000))
                await stream.end_input()
                events = [event async for event in stream]
            assert events[-1] == StreamEnded(confirmed=True)

    run(main())


def test_a_client_that_does_not_trust_the_certificate_stays_away(server_side: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(ssl_context=server_side) as server:
            with pytest.raises(ConnectFailed):
                await converse(server, ssl.create_default_context())
            await until(lambda: not server._sessions)

    run(main())


NO_TLS = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"", b"\x00" * 1000, b"\x16\x03\x01\xff\xff" + bytes(100)]


@pytest.mark.parametrize("said", NO_TLS)
def test_what_is_no_tls_does_no_harm(
    said: bytes,
    server_side: ssl.SSLContext,
    client_side: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # that the connection is gone has to be noticed, not waited for
    monkeypatch.setattr("smallest_transports._asyncio_backend.CLOSE_TIMEOUT", 60.0)

    async def main() -> None:
        async with serve(ssl_context=server_side, limits=QUICK) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(said)
            try:
                assert b"HTTP" not in await reader.read()
            except ConnectionResetError:
                pass
            finally:
                writer.close()
            await until(lambda: not server._sessions)
            await converse(server, client_side)

    run(main())


def test_a_handshake_without_end_is_ended_in_time(server_side: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(ssl_context=server_side, limits=Limits(handshake_timeout=0.2)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\x16\x03\x01")
            assert await reader.read() == b""
            writer.close()

    run(main())


def test_the_server_stops_in_the_middle_of_a_handshake(server_side: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(ssl_context=server_side, limits=Limits(handshake_timeout=None)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\x16\x03\x01")
            await until(lambda: server._sessions)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()

    run(main())


def test_tls_on_a_plain_port_does_no_harm(client_side: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(limits=QUICK) as server:
            with pytest.raises((ssl.SSLError, OSError)):
                await asyncio.open_connection("localhost", server.port, ssl=client_side)
            await until(lambda: not server._sessions)
            async with connect_pulse(base_url=server.url, resume=False):
                pass

    run(main())


@pytest.mark.parametrize(
    ("faults", "kind"),
    [
        (Faults(hang_up=True), ConnectionLost),
        (Faults(reset=True), ConnectionLost),
        (Faults(no_answer="reset"), ConnectionLost),
        (Faults(stop_reading=True), DeadlineExceeded),
    ],
)
def test_mischief_works_on_it(
    faults: Faults, kind: type[ProtocolError], server_side: ssl.SSLContext, client_side: ssl.SSLContext
) -> None:
    async def talk(server: LoopbackServer) -> None:
        options = PulseOptions(heartbeat=0.2)
        async with connect_pulse(
            options, base_url=server.url, api_key=KEY, ssl_context=client_side, limits=QUICK, resume=False
        ) as stream:
            await stream.send_audio(bytes(32000))
            async for _ in stream:
                pass

    async def main() -> None:
        async with serve(ssl_context=server_side, limits=QUICK, faults=faults) as server:
            with pytest.raises(kind):
                await talk(server)

    run(main())


def test_a_context_for_clients_is_refused(client_side: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(ssl_context=client_side):
            pass

    with pytest.raises(ValueError, match="ssl_context"):
        run(main())
