"""Clients of a server with faults: of the library, and of bare sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal, TypeVar

import pytest

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Event
from smallest_proto.lightning import AudioChunk, LightningOptions
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchAudio, BatchOptions, FinalTranscript, PulseOptions
from smallest_proto.wav import wav_file
from smallest_transports.asyncio import PulseStream, connect_lightning, connect_pulse, synthesize, transcribe
from smallest_transports.loopback import LoopbackServer
from smallest_transports.loopback.engines.base import SynthesizerSetup
from smallest_transports.loopback.engines.scripted import ScriptedSynthesizer

SECOND = bytes(32000)
WAV = wav_file(bytes(64000), 16000)
SENTENCE = "Good day."
SEGMENT = LightningOptions(text_mode="segment", word_timestamps=True, sample_rate=8000)
CONTEXT = LightningOptions(word_timestamps=True, sample_rate=8000, linger=0.2)
PATIENT = Limits(close_timeout=0.2, drain_timeout=5, response_timeout=5)

Error = TypeVar("Error", bound=ProtocolError)


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
