"""For tests of the LiveKit text to speech: a server that is scripted per connection, and what came of a segment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from livekit.agents import APIConnectOptions, APIError
from livekit.agents import tts as agents_tts
from livekit.agents.metrics import TTSMetrics
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from sockets import CLOSE, TEXT, Peer, raw_server

ONCE = APIConnectOptions(max_retry=0, timeout=5.0)
AGAIN = APIConnectOptions(max_retry=1, timeout=5.0, retry_interval=0.01)
KEY = "sk_very_secret"


class Heard:
    """What a consumer of a stream got."""

    def __init__(self) -> None:
        self.pcm = b""
        self.words: list[tuple[str, object, object]] = []
        self.finals: list[bool] = []
        self.request_ids: set[str] = set()
        self.segment_ids: set[str] = set()
        self.error: APIError | None = None

    async def hear(self, stream: agents_tts.SynthesizeStream | agents_tts.ChunkedStream) -> Heard:
        """Take everything; the error is kept, not raised."""
        try:
            async for event in stream:
                data = bytes(event.frame.data)
                if not event.is_final or any(data):  # the framework's marker of the end is 10 ms of silence
                    self.pcm += data
                self.finals.append(event.is_final)
                self.request_ids.add(event.request_id)
                self.segment_ids.add(event.segment_id)
                for word in event.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, []):
                    self.words.append((str(word), word.start_time, word.end_time))
        except APIError as error:
            self.error = error
        return self


async def say(
    speaker: agents_tts.TTS[Any], *pieces: str, conn_options: APIConnectOptions = ONCE, end: bool = True
) -> Heard:
    """One stream from its first piece of text to its end."""
    async with speaker.stream(conn_options=conn_options) as stream:
        for piece in pieces:
            stream.push_text(piece)
        if end:
            stream.end_input()
        return await Heard().hear(stream)


def collect_metrics(speaker: agents_tts.TTS[Any]) -> list[TTSMetrics]:
    """The metrics that the speaker will emit."""
    metrics: list[TTSMetrics] = []
    speaker.on("metrics_collected", metrics.append)
    return metrics


class Script:
    """Connections of a scripted server: how many came, what they asked, what they said."""

    def __init__(self, *parts: Callable[[Script, Peer], Awaitable[None]]) -> None:
        self._parts = parts
        self.connections = 0
        self.requests: list[str] = []
        self.messages: list[list[dict[str, object]]] = []

    async def __call__(self, peer: Peer) -> None:
        number = self.connections
        self.connections += 1
        self.messages.append([])
        part = self._parts[min(number, len(self._parts) - 1)]
        peer.script_number = number  # type: ignore[attr-defined]  # so that `message` knows whose it is
        await part(self, peer)

    async def message(self, peer: Peer) -> dict[str, object]:
        """The next JSON message of this client."""
        while True:
            opcode, payload = await peer.frame()
            if opcode == CLOSE:
                raise ConnectionResetError("the client has closed")
            if opcode == TEXT:
                message: dict[str, object] = json.loads(payload)
                self.messages[peer.script_number].append(message)  # type: ignore[attr-defined]  # see above
                return message

    async def whole_text(self, peer: Peer) -> str:
        """The client's text, to its end, in whichever mode."""
        text = ""
        while True:
            message = await self.message(peer)
            text += str(message["text"])
            if message.get("continue") is not True:
                return text


def spoken(*frames: object, hold: bool = True) -> Callable[[Script, Peer], Awaitable[None]]:
    """Accept, hear the text out, send these, and hold the connection, or hang up.

    A number is a pause in seconds, bytes go out raw, anything else as a message.
    """

    async def part(script: Script, peer: Peer) -> None:
        await peer.accept()
        script.requests.append(peer.request)
        await script.whole_text(peer)
        await send(peer, *frames)
        if hold:
            await until_closed(peer)

    return part


async def until_closed(peer: Peer) -> None:
    """Read up to the client's close frame; to hang up is then our answer."""
    while (await peer.frame())[0] != CLOSE:
        pass


async def send(peer: Peer, *frames: object) -> None:
    """Frames as `spoken` has them."""
    for item in frames:
        if isinstance(item, float):
            await asyncio.sleep(item)
        elif isinstance(item, bytes):
            peer.send(item)
        else:
            peer.text(item)


@asynccontextmanager
async def scripted(*parts: Callable[[Script, Peer], Awaitable[None]]) -> AsyncIterator[tuple[Script, str]]:
    """A server whose n-th connection plays the n-th part, the last part ever after."""
    script = Script(*parts)
    async with raw_server(script) as url:
        yield script, url


def tone(seconds: float, rate: int = 24000, first: int = 1) -> bytes:
    """That much PCM, of samples that count up: a lost, doubled or shifted one shows."""
    count = round(seconds * rate)
    return b"".join([((first + i) % 30000).to_bytes(2, "little") for i in range(count)])
