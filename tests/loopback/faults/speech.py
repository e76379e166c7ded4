"""Faults of Lightning, over WebSocket and over HTTP."""

import asyncio
import json
import re
from base64 import b64decode

import pytest

from loopback.faults.cases import case, faults_of
from loopback.faults.clients import (
    CONTEXT,
    PATIENT,
    SEGMENT,
    SENTENCE,
    expected_pcm,
    failure,
    lightning_socket,
    pcm_of,
    raw,
    say,
    speak_http,
)
from smallest_proto.errors import ConnectionLost, ProtocolError, ServerError
from smallest_proto.events import ConnectionClosed
from smallest_proto.lightning import ContextComplete, LightningOptions, SpeechComplete, WordTimestamp
from smallest_transports.asyncio import connect_lightning
from smallest_transports.loopback import LoopbackServer
from sockets import frame


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
