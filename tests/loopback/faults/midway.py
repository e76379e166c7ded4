"""Faults in the middle of a connection: its end, errors, silence, stray messages."""

import asyncio
from typing import get_args

from loopback.faults.cases import case, faults_of
from loopback.faults.clients import (
    CONTEXT,
    PATIENT,
    SECOND,
    SEGMENT,
    SENTENCE,
    collect,
    expected_pcm,
    failure,
    finals,
    hear,
    lightning_socket,
    pcm_of,
    raw,
    say,
    socket_to,
    speak_http,
)
from smallest_proto.errors import ConnectionLost, DeadlineExceeded, ProtocolError, ServerError
from smallest_proto.events import ConnectionClosed, Event, UnknownMessage
from smallest_proto.lightning import AudioChunk
from smallest_proto.pulse import FinalTranscript, InterimTranscript, PulseOptions
from smallest_transports.asyncio import connect_lightning, connect_pulse
from smallest_transports.loopback import LoopbackServer
from smallest_transports.loopback.fault_bodies import TEXT, error_text
from smallest_transports.loopback.faults import ErrorShape
from sockets import PING, QUICK, frame


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
