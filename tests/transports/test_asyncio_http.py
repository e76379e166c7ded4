"""Requests over HTTP on asyncio: what comes back, every way that it can fail, and nothing left behind."""

import asyncio
import io
import logging
import pickle
import socket
import traceback
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from faults import Fault
from http_faults import CHUNKED, HASTY, HTTP_FAULTS, SIZED, answered, read_whole_request
from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import Event
from smallest_proto.lightning import (
    AudioChunk,
    EncodedAudio,
    LightningOptions,
    OutputFormat,
    SpeechComplete,
    audio_event,
    done_event,
    error_event,
)
from smallest_proto.pulse import BatchAccepted, BatchAudio, BatchOptions, BatchPcm, BatchResult, BatchUrl
from smallest_proto.wav import wav_file
from smallest_transports.asyncio import (
    connect_lightning,
    list_voices,
    synthesize,
    transcribe,
)
from smallest_transports.loopback import serve
from sockets import Peer, raw_server, run, stall, until

CANARY = "sk_canary_5dc2a6"
PCM = BatchPcm(bytes(32000), 16000)
ROOM = 16 * 1024 * 1024


def response(body: bytes, head: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def batch(url: str, api_key: str | None = None) -> object:
    return await transcribe(PCM, base_url=url, api_key=api_key, limits=HASTY)


async def voices(url: str, api_key: str | None = None) -> object:
    return await list_voices(base_url=url, api_key=api_key, limits=HASTY)


async def over_http(url: str, api_key: str | None = None) -> list[Event]:
    async with synthesize("Good morning.", base_url=url, api_key=api_key, limits=HASTY) as speech:
        return [event async for event in speech]


async def over_sse(url: str, api_key: str | None = None) -> list[Event]:
    async with synthesize("Good morning.", via="sse", base_url=url, api_key=api_key, limits=HASTY) as speech:
        return [event async for event in speech]


Call = Callable[..., Awaitable[object]]
CALLS: list[Call] = [batch, voices, over_http, over_sse]
EVERY_CALL = pytest.mark.parametrize("call", CALLS)


def pcm_of(events: list[Event]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioChunk))


def met(behave: Callable[[Peer], Awaitable[None]], call: Call) -> ProtocolError:
    """What the call raises when the server does that."""

    async def main() -> None:
        async with raw_server(behave) as url:
            await call(url, api_key=CANARY)

    with pytest.raises(ProtocolError) as caught:
        run(main(), within=5)
    return caught.value


# round trips against the local server


def test_a_recording_comes_back_as_text() -> None:
    async def main() -> None:
        async with serve() as server:
            for endpoint in ("stt", "get_text"):
                options = BatchOptions(endpoint=endpoint)
                result = await transcribe(BatchPcm(bytes(96000), 16000), options, base_url=server.url)
                assert isinstance(result, BatchResult)
                assert result.text == "heard 2.0 seconds heard 3.0 seconds"
                assert [word.word for word in result.words] == result.text.split()
                assert (result.start, result.end, result.duration) == (0.0, 3.0, 3.0)
                assert [u.text for u in result.utterances] == ["heard 2.0 seconds", "heard 3.0 seconds"]
                assert result.request_id
            plain = await transcribe(PCM, BatchOptions(word_timestamps=False), base_url=server.url)
            assert isinstance(plain, BatchResult)
            assert (plain.text, plain.words, plain.utterances) == ("heard 1.0 seconds", (), ())

    run(main())


@pytest.mark.parametrize("rate", [8000, 24000, 44100])
@pytest.mark.parametrize("text", ["Good morning.", "Two sentences. Of one text.", "é" * 300])
def test_the_same_samples_come_over_every_transport(text: str, rate: int) -> None:
    options = LightningOptions(sample_rate=rate, text_mode="segment", linger=0.02)

    async def main() -> None:
        async with serve() as server:
            async with connect_lightning(options, base_url=server.url) as stream:
                heard: dict[str, bytes] = {"ws": b""}
                async for event in await stream.speak(text):
                    heard["ws"] += event.pcm if isinstance(event, AudioChunk) else b""
            for via in ("http", "sse"):
                async with synthesize(text, options, via=via, base_url=server.url) as speech:
                    events: list[Event] = [event async for event in speech]
                heard[via] = pcm_of(events)
                last = events[-1]
                assert isinstance(last, SpeechComplete)
                assert (last.size, last.seconds) == (len(heard[via]), len(heard[via]) / (2 * rate))
                assert last.request_id
            assert heard["http"] == heard["sse"] == heard["ws"] != b""

    run(main())


@pytest.mark.parametrize("output_format", ["wav", "mp3", "ulaw", "alaw"])
def test_other_formats_come_as_they_are(output_format: OutputFormat) -> None:
    async def main() -> None:
        async with serve() as server:
            pcm = pcm_of(await over_http(server.url))
            async with synthesize(
                "Good morning.", output_format=output_format, base_url=server.url
            ) as speech:
                events: list[Event] = [event async for event in speech]
            data = b"".join(event.data for event in events if isinstance(event, EncodedAudio))
            assert isinstance(events[-1], SpeechComplete)
            assert events[-1].size == len(data)
            if output_format == "wav":
                assert data == wav_file(pcm, 24000)
            elif output_format == "mp3":
                assert events[-1].container == "mp3"
            else:
                assert len(data) == len(pcm) / 2

    run(main())


def test_the_catalogue() -> None:
    async def main() -> None:
        async with serve() as server:
            assert "meher" in [voice.voice_id for voice in await list_voices(base_url=server.url)]

    run(main())


def test_calls_run_side_by_side() -> None:
    async def main() -> None:
        async with serve() as server:
            calls = [call(server.url) for call in CALLS for _ in range(4)]
            assert all(await asyncio.gather(*calls))

    run(main())


# what is sent


def test_what_goes_over_the_wire() -> None:
    seen: list[tuple[str, bytes]] = []

    async def behave(peer: Peer) -> None:
        body = await read_whole_request(peer)
        seen.append((peer.request, body))
        peer.send(response(b'{"status":"processing","request_id":"r9"}'))

    async def main() -> None:
        async with raw_server(behave) as url:
            hook = BatchOptions(webhook_url="https://example.com/hook")
            for source in (
                BatchAudio(b"RIFF....WAVE", "audio/wav"),
                PCM,
                BatchUrl("https://example.com/a.wav"),
            ):
                accepted = await transcribe(
                    source, hook, base_url=f"{url}/base", api_key=CANARY, headers={"X-Mine": "1"}
                )
                assert accepted == BatchAccepted(request_id="r9")

    run(main())
    heads, bodies = zip(*seen, strict=True)
    assert bodies[0] == b"RIFF....WAVE"
    assert bodies[1] == wav_file(PCM.pcm, 16000)
    assert msgspec.json.decode(bodies[2]) == {"url": "https://example.com/a.wav"}
    for head in heads:
        assert head.startswith("POST /base/stt/?model=pulse&language=en&")
        assert f"Authorization: Bearer {CANARY}\r\n" in head
        assert "X-Mine: 1\r\n" in head


def test_a_redirect_is_not_followed() -> None:
    async def main() -> None:
        visits: list[str] = []

        async def elsewhere(peer: Peer) -> None:
            visits.append("elsewhere")

        async with raw_server(elsewhere) as other:

            async def behave(peer: Peer) -> None:
                await peer.refuse(307, Location=other)
                visits.append("here")

            async with raw_server(behave) as url:
                for call in CALLS:
                    with pytest.raises(ServerError) as caught:
                        await call(url, api_key=CANARY)
                    assert caught.value.status == 307
        assert visits == ["here"] * len(CALLS)

    run(main())


# failures


@EVERY_CALL
@pytest.mark.parametrize("fault", HTTP_FAULTS.values(), ids=HTTP_FAULTS.keys())
def test_a_fault_is_the_documented_error_in_time(fault: Fault, call: Call) -> None:
    error = met(fault.behave, call)
    assert type(error) is fault.error
    assert {name: getattr(error, name) for name in fault.fields} == fault.fields
    assert error.__cause__ is None


@EVERY_CALL
def test_nobody_listens(call: Call) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        with pytest.raises(ConnectFailed, match=f"127.0.0.1 port {port}"):
            run(call(f"http://127.0.0.1:{port}"))  # type: ignore[arg-type]  # a coroutine


@pytest.mark.parametrize("call", [batch, voices])
@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b"{}", b'{"a":' * 100_000, b" " * 5 * 1024 * 1024])
def test_a_document_that_is_none(call: Call, body: bytes) -> None:
    assert type(met(answered(response(body), wait=True), call)) is RemoteProtocolError


def test_audio_before_the_end_is_sound() -> None:
    async def heard(via: str, data: bytes) -> tuple[list[Event], ProtocolError]:
        events: list[Event] = []
        async with (
            raw_server(answered(data)) as url,
            synthesize("Hi", via=via, base_url=url, limits=HASTY) as speech,  # type: ignore[arg-type]  # as given
        ):
            try:
                async for event in speech:
                    events.append(event)
            except ProtocolError as error:
                assert [event async for event in speech] == []  # the failure is told once
                return events, error
        raise AssertionError("nothing failed")

    sound = bytes(range(100)) * 2
    for via, data, error in (
        ("http", SIZED + sound, ConnectionLost),
        ("sse", CHUNKED + chunk(audio_event(sound)), ConnectionLost),
        ("sse", CHUNKED + chunk(audio_event(sound)) + b"0\r\n\r\n", ConnectionLost),
        ("sse", CHUNKED + chunk(audio_event(sound) + error_event("no", "BAD")), ServerError),
        ("sse", CHUNKED + chunk(audio_event(sound) + b'data: {"audio":"*","done":false}\n\n'), ServerError),
    ):
        events, failure = run(heard(via, data))
        assert pcm_of(events) == sound
        assert type(failure) is error
        assert not any(isinstance(event, SpeechComplete) for event in events)


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_events_need_no_end_of_the_body() -> None:
    data = CHUNKED + chunk(b": hello\n\n" + audio_event(b"abcd") + b"data: ?\n\n" + done_event())

    async def main() -> None:
        async with raw_server(answered(data, wait=True)) as url:
            events = await over_sse(url)
            assert pcm_of(events) == b"abcd"
            assert [type(event) for event in events] == [AudioChunk, SpeechComplete]

    run(main(), within=5)


def test_a_refusal_in_the_middle_of_an_upload_is_told() -> None:
    async def behave(peer: Peer) -> None:
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]  # the only way not to read at all
        peer.send(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def main() -> None:
        async with raw_server(behave) as url:
            with pytest.raises(ServerError) as caught:
                await transcribe(BatchPcm(bytes(ROOM), 16000), base_url=url, limits=HASTY)
            assert caught.value.status == 413

    run(main(), within=5)


# waiting, leaving, cancelling


def test_nothing_is_read_ahead_of_the_user() -> None:
    sent = 0

    async def behave(peer: Peer) -> None:
        nonlocal sent
        await read_whole_request(peer)
        peer.send(CHUNKED)
        while True:
            peer.send(chunk(bytes(32000)))
            await peer.writer.drain()
            sent += 32000

    async def main() -> None:
        async with raw_server(behave) as url, synthesize("Hi", base_url=url) as speech:
            assert isinstance(await anext(speech), AudioChunk)
            await stall(lambda: sent, ROOM)

    run(main())


def test_audio_is_handed_out_as_it_comes() -> None:
    async def main() -> None:
        heard = asyncio.Event()

        async def behave(peer: Peer) -> None:
            await read_whole_request(peer)
            peer.send(CHUNKED + chunk(bytes(100)))
            await heard.wait()
            peer.send(chunk(bytes(60)) + b"0\r\n\r\n")
            await peer.until_gone()

        async with raw_server(behave) as url, synthesize("Hi", base_url=url) as speech:
            first = await anext(speech)
            heard.set()
            rest: list[Event] = [event async for event in speech]
            assert len(pcm_of([first, *rest])) == 160

    run(main())


@EVERY_CALL
def test_a_cancelled_call_leaves_nothing_open(call: Call) -> None:
    async def main() -> None:
        asked, gone = asyncio.Event(), asyncio.Event()

        async def behave(peer: Peer) -> None:
            await read_whole_request(peer)
            peer.send(SIZED + b"RIFF")
            asked.set()
            await peer.until_gone()
            gone.set()

        async with raw_server(behave) as url:
            calling = asyncio.ensure_future(call(url))
            await asked.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            await gone.wait()

    run(main(), within=5)


def test_a_cancelled_upload_leaves_nothing_open() -> None:
    async def main() -> None:
        uploading, cancelled, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def behave(peer: Peer) -> None:
            transport = peer.reader._transport  # type: ignore[attr-defined]  # the only way not to read at all
            await peer.read_request()
            transport.pause_reading()
            uploading.set()
            await cancelled.wait()
            transport.resume_reading()
            await peer.until_gone()
            gone.set()

        async with raw_server(behave) as url:
            calling = asyncio.ensure_future(transcribe(BatchPcm(bytes(ROOM), 16000), base_url=url))
            await uploading.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling
            cancelled.set()
            await gone.wait()

    run(main(), within=5)


def test_a_block_can_be_left_in_the_middle() -> None:
    async def main() -> None:
        gone: list[bool] = []

        async def behave(peer: Peer) -> None:
            await read_whole_request(peer)
            peer.send(SIZED + bytes(100))
            await peer.until_gone()
            gone.append(True)

        async with raw_server(behave) as url:
            async with synthesize("Hi", base_url=url) as speech:
                async for _ in speech:
                    break
                await speech.aclose()
                await speech.aclose()
                with pytest.raises(ConnectionLost, match="from this side"):
                    await anext(speech)
            await until(lambda: gone)

    run(main(), within=5)


# misuse


def test_a_stream_is_entered_once_and_before_use() -> None:
    async def main() -> None:
        async with serve() as server:
            speech = synthesize("Hi", base_url=server.url)
            with pytest.raises(LocalProtocolError, match="async with"):
                await anext(speech)
            await speech.aclose()
            async with speech:
                with pytest.raises(LocalProtocolError, match="entered once"):
                    await speech.__aenter__()

    run(main())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": ""}, "text"),
        ({"output_format": "mulaw"}, "ulaw"),
        ({"output_format": "wav", "via": "sse"}, "output_format='wav'"),
        ({"via": "pigeon"}, "via='pigeon'"),
        ({"base_url": "nonsense"}, "base_url"),
        ({"base_url": "https://example.com"}, API_KEY_VARIABLE),
        ({"headers": {"X": "a\nb"}}, "headers"),
    ],
)
def test_bad_input_is_named(given: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=words):
        synthesize(**({"text": "Hi", "base_url": "http://127.0.0.1:9"} | given))  # type: ignore[arg-type]  # as given


# the key


async def echo(peer: Peer) -> None:
    await read_whole_request(peer)
    assert CANARY in peer.request  # or this test tests nothing
    body = f'{{"error":"bad key {CANARY}","error_code":"{CANARY}"}}'.encode()
    peer.send(
        f"HTTP/1.1 401 {CANARY}\r\nX-Request-Id: {CANARY}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    peer.send(body)


@EVERY_CALL
@pytest.mark.parametrize(
    "behave",
    [echo, *(fault.behave for fault in HTTP_FAULTS.values())],
    ids=["echo", *HTTP_FAULTS],
)
def test_no_failure_shows_the_key(
    behave: Callable[[Peer], Awaitable[None]], call: Call, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = met(behave, call)
    text = io.StringIO()
    chained: BaseException | None = error
    while chained is not None:
        text.write(f"{chained} {chained!r} {vars(chained)} ")
        text.write("".join(traceback.format_exception(chained)))
        chained = chained.__cause__ or chained.__context__
    text.write(caplog.text)
    assert CANARY not in text.getvalue()
    assert CANARY.encode() not in pickle.dumps(error)


def test_a_stream_does_not_show_the_key() -> None:
    speech = synthesize("Hi", base_url="http://127.0.0.1:9", api_key=CANARY)
    assert CANARY not in f"{speech!r} {vars(speech)}"
