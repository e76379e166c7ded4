"""Requests over HTTP on every loop and carrier: what is sent, and what comes back."""

import anyio
import msgspec
import pytest

from http_calls import CALLS, PCM, Call, over_http, over_sse, pcm_of
from http_faults import CHUNKED, answered, read_whole_request
from loops import EVERY_NET, Net
from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_proto.errors import LocalProtocolError, ServerError
from smallest_proto.events import Event
from smallest_proto.lightning import (
    AudioChunk,
    EncodedAudio,
    LightningOptions,
    OutputFormat,
    SpeechComplete,
    audio_event,
    done_event,
)
from smallest_proto.pulse import BatchAccepted, BatchAudio, BatchOptions, BatchPcm, BatchResult, BatchUrl
from smallest_proto.wav import wav_file
from smallest_transports.asyncio import synthesize
from sockets import Peer

KEY = "sk_canary_5dc2a6"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + b'{"status":"processing","request_id":"r"}'


@EVERY_NET
def test_a_recording_comes_back_as_text(net: Net) -> None:
    async def main() -> None:
        for endpoint in ("stt", "get_text"):
            options = BatchOptions(endpoint=endpoint)
            recording = BatchPcm(bytes(96000), 16000)
            result = await net.on.transcribe(recording, options, **net.to(server.url))
            assert isinstance(result, BatchResult)
            assert result.text == "heard 2.0 seconds heard 3.0 seconds"
            assert [word.word for word in result.words] == result.text.split()
            assert (result.start, result.end, result.duration) == (0.0, 3.0, 3.0)
            assert [u.text for u in result.utterances] == ["heard 2.0 seconds", "heard 3.0 seconds"]
            assert result.request_id
        plain = await net.on.transcribe(PCM, BatchOptions(word_timestamps=False), **net.to(server.url))
        assert isinstance(plain, BatchResult)
        assert (plain.text, plain.words, plain.utterances) == ("heard 1.0 seconds", (), ())

    with net.server() as server:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize(("rate", "text"), [(8000, "é" * 300), (44100, "Two sentences. Of one text.")])
def test_the_same_samples_come_over_every_transport(net: Net, text: str, rate: int) -> None:
    options = LightningOptions(sample_rate=rate, text_mode="segment", linger=0.02)

    async def main() -> None:
        async with net.on.connect_lightning(options, **net.to(server.url)) as stream:
            heard: dict[str, bytes] = {"ws": b""}
            async for event in await stream.speak(text):
                heard["ws"] += event.pcm if isinstance(event, AudioChunk) else b""
        for via in ("http", "sse"):
            async with net.on.synthesize(text, options, via=via, **net.to(server.url)) as speech:
                events: list[Event] = [event async for event in speech]
            heard[via] = pcm_of(events)
            last = events[-1]
            assert isinstance(last, SpeechComplete)
            assert (last.size, last.seconds) == (len(heard[via]), len(heard[via]) / (2 * rate))
            assert last.request_id
        assert heard["http"] == heard["sse"] == heard["ws"] != b""

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_other_formats_come_as_they_are(net: Net) -> None:
    async def heard(output_format: OutputFormat) -> tuple[bytes, SpeechComplete]:
        given = net.to(server.url)
        async with net.on.synthesize("Good morning.", output_format=output_format, **given) as speech:
            events: list[Event] = [event async for event in speech]
        data = b"".join(event.data for event in events if isinstance(event, EncodedAudio))
        last = events[-1]
        assert isinstance(last, SpeechComplete)
        assert last.size == len(data)
        return data, last

    async def main() -> None:
        pcm = pcm_of(await over_http(net, server.url))
        assert (await heard("wav"))[0] == wav_file(pcm, 24000)
        assert (await heard("mp3"))[1].container == "mp3"
        for output_format in ("ulaw", "alaw"):
            assert len((await heard(output_format))[0]) == len(pcm) / 2

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_calls_run_side_by_side(net: Net) -> None:
    async def one(call: Call) -> None:
        assert await call(net, server.url, KEY)

    async def main() -> None:
        assert "meher" in [voice.voice_id for voice in await net.on.list_voices(**net.to(server.url))]
        async with anyio.create_task_group() as tasks:
            for call in CALLS * 4:
                tasks.start_soon(one, call)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_what_goes_over_the_wire(net: Net) -> None:
    seen: list[tuple[str, bytes]] = []

    async def behave(peer: Peer) -> None:
        body = await read_whole_request(peer)
        seen.append((peer.request, body))
        peer.send(OK)

    async def main() -> None:
        hook = BatchOptions(webhook_url="https://example.com/hook")
        for source in (
            BatchAudio(b"RIFF....WAVE", "audio/wav"),
            PCM,
            BatchUrl("https://example.com/a.wav"),
        ):
            given = net.to(f"{url}/base", api_key=KEY, headers={"X-Mine": "1"})
            assert await net.on.transcribe(source, hook, **given) == BatchAccepted(request_id="r")

    with net.raw(behave) as url:
        net.run(main)
    heads, bodies = zip(*seen, strict=True)
    assert bodies[0] == b"RIFF....WAVE"
    assert bodies[1] == wav_file(PCM.pcm, 16000)
    assert msgspec.json.decode(bodies[2]) == {"url": "https://example.com/a.wav"}
    for head in heads:
        assert head.startswith("POST /base/stt/?model=pulse&language=en&")
        assert f"Authorization: Bearer {KEY}\r\n" in head
        assert "X-Mine: 1\r\n" in head


@EVERY_NET
def test_a_redirect_is_not_followed(net: Net) -> None:
    visits: list[str] = []

    async def elsewhere(peer: Peer) -> None:
        visits.append("elsewhere")

    async def behave(peer: Peer) -> None:
        await peer.refuse(307, Location=other)
        visits.append("here")

    async def main() -> None:
        for call in CALLS:
            with pytest.raises(ServerError) as caught:
                await call(net, url, KEY)
            assert caught.value.status == 307

    with net.raw(elsewhere) as other, net.raw(behave) as url:
        net.run(main)
    assert visits == ["here"] * len(CALLS)


@EVERY_NET
def test_events_need_no_end_of_the_body(net: Net) -> None:
    events = b": hello\n\n" + audio_event(b"abcd") + b"data: ?\n\n" + done_event()
    data = CHUNKED + f"{len(events):x}\r\n".encode() + events + b"\r\n"

    async def main() -> None:
        events = await over_sse(net, url)
        assert pcm_of(events) == b"abcd"
        assert [type(event) for event in events] == [AudioChunk, SpeechComplete]

    with net.raw(answered(data, wait=True)) as url:
        net.run(main, within=5)


@EVERY_NET
def test_a_stream_is_entered_once_and_before_use(net: Net) -> None:
    async def main() -> None:
        speech = net.on.synthesize("Hi", **net.to(server.url))
        with pytest.raises(LocalProtocolError, match="async with"):
            await anext(speech)
        await speech.aclose()
        async with speech:
            with pytest.raises(LocalProtocolError, match="entered once"):
                await speech.__aenter__()

    with net.server() as server:
        net.run(main)


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
