"""The local server over HTTP: every answer it gives, beside its WebSockets, and what bad clients can do to it."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from http_faults import HASTY
from smallest_proto.errors import ConnectionLost, ServerError
from smallest_proto.events import Event
from smallest_proto.lightning import AudioChunk
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    BatchAudio,
    BatchOptions,
    BatchPcm,
    BatchResult,
    ErrorMessage,
    PulseOptions,
    StreamEnded,
    TranscriptMessage,
)
from smallest_proto.pulse.messages import ServerMessage
from smallest_proto.wav import wav_file
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports.asyncio import connect_pulse, list_voices, synthesize, transcribe
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.base import EngineError, RecognizerSetup, Speech, SynthesizerSetup
from sockets import run, stall, until

WAV = wav_file(bytes(64000), 16000)
SPEAK = json.dumps({"voice_id": "meher", "text": "Good morning.", "sample_rate": 24000}).encode()
BATCH = "/waves/v1/stt/?model=pulse&language=en&word_timestamps=true"


class Answered(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> object:
        return json.loads(self.body)


class Client:
    """One connection of a client that knows HTTP from the outside only."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", "Host: x"]
        lines += [] if "Transfer_Encoding" in headers else [f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    async def answer(self) -> Answered:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            body = b"".join([piece async for piece in self.chunks()])
        return Answered(int(status.split()[1]), headers, body)

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readline()).strip(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readexactly(2)

    async def exchange(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answered:
        self.ask(method, target, body, **headers)
        return await self.answer()

    async def at_end(self) -> bool:
        return await self.reader.read() == b""


async def connected(port: int) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", port))


def asked_once(
    method: str, target: str, body: bytes = b"", *, api_key: str | None = None, **headers: str
) -> Answered:
    """What a fresh server answers to one request."""

    async def main() -> Answered:
        async with serve(api_key=api_key) as server, await connected(server.port) as client:
            return await client.exchange(method, target, body, **headers)

    return run(main())


class Engine:
    """A recogniser and its only kind of session, which misbehaves at one call and counts all."""

    def __init__(self, bad: str = "", error: Exception | None = None, block: str = "") -> None:
        self.calls: list[str] = []
        self.setups: list[RecognizerSetup] = []
        self.entered, self.release = threading.Event(), threading.Event()
        self._bad, self._error, self._block = bad, error, block

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self._block:
            self.entered.set()
            self.release.wait(10)
        if name == self._bad and self._error is not None:
            raise self._error

    def open(self, setup: RecognizerSetup) -> "Engine":
        self.setups.append(setup)
        self._called("open")
        return self

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        self._called("feed")
        return []

    def finalize(self) -> Sequence[ServerMessage]:
        return []

    def finish(self) -> Sequence[ServerMessage]:
        self._called("finish")
        return [TranscriptMessage(transcript="all", is_final=True, is_last=True)]

    def close(self) -> None:
        self.calls.append("close")


class Voice:
    """A synthesiser that says some pieces and then fails, or goes on for ever without an error."""

    def __init__(self, pieces: int = 0, error: Exception | None = None) -> None:
        self._pieces, self._error = pieces, error
        self.spoken = 0
        self.closed_in: list[str] = []

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        try:
            while self._error is None or self.spoken < self._pieces:
                self.spoken += 1
                yield Speech(bytes(4800))
            raise self._error
        finally:
            self.closed_in.append(threading.current_thread().name)

    def close(self) -> None:
        pass


# one port


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


# recordings


@pytest.mark.parametrize(
    "target", [BATCH, "/waves/v1/pulse/get_text?language=en&word_timestamps=true", f"/any/prefix{BATCH}"]
)
def test_a_recording_is_transcribed(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)  # the plainest of files needs no package
    found = asked_once("POST", target, WAV, Content_Type="audio/wav")
    assert found.status == 200
    assert found.headers["x-request-id"]
    document = found.json
    assert isinstance(document, dict)
    assert document["transcription"] == "heard 2.0 seconds"
    assert [word["word"] for word in document["words"]] == ["heard", "2.0", "seconds"]
    assert [(u["text"], u["end"]) for u in document["utterances"]] == [("heard 2.0 seconds", 2.0)]
    assert document["metadata"] == {"duration": 2.0}
    assert "request_id" not in document


def test_pulse_pro_answers_in_its_own_shape() -> None:
    found = asked_once("POST", BATCH.replace("pulse", "pulse-pro", 1), WAV, Content_Type="audio/wav")
    document = found.json
    assert isinstance(document, dict)
    assert document["language"] == "en"
    assert document["request_id"]
    assert "utterances" not in document


def encoded(kind: str, channels: int = 1, rate: int = 16000, subtype: str | None = None) -> bytes:
    file = BytesIO()
    soundfile.write(file, np.zeros((rate * 2, channels)), rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded("WAV", channels=2),
        encoded("WAV", subtype="FLOAT"),
        encoded("WAV", rate=11025),
        encoded("FLAC", rate=44100),
        encoded("OGG"),
        wav_file(bytes(64000), 16000)[:-1] + b"\0" + b"LIST\x04\0\0\0abcd",
    ],
    ids=["stereo", "float", "an odd rate", "flac", "ogg", "chunks after the samples"],
)
def test_other_recordings_are_decoded(data: bytes) -> None:
    found = asked_once("POST", BATCH, data, Content_Type="application/octet-stream")
    assert found.status == 200, found.body
    assert found.json["transcription"] == "heard 2.0 seconds"  # type: ignore[index]  # or it fails


NOT_SOUND = [
    b"no sound at all",
    b"RIFF",
    b"RIFF\0\0\0\0WAVE",
    wav_file(b"", 16000),
    WAV[:45],
    wav_file(b"\0\0", 3),
]


@pytest.mark.parametrize("data", NOT_SOUND)
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    found = asked_once("POST", BATCH, data, Content_Type="audio/wav")
    assert found.status == 400
    assert "the recording" in found.json["error"]  # type: ignore[index]  # or it fails


def test_a_recording_that_needs_a_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    found = asked_once("POST", BATCH, b"fLaC", Content_Type="audio/flac")
    assert found.status == 400
    assert "soundfile" in found.json["error"]  # type: ignore[index]  # or it fails


@pytest.mark.parametrize(
    ("query", "body", "content_type", "words"),
    [
        ("", b'{"url":"http://127.0.0.1/x.wav"}', "application/json", "fetches nothing"),
        ("&webhook_url=http://127.0.0.1/x", WAV, "audio/wav", "calls no webhook"),
        ("", b"", "audio/wav", "no audio"),
        ("", WAV, "text/plain", "file type"),
        ("", b"{}", "application/json", "url"),
    ],
)
def test_what_is_not_done_here_is_refused(query: str, body: bytes, content_type: str, words: str) -> None:
    found = asked_once("POST", BATCH + query, body, Content_Type=content_type)
    assert found.status == 400
    assert words in found.json["error"]  # type: ignore[index]  # or it fails


def test_an_unknown_language_is_no_business_of_the_servers_user() -> None:
    assert asked_once("POST", BATCH.replace("=en", "=tlh"), WAV, Content_Type="audio/wav").status == 200


def test_the_engine_is_told_what_was_asked() -> None:
    engine = Engine()

    async def main() -> None:
        async with serve(recognizer=engine) as server:
            for model, words in (("pulse", True), ("pulse", False), ("pulse-pro", True)):
                options = BatchOptions(model=model, word_timestamps=words)
                result = await transcribe(BatchPcm(bytes(200_000), 8000), options, base_url=server.url)
                assert isinstance(result, BatchResult)
                assert result.text == "all"

    run(main())
    assert [(s.sample_rate, s.word_timestamps, s.sentence_timestamps) for s in engine.setups] == [
        (8000, True, True),
        (8000, False, False),
        (8000, True, False),
    ]
    assert engine.calls[:7] == ["open", *["feed"] * 4, "finish", "close"]


# speech


@pytest.mark.parametrize("output_format", ["pcm", "wav", "mp3", "ulaw", "alaw"])
def test_the_type_is_what_the_service_says_of_every_format(output_format: str) -> None:
    body = json.dumps({**json.loads(SPEAK), "output_format": output_format, "request_id": "mine"}).encode()
    found = asked_once("POST", "/waves/v1/tts", body)
    assert (found.status, found.headers["content-type"]) == (200, "audio/wav")
    assert found.headers["x-external-request-id"] == "mine"
    assert found.headers["x-request-id"]
    assert found.headers["transfer-encoding"] == "chunked"
    assert found.body


@pytest.mark.parametrize("output_format", ["mp3", "ulaw", "alaw"])
def test_a_format_that_needs_a_package_says_so(output_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    body = json.dumps({**json.loads(SPEAK), "output_format": output_format}).encode()
    found = asked_once("POST", "/waves/v1/tts", body)
    assert found.status == 400
    assert "soundfile" in found.json["message"]  # type: ignore[index]  # or it fails


def test_events_are_in_the_current_framing() -> None:
    found = asked_once("POST", "/waves/v1/tts/live", SPEAK)
    assert found.headers["content-type"] == "text/event-stream"
    assert found.body.startswith(b"event: audio\n")
    assert b'"done":true' in found.body.split(b"\n\n")[-2]


def test_audio_leaves_as_it_is_made() -> None:
    held, spoken = threading.Event(), threading.Event()

    class Hesitant(Voice):
        def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
            yield Speech(bytes(100))
            spoken.set()
            held.wait(10)
            yield Speech(bytes(60))

    async def main() -> None:
        async with serve(synthesizer=Hesitant()) as server:
            for via in ("http", "sse"):
                held.clear()
                async with synthesize("Hi", via=via, base_url=server.url) as speech:
                    assert isinstance(await anext(speech), AudioChunk)
                    held.set()
                    assert len([event async for event in speech]) >= 1

    run(main(), within=5)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"text":"Hi"}', b'{"text":" ","voice_id":"x"}'])
def test_bad_requests_to_speak(body: bytes) -> None:
    assert asked_once("POST", "/waves/v1/tts", body).status == 400


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/"), ("GET", BATCH), ("POST", "/waves/v1/lightning-v3.1/get_voices"), ("PUT", "/waves/v1/tts")],
)
def test_what_is_not_there(method: str, target: str) -> None:
    found = asked_once(method, target)
    assert (found.status, found.json) == (404, {"error": "not found"})


# keys


def test_the_key_is_asked_for() -> None:
    for given, body in (
        ({}, {"message": "Unauthorized: No tokens provided"}),
        ({"Authorization": "Bearer wrong"}, {"error": "unauthorized"}),
        ({"Authorization": "Bearer sch\u00fcssel"}, {"error": "unauthorized"}),
    ):
        found = asked_once("POST", BATCH, WAV, api_key="right", Content_Type="audio/wav", **given)
        assert (found.status, found.json) == (401, body)
        assert found.headers["x-request-id"]
    right = asked_once(
        "POST", BATCH, WAV, api_key="right", Authorization="Bearer right", Content_Type="audio/wav"
    )
    assert right.status == 200


def test_a_connection_outlives_a_wrong_key() -> None:
    async def main() -> None:
        async with serve(api_key="right") as server, await connected(server.port) as client:
            for key, status in (("wrong", 401), ("right", 200), ("wrong", 401), ("right", 200)):
                found = await client.exchange(
                    "GET", "/lightning-v3.1/get_voices", Authorization=f"Bearer {key}"
                )
                assert found.status == status

    run(main())


def test_a_refusal_reaches_a_client_that_is_still_sending() -> None:
    async def main(expected: int, **given: object) -> None:
        async with serve(**given) as server:  # type: ignore[arg-type]  # as given
            for _ in range(5):
                with pytest.raises(ServerError) as caught:
                    await transcribe(BatchPcm(bytes(20_000_000), 16000), base_url=server.url, api_key="wrong")
                assert caught.value.status == expected

    run(main(401, api_key="right"))
    run(main(413, limits=Limits(max_request_body=1000)))


def test_the_server_reads_on_after_a_refusal() -> None:
    """Hanging up on a client that still sends can take the answer from it."""

    async def main() -> None:
        async with (
            serve(limits=Limits(max_request_body=1000)) as server,
            await connected(server.port) as client,
        ):
            client.ask("POST", "/waves/v1/tts", Content_Type="audio/wav", Transfer_Encoding="chunked")
            client.writer.write(b"1000\r\n" + bytes(0x1000))
            assert (await client.answer()).status == 413
            for _ in range(20):
                client.writer.write(bytes(1_000_000))
                await client.writer.drain()

    run(main())


# bad clients


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, 431),
        (b"GET /", 408),
        (b"POST /waves/v1/tts HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{", 408),
        (b"POST /waves/v1/tts HTTP/1.1\r\nHost: x\r\nContent-Length: 251000000\r\n\r\n", 413),
        (b"POST /waves/v1/tts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\n", 400),
    ],
)
def test_bad_bytes_get_an_answer_and_an_end(sent: bytes, status: int) -> None:
    async def main() -> None:
        async with serve(limits=HASTY) as server:
            async with await connected(server.port) as client:
                client.writer.write(sent)
                found = await client.answer()
                assert found.status == status
                assert await client.at_end()
            assert await list_voices(base_url=server.url)

    run(main(), within=5)


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_silent_client_is_left(sent: bytes) -> None:
    async def main() -> None:
        async with serve(limits=HASTY) as server, await connected(server.port) as client:
            client.writer.write(sent)
            if sent:
                await client.answer()
            assert await client.at_end()

    run(main(), within=5)


def test_an_upgrade_that_is_never_complete_is_left() -> None:
    async def main() -> None:
        async with serve(limits=HASTY) as server, await connected(server.port) as client:
            client.writer.write(b"GET /waves/v1/pulse/get_text HTTP/1.1\r\nUpgrade: websocket\r\n")
            assert (await client.answer()).status == 408
            assert await client.at_end()

    run(main(), within=5)


def test_a_client_that_does_not_read_stops_the_voice() -> None:
    voice = Voice()

    async def main() -> None:
        async with serve(synthesizer=voice, limits=HASTY) as server:
            stream = await AsyncioBackend().connect("127.0.0.1", server.port, timeout=1)
            head = f"POST /tts HTTP/1.1\r\nHost: x\r\nContent-Length: {len(SPEAK)}\r\n\r\n".encode()
            await stream.write(head + SPEAK, None)
            await until(lambda: voice.closed_in)
            await stream.aclose()

    run(main())
    assert voice.closed_in[0].startswith("engine")
    assert voice.spoken * 4800 < 64 * 1024 * 1024


def test_a_slow_client_holds_the_voice_back() -> None:
    voice = Voice()

    async def main() -> None:
        async with serve(synthesizer=voice) as server, synthesize("Hi", base_url=server.url) as speech:
            assert isinstance(await anext(speech), AudioChunk)
            await stall(lambda: voice.spoken * 4800, 16 * 1024 * 1024)
            assert not voice.closed_in
        assert voice.closed_in

    run(main())


def test_a_client_that_leaves_frees_the_recogniser_once() -> None:
    engine = Engine(block="feed")

    async def main() -> None:
        async with serve(recognizer=engine) as server:
            calling = asyncio.create_task(transcribe(BatchPcm(bytes(300_000), 16000), base_url=server.url))
            await until(engine.entered.is_set)
            calling.cancel()
            await asyncio.wait([calling])
            await until(
                lambda: any(task.cancelling() for task in asyncio.all_tasks())
            )  # the server has seen it
            engine.release.set()
            await until(lambda: "close" in engine.calls)
            assert engine.calls == ["open", "feed", "close"]

    run(main())


def test_the_server_stops_in_the_middle_of_everything() -> None:
    engine, voice = Engine(block="feed"), Voice()

    async def main() -> None:
        async with serve(recognizer=engine, synthesizer=voice) as server:

            async def hear() -> None:
                with pytest.raises(ConnectionLost):
                    await transcribe(BatchPcm(bytes(32000), 16000), base_url=server.url)

            async def listen() -> None:
                async with synthesize("Hi", base_url=server.url) as speech:
                    with pytest.raises(ConnectionLost):
                        [event async for event in speech]

            tasks = [asyncio.create_task(hear()), asyncio.create_task(listen())]
            idle = await connected(server.port)
            await until(lambda: engine.entered.is_set() and voice.spoken > 3)
            asyncio.get_running_loop().call_later(0.1, engine.release.set)
        await asyncio.gather(*tasks)
        assert await idle.at_end()
        idle.writer.close()

    run(main(), within=8)


# bad engines

FAILURES = pytest.mark.parametrize(
    ("error", "message"),
    [(EngineError("no such voice here"), "no such voice here"), (KeyError("a bug"), "the engine failed")],
)


@FAILURES
@pytest.mark.parametrize("call", ["open", "feed", "finish"])
def test_a_recogniser_that_fails_is_a_500(call: str, error: Exception, message: str) -> None:
    engine = Engine(call, error)

    async def main() -> None:
        async with serve(recognizer=engine) as server, await connected(server.port) as client:
            for _ in range(2):  # on one connection
                found = await client.exchange("POST", BATCH, WAV, Content_Type="audio/wav")
                assert found.status == 500
                assert found.json == {"error": "InternalServerError", "message": message}

    run(main())
    assert engine.calls.count("close") == 1 + engine.calls.count("open") * (call != "open")


def test_an_error_message_of_a_recogniser_is_a_500() -> None:
    class Complaining(Engine):
        def finish(self) -> Sequence[ServerMessage]:
            return [ErrorMessage(message="too quiet")]

    async def main() -> None:
        async with serve(recognizer=Complaining()) as server:
            with pytest.raises(ServerError) as caught:
                await transcribe(BatchAudio(WAV), base_url=server.url)
            assert (caught.value.status, caught.value.message) == (500, "too quiet")

    run(main())


@FAILURES
@pytest.mark.parametrize("via", ["http", "sse"])
@pytest.mark.parametrize("pieces", [0, 2])
def test_a_voice_that_fails(via: str, pieces: int, error: Exception, message: str) -> None:
    async def main() -> None:
        patient = Limits(close_timeout=60.0)  # and yet nobody waits for a connection that was cut
        async with serve(synthesizer=Voice(pieces, error), limits=patient) as server:
            heard: list[Event] = []

            async def listen() -> None:
                async with synthesize("Hi", via=via, base_url=server.url) as speech:  # type: ignore[arg-type]  # as given
                    async for event in speech:
                        heard.append(event)

            with pytest.raises((ServerError, ConnectionLost)) as caught:
                await listen()
            assert sum(len(event.pcm) for event in heard if isinstance(event, AudioChunk)) == pieces * 4800
            if isinstance(caught.value, ServerError):
                assert caught.value.message == message
                assert caught.value.status == (None if pieces else 500)
            else:  # a body can only be cut
                assert (via, pieces) == ("http", 2)
            assert await list_voices(base_url=server.url)

    run(main())


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
