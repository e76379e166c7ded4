"""How many connections and how much text the local server takes, what it remembers, and how it drains."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from smallest_proto.errors import ConnectionLost, HandshakeRejected, ServerError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.lightning import AudioChunk, ContextComplete, LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseOptions, StreamEnded
from smallest_transports.asyncio import PulseStream, connect_lightning, connect_pulse, list_voices, synthesize
from smallest_transports.loopback import Faults, LoopbackServer, serve
from smallest_transports.loopback.engines.base import Speech, SynthesizerSetup
from sockets import QUICK, frame, run, stall, until

SEGMENT = LightningOptions(text_mode="segment")
HTTP = b"GET /waves/v1/lightning-v3.1/get_voices HTTP/1.1\r\nHost: x\r\n\r\n"


class Gated:
    """A synthesiser that says a little, and the rest when it is let."""

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()
        self.texts: list[str] = []

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        self.texts.append(text)
        yield Speech(bytes(200))
        self.entered.set()
        self.release.wait(10)
        yield Speech(bytes(200))

    def close(self) -> None:
        self.release.set()


async def all_of(stream: PulseStream) -> list[Event]:
    return [event async for event in stream]


async def heard_by(stream: PulseStream) -> list[Event]:
    async with stream:
        return await all_of(stream)


async def closed(stream: object) -> ConnectionClosed:
    """The last event of a connection."""
    last: Event | None = None
    while (event := await stream.next_event()) is not None:  # type: ignore[attr-defined]  # of either protocol
        last = event
    assert isinstance(last, ConnectionClosed)
    return last


async def upgraded(server: LoopbackServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A Lightning connection of which every byte is the test's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /waves/v1/tts/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def fragment(text: str) -> bytes:
    """A piece of text for one context."""
    message = {"voice_id": "meher", "text": text, "context_id": "one", "continue": True}
    return frame(1, json.dumps(message).encode(), masked=True)


# how many


@pytest.mark.parametrize(("too_many", "status"), [("503", 503), ("429", 429)])
def test_one_too_many_is_refused_until_another_has_left(too_many: str, status: int) -> None:
    faults = Faults(too_many=too_many, retry_after=4)  # type: ignore[arg-type]  # one of its words

    async def main() -> None:
        async with serve(max_connections=2, faults=faults) as server:
            async with (
                connect_pulse(base_url=server.url, resume=False),
                connect_pulse(base_url=server.url, resume=False) as second,
            ):
                for connection in (
                    connect_pulse(base_url=server.url, resume=False),
                    connect_lightning(base_url=server.url),
                ):
                    with pytest.raises(HandshakeRejected) as refused:
                        await connection.__aenter__()
                    assert (refused.value.status, refused.value.retry_after) == (status, 4.0)
                    assert refused.value.retryable
                with pytest.raises(ServerError) as turned_away:
                    await list_voices(base_url=server.url)
                assert (turned_away.value.status, turned_away.value.retry_after) == (status, 4.0)
                await second.end_input()
                assert await all_of(second)
            await until(lambda: not server._sessions)
            async with (
                connect_pulse(base_url=server.url, resume=False),
                connect_pulse(base_url=server.url, resume=False),
            ):
                pass

    run(main())


def test_one_too_many_can_be_closed_with_1008() -> None:
    async def main() -> None:
        async with (
            serve(max_connections=1, faults=Faults(too_many="1008")) as server,
            connect_pulse(base_url=server.url, resume=False),
        ):
            stream = connect_pulse(base_url=server.url, resume=False)
            with pytest.raises(ServerError) as refused:
                await heard_by(stream)
            assert (refused.value.status, refused.value.retryable) == (1008, True)
            with pytest.raises(HandshakeRejected) as rejected:
                await connect_lightning(base_url=server.url).__aenter__()
            assert rejected.value.status == 503

    run(main())


def test_a_flood_is_cut_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallest_transports.loopback.server.MAX_REFUSALS", 3)

    async def main() -> None:
        async with serve(max_connections=1) as server:
            pairs = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
            with suppress(ConnectionResetError):  # the fifth: none has asked for anything yet
                assert await pairs[-1][0].read() == b""
            assert len(server._sessions) == 4
            for _, writer in pairs:
                writer.close()
            await until(lambda: not server._sessions)

    run(main())


@pytest.mark.parametrize("most", [0, -1, True, 1.5])
def test_an_impossible_number_is_refused(most: int) -> None:
    async def main() -> None:
        async with serve(max_connections=most):
            pass

    with pytest.raises(ValueError, match="max_connections"):
        run(main())


def test_a_message_beyond_the_limit_closes_with_1009() -> None:
    async def main() -> None:
        small = Limits(max_message_bytes=1000)
        async with serve(limits=small) as server, connect_pulse(base_url=server.url, resume=False) as stream:
            await stream.send_audio(bytes(32000))
            assert (await closed(stream)).code == 1009

    run(main())


def test_text_that_the_voice_cannot_keep_up_with_waits_in_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallest_transports.loopback.lightning_handler.MAX_WAITING_TEXT", 64 * 1024)
    voice = Gated()

    async def main() -> None:
        sent = 0

        async def send(writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            while sent < 64 * 1024 * 1024:
                writer.write(fragment("a" * 10_000))
                await writer.drain()
                sent += 10_000

        async with serve(synthesizer=voice, limits=QUICK) as server:
            _, writer = await upgraded(server)
            writer.write(fragment("Begin. "))
            sending = asyncio.create_task(send(writer))
            await stall(lambda: sent, 16 * 1024 * 1024)
            sending.cancel()
            await asyncio.wait([sending])
            voice.release.set()
            writer.transport.abort()

    run(main())
    assert voice.texts[0] == "Begin."


def test_a_release_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallest_transports.loopback.lightning_handler.MAX_TEXT", 1000)

    async def main() -> None:
        async with serve() as server, connect_lightning(base_url=server.url) as stream:
            context = await stream.open_context()
            for _ in range(11):
                await context.send_text("a" * 100)
            with pytest.raises(ServerError) as caught:
                await anext(context)
            assert "1000 characters" in caught.value.message

    run(main())


# what is remembered


def test_requests_are_remembered_without_credentials() -> None:
    async def main() -> None:
        async with serve(api_key="secret") as server:
            given = {
                "base_url": server.url,
                "api_key": "secret",
                "headers": {"X-Trace": "7", "Cookie": "secret"},
            }
            async with connect_pulse(PulseOptions(language="hi"), **given, resume=False):  # type: ignore[arg-type]  # as they are
                pass
            await list_voices(**given)  # type: ignore[arg-type]  # likewise
            with pytest.raises(HandshakeRejected):
                await connect_pulse(base_url=server.url, api_key="another", resume=False).__aenter__()
            upgrade, voices, refused = server.requests
            assert upgrade.method == "GET"
            assert upgrade.target.startswith("/waves/v1/pulse/get_text?language=hi&encoding=linear16")
            assert ("x-trace", "7") in upgrade.headers
            assert "get_voices" in voices.target or "voices" in voices.target
            assert refused.target.startswith("/waves/v1/pulse/get_text")
            assert "secret" not in repr([(one.target, one.headers, one) for one in server.requests])
            assert "hi" not in repr(upgrade).split("get_text")[1]

    run(main())


def test_only_the_newest_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smallest_transports.loopback.server.KEPT_REQUESTS", 3)

    async def main() -> None:
        async with serve() as server:
            for number in range(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(f"GET /{number} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                await reader.read()
                writer.close()
            assert [request.target for request in server.requests] == ["/2", "/3", "/4"]

    run(main())


# draining


def test_what_is_idle_is_closed_at_once_and_what_is_under_way_may_finish() -> None:
    voice = Gated()

    async def main() -> None:
        async with (
            serve(synthesizer=voice) as server,
            connect_lightning(SEGMENT, base_url=server.url) as idle,
            connect_lightning(SEGMENT, base_url=server.url) as speaking,
            connect_pulse(base_url=server.url, resume=False) as hearing,
            synthesize("Hello.", base_url=server.url) as reading,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)  # keep-alive, answered
            writer.write(HTTP)
            await reader.readuntil(b"\r\n\r\n")
            silent, unsaid = await asyncio.open_connection("127.0.0.1", server.port)
            context = await speaking.speak("Good morning.")
            heard: list[object] = [await anext(context)]
            await hearing.send_audio(bytes(32000))
            first = await anext(reading)
            assert isinstance(first, AudioChunk)
            draining = asyncio.create_task(server.drain(20))

            gone = await closed(idle)
            assert (gone.code, gone.reason) == (1001, "going away")
            await reader.read()  # to its end
            assert await silent.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)
            assert not draining.done()

            voice.release.set()
            heard += [event async for event in context]
            assert isinstance(heard[-1], ContextComplete)
            assert (await closed(speaking)).code == 1001
            assert (
                sum(len(e.pcm) for e in [first, *[e async for e in reading]] if isinstance(e, AudioChunk))
                == 400
            )
            await hearing.end_input()
            assert (await all_of(hearing))[-1] == StreamEnded(confirmed=True)
            await draining
            for end in (writer, unsaid):
                end.close()

    run(main())


def test_what_takes_too_long_is_closed_with_1001() -> None:
    async def main() -> None:
        async with (
            serve(limits=QUICK) as server,
            connect_pulse(base_url=server.url, limits=QUICK, resume=False) as stream,
        ):
            await stream.send_audio(bytes(32000))
            draining = asyncio.create_task(server.drain(0.1))
            with pytest.raises(ConnectionLost) as caught:
                await all_of(stream)
            assert caught.value.status == 1001
            await draining

    run(main())


def test_a_drain_that_is_cancelled_goes_on_to_the_end() -> None:
    async def main() -> None:
        async with (
            serve(limits=QUICK) as server,
            connect_pulse(base_url=server.url, limits=QUICK, resume=False) as stream,
        ):
            await stream.send_audio(bytes(32000))
            draining = asyncio.create_task(server.drain(60))
            await asyncio.sleep(0)
            draining.cancel()
            await asyncio.wait([draining])
            await stream.end_input()
            assert (await all_of(stream))[-1] == StreamEnded(confirmed=True)

    run(main())


def test_the_end_of_the_server_is_1001_too() -> None:
    async def main() -> None:
        async with serve(limits=QUICK) as server:
            stream = connect_lightning(SEGMENT, base_url=server.url, limits=QUICK)
            await stream.__aenter__()
            ending = asyncio.create_task(closed(stream))
            await asyncio.sleep(0)
        assert (await ending).code == 1001
        await stream.aclose()

    run(main())


def test_a_drained_server_can_be_drained_again() -> None:
    async def main() -> None:
        async with serve() as server:
            await server.drain(1)
            await server.drain(0)

    run(main())


@pytest.mark.parametrize("seconds", [-1, float("nan"), "5"])
def test_impossible_seconds_are_refused(seconds: float) -> None:
    async def main() -> None:
        async with serve() as server:
            await server.drain(seconds)

    with pytest.raises(ValueError, match="seconds"):
        run(main())


def test_a_client_that_never_answers_the_close_does_not_hold_up_the_end() -> None:
    async def main() -> None:
        async with serve(limits=QUICK) as server:
            reader, writer = await upgraded(server)
            await server.drain(5)
            assert (await reader.read()).startswith(b"\x88\x0c\x03\xe9going away")
            writer.close()

    run(main())
