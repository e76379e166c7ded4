"""The local server: what it refuses, how it ends, and what a bad engine or a bad client can do to it."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from smallest_proto.errors import ConnectionLost, HandshakeRejected, ProtocolError, ServerError
from smallest_proto.lightning import AudioChunk, LightningOptions
from smallest_proto.pulse import FinalTranscript, PulseOptions, StreamEnded, TranscriptMessage
from smallest_proto.pulse.messages import ServerMessage
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports.asyncio import PulseStream, connect_lightning, connect_pulse
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.base import (
    EngineError,
    RecognizerSetup,
    Speech,
    SynthesizerSetup,
)
from smallest_transports.loopback.engines.scripted import ScriptedRecognizer, ScriptedSynthesizer
from smallest_transports.loopback.offload import offload
from sockets import QUICK, run, stall, until

SECOND = bytes(32000)


class Engine:
    """A recogniser and its sessions, which misbehaves at the named calls and writes down all of them."""

    def __init__(self, bad: dict[str, Exception] | None = None, block: str = "") -> None:
        self.calls: list[str] = []
        self.sessions: list[Session] = []
        self._bad = bad or {}
        self._block = block
        self.entered = threading.Event()
        self.release = threading.Event()

    def called(self, name: str) -> None:
        self.calls.append(name)
        if name == self._block:
            self.entered.set()
            self.release.wait(10)
        if name in self._bad:
            raise self._bad[name]

    def open(self, setup: RecognizerSetup) -> "Session":
        self.called("open")
        return Session(self)

    def close(self) -> None:
        self.calls.append("engine closed")


class Session:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        self._engine.called("feed")
        return []

    def finalize(self) -> Sequence[ServerMessage]:
        self._engine.called("finalize")
        return [TranscriptMessage(transcript="so far", is_final=True)]

    def finish(self) -> Sequence[ServerMessage]:
        self._engine.called("finish")
        return [TranscriptMessage(transcript="all", is_final=True, is_last=True)]

    def close(self) -> None:
        self._engine.called("close")


class Voice:
    """A synthesiser that says a little and then fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        yield Speech(bytes(200))
        raise self._error

    def close(self) -> None:
        pass


async def transcripts(stream: PulseStream) -> list[str]:
    return [event.text async for event in stream if isinstance(event, FinalTranscript)]


async def converse(
    url: str, seconds: int = 1, *, api_key: str | None = None, finalize: bool = False
) -> list[str]:
    async with connect_pulse(base_url=url, api_key=api_key, resume=False) as stream:
        for _ in range(seconds):
            await stream.send_audio(SECOND)
        if finalize:
            await stream.finalize()
        await stream.end_input()
        return await transcripts(stream)


async def rejection(url: str, **given: object) -> HandshakeRejected:
    with pytest.raises(HandshakeRejected) as caught:
        async with connect_pulse(base_url=url, **given, resume=False):  # type: ignore[arg-type]  # as given
            pass
    return caught.value


# upgrades


def test_a_key_is_asked_for_when_there_is_one() -> None:
    async def main() -> None:
        async with serve(api_key="right") as server:
            assert await converse(server.url, api_key="right") == ["heard 1.0 seconds"]
            wrong = await rejection(server.url, api_key="wrong")
            assert (wrong.status, wrong.body) == (401, b'{"error":"unauthorized"}')
            missing = await rejection(server.url)
            assert (missing.status, missing.message) == (401, "Unauthorized: No tokens provided")
            assert missing.request_id

    run(main())


def test_any_key_and_none_will_do_when_there_is_none() -> None:
    async def main() -> None:
        async with serve() as server:
            assert await converse(server.url)
            assert await converse(server.url, api_key="whatever")

    run(main())


def test_an_empty_key_is_refused_at_the_start() -> None:
    async def main() -> None:
        async with serve(api_key=""):
            pass

    with pytest.raises(ValueError, match="api_key"):
        run(main())


async def raw_request(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("target", "status", "words"),
    [
        ("/waves/v1/pulse/get_text?language=en&sample_rate=7", 400, b"sample_rate"),
        ("/waves/v1/stt/live?language=en", 400, b"model"),
        ("/waves/v1/stt/live?model=pulse-pro&language=en", 400, b"pulse-pro"),
        ("/waves/v1/tts/live?timeout=soon", 400, b"timeout"),
        ("/waves/v1/elsewhere", 404, b"not found"),
        ("/", 404, b"not found"),
    ],
)
def test_bad_targets(target: str, status: int, words: bytes) -> None:
    async def main() -> None:
        async with serve() as server:
            request = (
                f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            )
            answer = await raw_request(server.port, request.encode())
            assert answer.startswith(f"HTTP/1.1 {status} ".encode())
            assert words in answer.partition(b"\r\n\r\n")[2]
            assert await converse(server.url)  # and the server is none the worse for it

    run(main())


@pytest.mark.parametrize(
    "request_bytes",
    [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"\x16\x03\x01\x02\x00\r\n\r\n", b""],
)
def test_what_is_no_upgrade_gets_an_answer_and_an_end(request_bytes: bytes) -> None:
    async def main() -> None:
        async with serve(limits=QUICK) as server:
            answer = await raw_request(server.port, request_bytes)
            assert answer == b"" if not request_bytes else answer.startswith(b"HTTP/1.1 4")

    run(main())


def test_only_this_machine_is_listened_to() -> None:
    async def main() -> None:
        async with serve() as server:
            assert server.url == f"http://127.0.0.1:{server.port}/waves/v1"
            with pytest.raises(ConnectionRefusedError):  # bound to all addresses, it would answer here too
                socket.create_connection(("127.0.0.2", server.port), timeout=2)

    run(main())


def test_a_taken_port_is_an_os_error() -> None:
    async def main() -> None:
        async with serve() as server, serve(port=server.port):
            pass

    with pytest.raises(OSError, match="in use"):
        run(main())


@pytest.mark.parametrize("port", [-1, 65536])
def test_an_impossible_port_is_refused(port: int) -> None:
    async def main() -> None:
        async with serve(port=port):
            pass

    with pytest.raises(ValueError, match="port"):
        run(main())


@pytest.mark.parametrize(
    "mistake", [{"max_connections": 0}, {"api_key": ""}, {"faults": []}, {"port": 99999}]
)
def test_engines_are_closed_when_an_argument_is_refused(mistake: dict[str, Any]) -> None:
    closed: list[str] = []

    class Ears(ScriptedRecognizer):
        def close(self) -> None:
            closed.append("ears")

    class Voice(ScriptedSynthesizer):
        def close(self) -> None:
            closed.append("voice")

    async def main() -> None:
        with pytest.raises((ValueError, OverflowError)):
            async with serve(recognizer=Ears(), synthesizer=Voice(), **mistake):
                pass

    run(main())
    assert sorted(closed) == ["ears", "voice"]


def test_the_port_is_free_again_afterwards() -> None:
    async def main() -> None:
        async with serve() as server:
            await converse(server.url)
        async with serve(port=server.port) as again:
            await converse(again.url)

    run(main())


# sessions


def test_sessions_run_side_by_side() -> None:
    async def main() -> None:
        async with serve() as server:
            answers = await asyncio.gather(*(converse(server.url, seconds) for seconds in range(1, 9)))
            assert [texts[-1] for texts in answers] == [f"heard {n}.0 seconds" for n in range(1, 9)]

    run(main())


@pytest.mark.parametrize("call", ["open", "feed", "finalize", "finish"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (EngineError("no such encoding here"), "no such encoding here"),
        (KeyError("a bug"), "the engine failed"),
    ],
)
def test_an_engine_that_fails_is_an_error_message(call: str, error: Exception, message: str) -> None:
    engine = Engine({call: error})

    async def main() -> None:
        async with serve(recognizer=engine) as server:
            with pytest.raises(ServerError) as caught:
                await converse(server.url, finalize=True)
            assert caught.value.message == message
            engine._bad.clear()
            assert await converse(server.url) == ["all"]  # the server goes on

    run(main())
    assert engine.calls.count("close") == engine.calls.count("open") - (call == "open")
    assert engine.calls[-1] == "engine closed"


@pytest.mark.parametrize(
    ("error", "message"), [(EngineError("no voice"), "no voice"), (ZeroDivisionError(), "the engine failed")]
)
def test_a_voice_that_fails_is_an_error_message(error: Exception, message: str) -> None:
    async def main() -> None:
        async with serve(synthesizer=Voice(error)) as server:
            for _ in range(2):
                async with connect_lightning(base_url=server.url) as stream:
                    context = await stream.speak("Good morning.")
                    assert isinstance(await anext(context), AudioChunk)
                    with pytest.raises(ServerError) as caught:
                        await anext(context)
                    assert caught.value.message == message

    run(main())


def test_an_engine_that_fails_to_close_does_not_end_the_server() -> None:
    engine = Engine({"close": KeyError("a bug")})

    async def main() -> None:
        async with serve(recognizer=engine) as server:
            assert await converse(server.url) == ["all"]
            assert await converse(server.url) == ["all"]

    run(main())


@pytest.mark.parametrize("call", ["open", "feed", "finish"])
def test_a_client_that_leaves_in_mid_call_frees_its_session_once(call: str) -> None:
    engine = Engine(block=call)

    async def main() -> None:
        async with serve(recognizer=engine, limits=QUICK) as server:
            async with connect_pulse(base_url=server.url, limits=QUICK, resume=False) as stream:
                await stream.send_audio(SECOND)
                await stream.end_input()
                await until(engine.entered.is_set)
            engine.release.set()
            await until(lambda: "close" in engine.calls)

    run(main())
    assert engine.calls.count("close") == 1
    assert engine.calls[-1] == "engine closed"


def test_the_server_stops_while_sessions_are_under_way() -> None:
    engine = Engine()
    ends: list[BaseException | None] = []

    async def client(url: str, started: asyncio.Semaphore) -> None:
        try:
            async with connect_pulse(base_url=url, limits=QUICK, resume=False) as stream:
                await stream.send_audio(SECOND)
                started.release()
                await transcripts(stream)
            ends.append(None)
        except ProtocolError as error:
            ends.append(error)

    async def main() -> None:
        started = asyncio.Semaphore(0)
        async with serve(recognizer=engine, limits=QUICK) as server:
            clients = [asyncio.create_task(client(server.url, started)) for _ in range(5)]
            for _ in clients:
                await started.acquire()
        await asyncio.wait(clients)

    run(main(), within=30)
    assert [type(end) for end in ends] == [ConnectionLost] * 5
    assert engine.calls.count("close") == engine.calls.count("open")
    assert engine.calls[-1] == "engine closed"


def test_the_server_stops_while_an_engine_is_busy() -> None:
    engine = Engine(block="feed")

    async def client(url: str) -> None:
        with suppress(ProtocolError):
            async with connect_pulse(base_url=url, limits=QUICK, resume=False) as stream:
                await stream.send_audio(SECOND)
                await transcripts(stream)

    async def main() -> None:
        async with serve(recognizer=engine, limits=QUICK) as server:
            talking = asyncio.create_task(client(server.url))
            await until(engine.entered.is_set)
            asyncio.get_running_loop().call_later(0.1, engine.release.set)
        await talking

    run(main(), within=30)
    assert engine.calls == ["open", "feed", "close", "engine closed"]


def test_the_block_can_be_left_by_an_exception() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url, resume=False):
            raise KeyError("the user's own")

    with pytest.raises(KeyError):
        run(main())


def test_the_server_stops_on_a_loop_that_waits_for_completions_too() -> None:
    """As on Windows: there asyncio has no readers to remove, and says so."""

    async def main() -> None:
        def remove_reader(_: object) -> bool:
            raise NotImplementedError

        asyncio.get_running_loop().remove_reader = remove_reader  # type: ignore[assignment, method-assign]  # no such loop here
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            await stream.end_input()
            assert [type(event) async for event in stream][-1] is StreamEnded

    run(main())


def test_a_client_that_connects_and_says_nothing_does_not_hold_up_the_end() -> None:
    async def main() -> None:
        async with serve() as server:
            stream = await AsyncioBackend().connect("127.0.0.1", server.port, timeout=1)
        assert await stream.read(None) == b""
        await stream.aclose()

    run(main(), within=30)


def test_speech_stops_when_the_client_leaves() -> None:
    spoken = 0

    class Endless(Voice):
        def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
            nonlocal spoken
            try:
                while True:
                    spoken += 1
                    yield Speech(bytes(4800))
            finally:
                closed_in.append(threading.current_thread().name)

    closed_in: list[str] = []

    async def main() -> None:
        async with serve(synthesizer=Endless(KeyError())) as server:
            async with connect_lightning(LightningOptions(), base_url=server.url, limits=QUICK) as stream:
                await anext(await stream.speak("On and on."))
            await until(lambda: closed_in)

    run(main())
    assert closed_in[0].startswith("engine")  # not on the event loop


def test_audio_that_the_engine_cannot_keep_up_with_waits_in_the_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("smallest_transports.loopback.pulse_handler.MAX_WAITING_AUDIO", 64 * 1024)
    engine = Engine(block="feed")

    async def main() -> None:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < 64 * 1024 * 1024:
                await stream.send_audio(SECOND)
                sent += len(SECOND)

        async with (
            serve(recognizer=engine, limits=QUICK) as server,
            connect_pulse(PulseOptions(heartbeat=None), base_url=server.url, resume=False) as stream,
        ):
            sending = asyncio.create_task(send())
            await stall(lambda: sent, 16 * 1024 * 1024)
            sending.cancel()
            await asyncio.wait([sending])
            engine.release.set()
            await stream.end_input()
            assert [event async for event in stream][-1] == StreamEnded(confirmed=True)

    run(main())


# offload


def test_a_call_is_not_abandoned_however_often_it_is_cancelled() -> None:
    engine = Engine(block="open")
    undone: list[object] = []

    async def main() -> None:
        with ThreadPoolExecutor(1) as pool:
            task = asyncio.create_task(offload(pool, lambda: engine.open(RecognizerSetup()), undone.append))
            await until(engine.entered.is_set)
            for _ in range(3):
                task.cancel()
                await asyncio.sleep(0)
            assert not task.done()
            engine.release.set()
            await asyncio.wait([task])
            assert task.cancelled()

    run(main())
    assert len(undone) == 1
