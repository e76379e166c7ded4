"""Faults of Pulse: flags, ends, and fields that are not what they should be."""

from loopback.faults.cases import case, faults_of
from loopback.faults.clients import PATIENT, SECOND, collect, failure, finals, hear, socket_to
from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import ServerError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.pulse import (
    FinalTranscript,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    pulse_request,
)
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._connect import open_link, settings
from smallest_transports.asyncio import connect_pulse
from smallest_transports.loopback import LoopbackServer
from sockets import QUICK, frame


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
    given = settings({"base_url": server.url, "limits": PATIENT})
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
