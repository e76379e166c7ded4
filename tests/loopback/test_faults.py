"""Every fault of the local server: the switch, and what a client sees of it."""

import asyncio
import json
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, NamedTuple, TypeVar, get_args

import pytest

from http_faults import HASTY
from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    ProtocolError,
    ServerError,
)
from smallest_proto.events import ConnectionClosed, Event, UnknownMessage
from smallest_proto.lightning import (
    AudioChunk,
    ContextComplete,
    LightningOptions,
    SpeechComplete,
    WordTimestamp,
)
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    BatchAccepted,
    BatchAudio,
    BatchOptions,
    BatchResult,
    BatchUrl,
    FinalTranscript,
    InterimTranscript,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    pulse_request,
)
from smallest_proto.wav import wav_file
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._connect import open_link, settings
from smallest_transports.asyncio import (
    PulseStream,
    connect_lightning,
    connect_pulse,
    synthesize,
    transcribe,
)
from smallest_transports.loopback import Faults, LoopbackServer, serve
from smallest_transports.loopback.engines.base import SynthesizerSetup
from smallest_transports.loopback.engines.scripted import ScriptedSynthesizer
from smallest_transports.loopback.fault_bodies import TEXT, error_text
from smallest_transports.loopback.faults import FAULTS, ErrorShape, fault_list, read_faults
from sockets import PING, QUICK, frame, run

SECOND = bytes(32000)
WAV = wav_file(bytes(64000), 16000)
SENTENCE = "Good day."
SEGMENT = LightningOptions(text_mode="segment", word_timestamps=True, sample_rate=8000)
CONTEXT = LightningOptions(word_timestamps=True, sample_rate=8000, linger=0.2)
PATIENT = Limits(close_timeout=0.2, drain_timeout=5, response_timeout=5)

Error = TypeVar("Error", bound=ProtocolError)
Check = Callable[[LoopbackServer], Awaitable[None]]


class Case(NamedTuple):
    """Faults as on the command line, and what a client makes of them."""

    faults: str
    check: Check


CASES: list[Case] = []


def case(*faults: str) -> Callable[[Check], Check]:
    """Each of these sets of faults has this effect."""

    def add(check: Check) -> Check:
        CASES.extend(Case(given, check) for given in faults)
        return check

    return add


# clients


async def hear(
    server: LoopbackServer, options: PulseOptions = PulseOptions(), seconds: int = 2
) -> list[Event]:
    """All events of a stream with a finalize in it; raises what it ends with."""
    events: list[Event] = []
    async with connect_pulse(options, base_url=server.url, limits=PATIENT, resume=False) as stream:
        for _ in range(seconds):
            await stream.send_audio(SECOND)
        await stream.send_audio(SECOND[:16000])
        await stream.finalize()
        await stream.end_input()
        await collect(stream, events)
    return events


async def collect(stream: PulseStream, events: list[Event]) -> None:
    async for event in stream:
        events.append(event)  # what came before a failure counts


def finals(events: Sequence[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, FinalTranscript)]


async def failure(work: Awaitable[object], kind: type[Error]) -> Error:
    with pytest.raises(kind) as caught:
        await work
    return caught.value


async def say(
    server: LoopbackServer, options: LightningOptions = SEGMENT, texts: Sequence[str] = (SENTENCE,)
) -> list[Event]:
    """All events of one synthesis."""
    async with connect_lightning(options, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.speak(" ".join(texts))
        return [event async for event in context]


def pcm_of(events: Sequence[object]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, AudioChunk))


def expected_pcm(text: str = SENTENCE, rate: int = 8000) -> bytes:
    setup = SynthesizerSetup(sample_rate=rate)
    return b"".join(speech.pcm for speech in ScriptedSynthesizer().speak(setup, text))


async def speak_http(
    server: LoopbackServer,
    via: Literal["http", "sse"] = "sse",
    limits: Limits = PATIENT,
    heard: list[Event] | None = None,
) -> list[Event]:
    heard = [] if heard is None else heard
    async with synthesize(
        SENTENCE, LightningOptions(sample_rate=8000), via=via, base_url=server.url, limits=limits
    ) as speech:
        async for event in speech:
            heard.append(event)  # what came before a failure counts
    return heard


async def recognise(server: LoopbackServer, options: BatchOptions = BatchOptions()) -> object:
    return await transcribe(BatchAudio(WAV), options, base_url=server.url, limits=PATIENT)


async def raw(server: LoopbackServer, target: str, body: bytes | None = None) -> bytes:
    """The whole answer to an upgrade, or to a POST with this body, of a client that hangs up after it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    if body is None:
        writer.write(upgrade(target))
    else:
        head = (
            f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    return answer


def upgrade(target: str) -> bytes:
    return (
        f"GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    ).encode()


@asynccontextmanager
async def socket_to(
    server: LoopbackServer, target: str = "/waves/v1/pulse/get_text?language=en"
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket of which every byte is the test's."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(upgrade(target))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        yield reader, writer
    finally:
        writer.close()


def lightning_socket(
    server: LoopbackServer,
) -> AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    return socket_to(server, "/waves/v1/tts/live")


# instead of an answer


@case("reject=400", "reject=401", "reject=403", "reject=404", "reject=410", "reject=500", "reject=503")
async def rejected(server: LoopbackServer) -> None:
    status = faults_of(server).reject
    for work in (hear(server), say(server)):
        error = await failure(work, HandshakeRejected)
        assert error.status == status
        assert error.message
    for request in (recognise(server), speak_http(server)):
        assert (await failure(request, ServerError)).status == status


@case("reject=429 retry_after=7", "reject=503 retry_after=7")
async def told_when_to_come_again(server: LoopbackServer) -> None:
    for work in (hear(server), say(server), recognise(server), speak_http(server)):
        error = await failure(work, ServerError)
        assert (error.retry_after, error.retryable) == (7.0, True)


@case("reject=400 error=E5", "reject=400 error=E16", "reject=418 error=E20")
async def refused_in_a_shape(server: LoopbackServer) -> None:
    error = await failure(hear(server), HandshakeRejected)
    shape = faults_of(server).error
    assert shape is not None
    assert isinstance(error, HandshakeRejected)
    assert error.body == error_text(shape).encode()


@case("redirect=http://127.0.0.1:9/elsewhere")
async def redirected(server: LoopbackServer) -> None:
    assert (await failure(hear(server), HandshakeRejected)).status == 307
    assert (await failure(recognise(server), ServerError)).status == 307
    answer = await raw(server, "/waves/v1/stt/live")
    assert b"\r\nLocation: http://127.0.0.1:9/elsewhere\r\n" in answer


@case("slow_accept=0.5")
async def slow_to_accept(server: LoopbackServer) -> None:
    begun = asyncio.get_running_loop().time()
    assert finals(await hear(server))
    assert asyncio.get_running_loop().time() - begun >= 0.5
    late = connect_pulse(base_url=server.url, limits=Limits(handshake_timeout=0.1), resume=False)
    assert (await failure(late.__aenter__(), DeadlineExceeded)).code == "handshake"
    assert (await failure(speak_http(server, limits=HASTY), DeadlineExceeded)).code == "response"


@case("no_answer=hang_up", "no_answer=reset")
async def no_answer_but_an_end(server: LoopbackServer) -> None:
    for work in (hear(server), say(server), recognise(server), speak_http(server)):
        await failure(work, ConnectionLost)


@case("no_answer=silence")
async def no_answer_at_all(server: LoopbackServer) -> None:
    quiet = connect_pulse(base_url=server.url, limits=QUICK, resume=False)
    assert (await failure(quiet.__aenter__(), DeadlineExceeded)).code == "handshake"
    assert (await failure(speak_http(server, limits=HASTY), DeadlineExceeded)).code == "response"


# in the middle of things


@case("close=1001", "close=1008", "close=1011", "close=1012", "close=1013", "close=4000")
async def closed_before_a_word(server: LoopbackServer) -> None:
    for work in (hear(server), say(server)):
        error = await failure(work, ProtocolError)
        assert error.status == faults_of(server).close


@case("close=1011 after_messages=2", "close=1011 after_seconds=2", "hang_up after_messages=2")
async def ended_in_the_middle(server: LoopbackServer) -> None:
    events: list[Event] = []
    async with connect_pulse(base_url=server.url, limits=PATIENT, resume=False) as stream:
        await stream.send_audio(SECOND)
        events += [await anext(stream), await anext(stream)]
        await stream.send_audio(SECOND)
        error = await failure(collect(stream, events), ConnectionLost)
    assert error.status == (1006 if faults_of(server).hang_up else 1011)
    assert [event.text for event in events if isinstance(event, InterimTranscript)] == ["heard 1.0 seconds"]


@case("hang_up after_messages=3", "reset after_messages=3", "close=1011 after_messages=3")
async def speech_cut_short(server: LoopbackServer) -> None:
    heard: list[object] = []

    async def listen() -> None:
        async with connect_lightning(SEGMENT, base_url=server.url, limits=PATIENT) as stream:
            async for event in await stream.speak(SENTENCE):
                heard.append(event)  # what came before the failure counts

    await failure(listen(), ConnectionLost)
    assert len(heard) <= 3
    if not faults_of(server).reset:  # which may take back what was sent
        assert len(heard) == 3
    for via in ("http", "sse"):
        pieces: list[Event] = []
        await failure(speak_http(server, via, heard=pieces), ConnectionLost)
        if not faults_of(server).reset:
            assert len(pcm_of(pieces)) == 3 * 800  # three pieces of 50 ms


@case("hang_up", "reset")
async def gone(server: LoopbackServer) -> None:
    for work in (hear(server), say(server), speak_http(server), speak_http(server, "http")):
        await failure(work, ConnectionLost)
    try:
        end = await raw(server, "/waves/v1/pulse/get_text?language=en")
    except ConnectionResetError:
        end = b"reset"
    assert (end == b"reset") is faults_of(server).reset


@case(*(f"error={shape}" for shape in get_args(ErrorShape)))
async def an_error_message(server: LoopbackServer) -> None:
    shape = faults_of(server).error
    assert shape is not None
    if shape in ("E14", "E20"):  # seen over HTTP only: no message of Pulse is an error for a lone `message`
        await failure(hear(server), ConnectionLost)
        return
    error = await failure(hear(server), ServerError)
    assert error.message
    assert (TEXT in error.message) is (TEXT in error_text(shape))


@case("error=E9", "error=E10", "error=E11")
async def a_synthesis_that_fails(server: LoopbackServer) -> None:
    async with connect_lightning(CONTEXT, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.open_context()
        await context.send_text("One. Two. ")
        await context.send_text("Three.")
        await context.finish()
        assert (await failure(anext(context), ServerError)).message == TEXT
    assert (await failure(speak_http(server), ServerError)).message == TEXT
    async with lightning_socket(server) as (reader, writer):
        for _ in range(2):  # every synthesis, one error each
            for text, more in (("One. ", "true"), ("Two.", "true"), ("", "false")):
                said = f'{{"voice_id":"meher","text":"{text}","context_id":"one","continue":{more}}}'
                writer.write(frame(1, said.encode(), masked=True))
        writer.write(frame(PING, b"", masked=True))
        answer = await reader.readuntil(b"\x8a\x00")
        assert answer.count(b'"status":"error"') == 2
        assert answer.count(TEXT.encode()) == 2


@case("error=E9 after_messages=2")
async def a_synthesis_that_fails_half_way(server: LoopbackServer) -> None:
    async with connect_lightning(SEGMENT, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.speak(SENTENCE)
        heard = [await anext(context), await anext(context)]
        await failure(anext(context), ServerError)
        assert any(isinstance(event, AudioChunk) for event in heard)
    async with lightning_socket(server) as (reader, writer):
        for _ in range(2):
            writer.write(frame(1, b'{"voice_id":"meher","text":"One."}', masked=True))
            said = await reader.readuntil(TEXT.encode())
            assert said.count(b'"status":"chunk"') == 2


@case("stop_reading")
async def nothing_is_read(server: LoopbackServer) -> None:
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await stream.send_audio(SECOND)
            sent += 1

    options = PulseOptions(heartbeat=0.2)
    async with connect_pulse(options, base_url=server.url, limits=QUICK, resume=False) as stream:
        sending = asyncio.create_task(send())
        assert (await failure(collect(stream, []), DeadlineExceeded)).code == "pong"
        sending.cancel()
        await asyncio.wait([sending])
    assert sent < 2000  # 64 MB: the socket was full long before


@case("stop_pongs")
async def pings_are_not_answered(server: LoopbackServer) -> None:
    options = PulseOptions(heartbeat=0.2)
    async with connect_pulse(options, base_url=server.url, limits=QUICK, resume=False) as stream:
        assert (await failure(collect(stream, []), DeadlineExceeded)).code == "pong"
    async with socket_to(server) as (reader, writer):  # but messages are
        writer.write(frame(PING, b"", masked=True) + frame(1, b'{"type":"keepalive"}', masked=True))
        assert await reader.readexactly(17) == b"\x81\x0f" + b'{"type":"pong"}'


# messages


@case("binary_frame", "invalid_json", "json_array", "unknown_type")
async def strays_are_passed_over(server: LoopbackServer) -> None:
    events = await hear(server)
    [stray] = [event for event in events if isinstance(event, UnknownMessage)]
    heard = [event for event in events if isinstance(event, InterimTranscript | FinalTranscript)]
    assert events.index(stray) < events.index(heard[0])
    assert finals(events) == ["heard 2.0 seconds", "heard 2.5 seconds"]
    assert pcm_of(await say(server)) == expected_pcm()


@case("idle_timeout=0.3")
async def idle_connections_are_closed(server: LoopbackServer) -> None:
    async with connect_pulse(base_url=server.url, limits=PATIENT, resume=False) as stream:
        await failure(collect(stream, []), ConnectionLost)
    async with connect_lightning(SEGMENT, base_url=server.url, limits=PATIENT) as speech:
        last: Event | None = None
        while (event := await speech.next_event()) is not None:
            last = event
        assert isinstance(last, ConnectionClosed)
        assert not speech.reusable
    async with lightning_socket(server) as (reader, _):
        assert (await reader.read()).endswith(b'timed out after 0.3 seconds of inactivity"}\x88\x02\x03\xe8')


# Pulse


@case("from_finalize=absent", "from_finalize=false", "retry_after=0")
async def the_flag_of_finalize(server: LoopbackServer) -> None:
    flags = [e.from_finalize for e in await hear(server) if isinstance(e, FinalTranscript)]
    wanted = {None: True, "absent": None, "false": False}[faults_of(server).from_finalize]
    assert flags[-1] is wanted


@case("close_stream=empty_last", "close_stream=no_last", "retry_after=0")
async def the_end_of_a_stream(server: LoopbackServer) -> None:
    async with connect_pulse(base_url=server.url, limits=PATIENT, resume=False) as stream:
        await stream.send_audio(SECOND[:16000])
        await stream.end_input()
        events: list[Event] = []
        await collect(stream, events)
    assert finals(events) == ["heard 0.5 seconds"]
    [final] = [event for event in events if isinstance(event, FinalTranscript)]
    how = faults_of(server).close_stream
    assert final.is_last is (how is None)
    assert isinstance(events[-1], StreamEnded)
    assert events[-1].confirmed is (how != "no_last")


@case("close_stream=never")
async def a_stream_without_end(server: LoopbackServer) -> None:
    async with connect_pulse(base_url=server.url, limits=QUICK, resume=False) as stream:
        await stream.send_audio(SECOND)
        await stream.end_input()
        events: list[Event] = []
        await collect(stream, events)
    assert isinstance(events[-1], StreamEnded)
    assert not events[-1].confirmed


@case("refuse_keepalive")
async def keepalive_is_refused(server: LoopbackServer) -> None:
    async with connect_pulse(base_url=server.url, limits=PATIENT, resume=False) as stream:
        await stream.keepalive()
        assert "keepalive" in (await failure(collect(stream, []), ServerError)).message


@case("vad=before", "vad=after")
async def speech_is_detected(server: LoopbackServer) -> None:
    options = PulseOptions(endpoint="live", vad_events=True)
    events = await hear(server, options)
    kinds = [type(event) for event in events]
    assert SpeechStarted in kinds
    assert SpeechEnded in kinds
    text = await text_frames(server)
    assert text.index('"speech_started"') < text.index('"transcription"')
    before = text.index('"speech_ended"') < text.index('"is_final":true')
    assert before is (faults_of(server).vad == "before")


async def text_frames(server: LoopbackServer) -> str:
    """What a stream of two seconds sends, as text."""
    async with socket_to(server) as (reader, writer):
        writer.write(frame(2, SECOND[:32000], masked=True) * 2)
        writer.write(frame(1, b'{"type":"close_stream"}', masked=True))
        said = b""
        while b'"is_last":true' not in said:
            said += await reader.read(65536)
    return said.decode("utf-8", "replace")


@case("null_transcript")
async def transcripts_are_null(server: LoopbackServer) -> None:
    events = await hear(server)
    assert finals(events) == []
    assert events[-1] == StreamEnded(confirmed=True)
    assert '"transcript":null' in await text_frames(server)


@case("null_words")
async def words_are_null(server: LoopbackServer) -> None:
    events = await hear(server)
    assert finals(events)
    assert all(event.words == () for event in events if isinstance(event, FinalTranscript))


@case("string_speakers")
async def speakers_are_strings(server: LoopbackServer) -> None:
    words = [w for e in await hear(server) if isinstance(e, FinalTranscript) for w in e.words]
    assert words
    assert '"speaker":"speaker_0"' in await text_frames(server)


@case("eou_zero_closes")
async def an_impossible_parameter(server: LoopbackServer) -> None:
    options = PulseOptions()
    asked = pulse_request(options, api_key=None, base_url=server.url)
    given = settings(base_url=server.url, limits=PATIENT)
    assert finals(await hear(server))
    request = UpgradeRequest(
        host=asked.host,
        port=asked.port,
        secure=False,
        target=asked.target + "&eou_timeout_ms=0",
        headers=asked.headers,
    )
    link = await open_link(AsyncioBackend(), PulseConnection(options), request, given)
    closed = await link.next_event()
    assert isinstance(closed, ConnectionClosed)
    assert (closed.code, closed.expected) == (1011, False)
    await link.aclose()


# recordings


@case(
    *("batch=model", "batch=too_large", "batch=bad_input", "batch=region", "batch=no_credentials"),
    *("batch=bad_key", "batch=plan", "batch=rate", "batch=no_object", "batch=unavailable"),
)
async def recordings_are_refused(server: LoopbackServer) -> None:
    for endpoint in ("stt", "get_text"):
        options = BatchOptions(endpoint=endpoint)
        error = await failure(recognise(server, options), ServerError)
        assert error.status is not None
        assert error.status >= 400
        assert error.message or error.code


@case("batch=rate retry_after=3")
async def recordings_are_put_off(server: LoopbackServer) -> None:
    error = await failure(recognise(server), ServerError)
    assert (error.status, error.retry_after) == (429, 3.0)


@case("batch_processing")
async def recordings_for_a_webhook(server: LoopbackServer) -> None:
    options = BatchOptions(model="pulse-pro", webhook_url="https://example.com/hook")
    result = await recognise(server, options)
    assert isinstance(result, BatchAccepted)
    assert result.request_id
    assert isinstance(await recognise(server), BatchResult)


@case("batch_url")
async def recordings_by_url(server: LoopbackServer) -> None:
    result = await transcribe(BatchUrl("https://example.com/a.wav"), base_url=server.url, limits=PATIENT)
    assert isinstance(result, BatchResult)
    assert (result.text, result.duration) == ("", 1.0)


# Lightning


@case("completes=0", "completes=1", "completes=3")
async def any_number_of_completes(server: LoopbackServer) -> None:
    options = LightningOptions(sample_rate=8000, linger=0.1, silence_limit=0.4)
    events = await say(server, options, ["One. Two. Three."])
    assert isinstance(events[-1], ContextComplete)
    assert events[-1].confirmed is (faults_of(server).completes > 0)
    # a sentence is a release of its own, and the blank after it is in none
    assert len(pcm_of(events)) == sum(len(expected_pcm(text)) for text in ("One. Two.", "Three."))


@case("word_clock=request", "word_clock=stream")
async def clocks_of_words(server: LoopbackServer) -> None:
    wanted = [0.0, 0.3, 0.54]  # of "One. Two." and "Three.", 60 ms a character, on the context's clock
    async with connect_lightning(CONTEXT, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.open_context()
        await context.send_text("One. Two. ")
        await context.send_text("Three. ")
        await context.finish()
        starts = [event.start async for event in context if isinstance(event, WordTimestamp)]
    assert starts == pytest.approx(wanted)
    raw_starts = await words_on_the_wire(server)
    assert raw_starts[2] == pytest.approx(0.54 if faults_of(server).word_clock == "stream" else 0.0)


async def words_on_the_wire(server: LoopbackServer) -> list[float]:
    fields = '"voice_id":"meher","sample_rate":8000,"word_timestamps":true,"context_id":"abcdefgh"'
    async with lightning_socket(server) as (reader, writer):
        for text in ("One. Two. ", "Three. "):
            message = f'{{{fields},"text":"{text}","continue":true}}'
            writer.write(frame(1, message.encode(), masked=True))
        said = b""
        while said.count(b'"status":"complete"') < 2:
            said += await reader.read(65536)
    found = re.findall(rb'"status":"word_timestamp","data":(\{[^}]*\})', said)
    return [json.loads(data)["start"] for data in found]


@case("missing_data")
async def chunks_without_data(server: LoopbackServer) -> None:
    events = await say(server)
    assert pcm_of(events) == expected_pcm()
    async with lightning_socket(server) as (reader, writer):
        writer.write(frame(1, b'{"voice_id":"meher","text":"One."}', masked=True))
        said = await reader.readuntil(b'"status":"chunk"')
        assert (await reader.readexactly(1)) == b"}"
        assert b'"data"' not in said


@case("close_after_complete", "close_after_complete slow_first_chunk=0.3")
async def closed_after_each_synthesis(server: LoopbackServer) -> None:
    async with connect_lightning(SEGMENT, base_url=server.url, limits=PATIENT) as stream:
        events = [event async for event in await stream.speak(SENTENCE)]
        assert pcm_of(events) == expected_pcm()
        assert events[-1].confirmed  # type: ignore[union-attr]  # it is a ContextComplete
        closed = await stream.next_event()
        assert isinstance(closed, ConnectionClosed)
        assert (closed.code, closed.expected) == (1000, True)
    async with connect_lightning(CONTEXT, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.open_context()
        await context.send_text("One. Two. ")  # two releases: the close comes after the last
        await context.send_text("Three.")
        await context.finish()
        heard = pcm_of([event async for event in context])
        assert heard == expected_pcm("One. Two.") + expected_pcm("Three.")
        assert isinstance(await stream.next_event(), ConnectionClosed)


@case("slow_first_chunk=0.7")
async def a_slow_first_chunk(server: LoopbackServer) -> None:
    options = LightningOptions(sample_rate=8000, linger=0.05)
    begun = asyncio.get_running_loop().time()
    events = await say(server, options)
    assert asyncio.get_running_loop().time() - begun >= 0.7
    assert pcm_of(events) == expected_pcm()
    hasty = LightningOptions(sample_rate=8000, first_audio_timeout=0.2)
    await failure(say(server, hasty), ProtocolError)


@case("chunks_after_cancel=3")
async def chunks_after_a_cancel(server: LoopbackServer) -> None:
    fields = '"voice_id":"meher","context_id":"abcdefgh"'
    async with lightning_socket(server) as (reader, writer):
        writer.write(frame(1, f'{{{fields},"text":"One. Two","continue":true}}'.encode(), masked=True))
        await reader.readuntil(b'"status":"complete"')
        writer.write(frame(1, f'{{{fields},"cancel_request":true}}'.encode(), masked=True))
        late = b""
        while late.count(b'"status":"chunk"') < 3:
            late += await reader.read(65536)
    async with connect_lightning(CONTEXT, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.open_context()
        await context.send_text("One. Two")
        heard = [await anext(context)]
        await context.cancel()
        heard += [event async for event in context]
        assert len(pcm_of(heard)) <= len(expected_pcm("One."))  # of the late ones, nothing is heard
        assert not stream.reusable


@case("busy")
async def one_too_many(server: LoopbackServer) -> None:
    async with connect_lightning(CONTEXT, base_url=server.url, limits=PATIENT) as stream:
        context = await stream.open_context()
        await context.send_text("One. ")
        await context.send_text("Two.")
        await context.finish()
        assert "concurrent" in (await failure(anext(context), ServerError)).message
    error = await failure(speak_http(server), ServerError)
    assert (error.status, error.retry_after) == (429, 1.0)


@case("odd_chunks")
async def half_samples(server: LoopbackServer) -> None:
    assert pcm_of(await say(server)) == expected_pcm()
    assert pcm_of(await speak_http(server)) == expected_pcm()
    async with lightning_socket(server) as (reader, writer):
        writer.write(frame(1, b'{"voice_id":"meher","text":"One."}', masked=True))
        said = await reader.readuntil(b'"status":"complete"')
    sse = await raw(server, "/waves/v1/tts/live", b'{"voice_id":"meher","text":"One."}')
    for sizes in (sizes_in(said), sizes_in(sse)):
        assert sizes
        assert all(size % 2 for size in sizes)


def sizes_in(said: bytes) -> list[int]:
    """How many bytes of audio each message holds."""
    return [len(b64decode(part.partition(b'"')[0])) for part in said.split(b'"audio":"')[1:]]


@case("damaged_base64")
async def what_is_not_base64(server: LoopbackServer) -> None:
    for work in (say(server), speak_http(server)):
        assert "base64" in str(await failure(work, ServerError))


@case("sse_framing=current", "sse_framing=older", "sse_framing=nested", "sse_framing=nested odd_chunks")
@case("sse_line_end=lf", "sse_line_end=crlf", "sse_line_end=cr", "sse_comments", "split_bytes")
@case("sse_line_end=crlf sse_comments split_bytes odd_chunks", "sse_framing=nested split_bytes odd_chunks")
async def events_in_any_form(server: LoopbackServer) -> None:
    events = await speak_http(server)
    assert pcm_of(events) == expected_pcm()
    assert isinstance(events[-1], SpeechComplete)
    faults = faults_of(server)
    body = b'{"voice_id":"meher","text":"One."}'
    said = await raw(server, "/waves/v1/tts/live", body)
    if faults.split_bytes:
        assert b"\r\n1\r\n" in said
    else:
        assert (b": a comment" in said) is faults.sse_comments
        assert (b"event: audio" in said) is (faults.sse_framing == "current")
        assert {"lf": b"}\n\n", "crlf": b"}\r\n\r\n", "cr": b"}\r\r"}[faults.sse_line_end] in said
    plain = await raw(server, "/waves/v1/tts", body)
    assert b"\r\ncontent-type: audio/wav\r\n" in plain.lower()


@case("sse_truncated")
async def events_cut_short(server: LoopbackServer) -> None:
    await failure(speak_http(server), ConnectionLost)


# the table


def faults_of(server: LoopbackServer) -> Faults:
    [faults] = server._faults
    return faults


@pytest.mark.parametrize(
    ("given", "check"), [pytest.param(*case, id=f"{case.check.__name__}: {case.faults}") for case in CASES]
)
def test_a_fault_is_what_it_says(given: str, check: Check) -> None:
    async def main() -> None:
        async with serve(faults=read_faults(given.split()), limits=PATIENT) as server:
            await check(server)

    run(main())


def test_without_faults_all_is_well() -> None:
    async def main() -> None:
        async with serve() as server:
            assert finals(await hear(server)) == ["heard 2.0 seconds", "heard 2.5 seconds"]
            assert pcm_of(await say(server)) == expected_pcm()
            assert pcm_of(await speak_http(server)) == expected_pcm()
            assert isinstance(await recognise(server), BatchResult)

    run(main())


def test_every_fault_has_a_case() -> None:
    tried = {name.partition("=")[0] for case in CASES for name in case.faults.split()}
    assert FAULTS.keys() - tried == {"too_many"}  # which needs a crowd


def test_the_nth_connection_has_the_nth_faults() -> None:
    async def main() -> None:
        several = [Faults(reject=503), Faults(hang_up=True), Faults()]
        async with serve(faults=several) as server:
            await failure(hear(server), HandshakeRejected)
            await failure(hear(server), ConnectionLost)
            for _ in range(2):  # the last one stays
                assert finals(await hear(server))

    run(main())


def test_no_faults_at_all_are_refused() -> None:
    async def main() -> None:
        async with serve(faults=[]):
            pass

    with pytest.raises(ValueError, match="faults"):
        run(main())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["what"], "stop_pongs"),
        (["error=E99"], "E20"),
        (["reject=200"], "400"),
        (["reset=perhaps"], "no value"),
        (["close"], "expected N"),
        (["idle_timeout=0"], "SECONDS"),
        (["redirect=two words"], "TEXT"),
    ],
)
def test_bad_faults_are_refused(given: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=given[0].partition("=")[0]) as caught:
        read_faults(given)
    assert words in str(caught.value)
    name, _, value = given[0].partition("=")
    if name in FAULTS:
        with pytest.raises(ValueError, match=name):
            Faults(**{name: value})  # type: ignore[arg-type]  # that is the point


def test_faults_can_be_written_with_hyphens_and_switched_off() -> None:
    assert read_faults(["stop-pongs", "reset=false", "after-seconds=1.5"]) == Faults(
        stop_pongs=True, after_seconds=1.5
    )


def test_the_list_has_every_fault_and_its_meaning() -> None:
    text = fault_list()
    for name, fault in FAULTS.items():
        assert f"{name}{fault.values}" in text
        assert fault.does in text
