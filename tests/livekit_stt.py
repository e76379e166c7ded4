"""LiveKit streams for tests: frames to push, events to read, a server that plays one side of a conversation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import APIConnectOptions, stt

from livekit import rtc
from livekit.plugins import smallest
from sockets import BINARY, CLOSE, PING, PONG, TEXT, Peer, raw_server
from sockets import frame as control

ONCE = APIConnectOptions(max_retry=0, timeout=5.0)
"""One attempt: what goes wrong is raised."""

TWICE = APIConnectOptions(max_retry=1, retry_interval=0.01, timeout=5.0)

Event = stt.SpeechEvent
Kind = stt.SpeechEventType
START, END = Kind.START_OF_SPEECH, Kind.END_OF_SPEECH
INTERIM, FINAL, USAGE = Kind.INTERIM_TRANSCRIPT, Kind.FINAL_TRANSCRIPT, Kind.RECOGNITION_USAGE


def frame(seconds: float = 0.05, rate: int = 16000, channels: int = 1, value: int = 0) -> rtc.AudioFrame:
    samples = round(seconds * rate)
    data = value.to_bytes(2, "little", signed=True) * (samples * channels)
    return rtc.AudioFrame(data, rate, channels, samples)


def push(stream: stt.RecognizeStream, seconds: float, rate: int = 16000) -> None:
    """Push silence in frames of 10 ms, as a room does."""
    for _ in range(round(seconds * 100)):
        stream.push_frame(frame(0.01, rate))


async def keep_pushing(stream: stt.RecognizeStream) -> None:
    """Push frames until the stream has ended."""
    while True:
        try:
            stream.push_frame(frame())
        except RuntimeError:  # the stream has ended
            return
        await asyncio.sleep(0.005)


async def rest(stream: stt.RecognizeStream) -> list[Event]:
    """All events to the end."""
    return [event async for event in stream]


async def upto(stream: stt.RecognizeStream, kind: Kind) -> list[Event]:
    """Events up to the first of this kind."""
    events: list[Event] = []
    async for event in stream:
        events.append(event)
        if event.type is kind:
            return events
    raise AssertionError(f"no {kind}, but {shown(events)}")


def kinds(events: Sequence[Event]) -> list[Kind]:
    """The kinds, without reports of usage, which may fall anywhere."""
    return [event.type for event in events if event.type is not USAGE]


def shown(events: Sequence[Event]) -> list[str]:
    """Events as `START`, `INTERIM text`, `FINAL text`, `END`, without usage."""
    names = {START: "START", END: "END", INTERIM: "INTERIM", FINAL: "FINAL"}
    return [
        " ".join([names[event.type], *(data.text for data in event.alternatives)])
        for event in events
        if event.type is not USAGE
    ]


def usage(events: Sequence[Event]) -> float:
    """Seconds of audio reported."""
    return sum(event.recognition_usage.audio_duration for event in events if event.recognition_usage)


def data_of(events: Sequence[Event], kind: Kind = FINAL) -> stt.SpeechData:
    """What the first event of this kind says."""
    return next(event.alternatives[0] for event in events if event.type is kind)


def message(text: str | None, **fields: Any) -> dict[str, Any]:
    """A transcription message, final unless told otherwise."""
    return {"session_id": "s1", "transcript": text, "is_final": True, "is_last": False, **fields}


def word(text: str, start: float = 0.0, end: float = 0.5, **fields: Any) -> dict[str, Any]:
    return {"word": text, "start": start, "end": end, "confidence": 0.9, **fields}


class Heard:
    """What a client said to a scripted server."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.packets: list[list[int]] = []
        self.texts: list[list[str]] = []

    @property
    def connections(self) -> int:
        return len(self.requests)

    def target(self, index: int = 0) -> str:
        return self.requests[index].split(" ")[1]

    def headers(self, index: int = 0) -> dict[str, str]:
        lines = self.requests[index].split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}


Answer = Callable[[Peer, str], Awaitable[None]]


async def plain_answer(peer: Peer, said: str) -> None:
    """An empty last message for close_stream, an empty final for finalize."""
    if "close_stream" in said:
        peer.text(message("", is_last=True))
        peer.close_frame(1000)
    elif "finalize" in said:
        peer.text(message("", from_finalize=True))


def saying(*messages: object, answer: Answer = plain_answer, at: str = "audio") -> Answer:
    """Say these after the first packet, or the first text with `at` in it; otherwise as `answer`."""
    pending = [messages]

    async def behave(peer: Peer, said: str) -> None:
        if pending and at in said:
            for item in pending.pop():
                peer.text(item)
        await answer(peer, said)

    return behave


@asynccontextmanager
async def served(*answers: Answer, heard: Heard | None = None) -> AsyncIterator[str]:
    """A server whose n-th connection answers as the n-th of `answers`, the last one ever after."""
    heard = heard if heard is not None else Heard()

    async def behave(peer: Peer) -> None:
        index = heard.connections
        await peer.accept()
        heard.requests.append(peer.request)
        heard.packets.append([])
        heard.texts.append([])
        answer = answers[min(index, len(answers) - 1)] if answers else plain_answer
        while True:
            opcode, payload = await peer.frame()
            if opcode == BINARY:
                heard.packets[index].append(len(payload))
                await answer(peer, "audio")
            elif opcode == TEXT:
                said = payload.decode()
                heard.texts[index].append(json.loads(said)["type"])
                await answer(peer, said)
            elif opcode == PING:
                peer.send(control(PONG, payload))
            elif opcode == CLOSE:
                peer.close_frame(1000)
                return

    async with raw_server(behave) as url:
        yield url


async def talk(
    *answers: Answer,
    seconds: float = 0.2,
    heard: Heard | None = None,
    conn_options: APIConnectOptions = ONCE,
    **options: Any,
) -> list[Event]:
    """A whole stream: silence, the end of the input, all events."""
    async with (
        served(*answers, heard=heard) as url,
        smallest.STT(api_key="sk_test", base_url=url, **options) as recogniser,
        recogniser.stream(conn_options=conn_options) as stream,
    ):
        push(stream, seconds)
        stream.end_input()
        return await rest(stream)
