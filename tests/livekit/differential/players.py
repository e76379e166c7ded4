"""The scripted server, and a client of either plugin that talks to it."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import APIConnectOptions, stt

from livekit import rtc
from livekit.differential.scripts import Script
from sockets import BINARY, PING, PONG, TEXT, Peer, raw_server
from sockets import frame as control

Plugin = Callable[..., stt.STT[Any]]

PATIENCE = 20.0
"""Seconds after which a conversation hangs."""


@dataclass
class Outcome:
    """What a client told its user: events without usage, seconds of audio reported, how it ended.

    before: how many of the events are of the first connection.
    """

    events: list[tuple[Any, ...]]
    usage: float
    error: str
    requests: list[str]
    texts: list[str]
    before: int = field(compare=False)


async def play(plugin: Plugin, script: Script, **options: Any) -> Outcome:
    """One conversation, over real sockets."""
    server = _Server(script)
    async with raw_server(server.behave) as url:
        recogniser = plugin(api_key="sk_test", base_url=url, **script.options, **options)
        conn_options = APIConnectOptions(max_retry=1 if script.retry else 0, retry_interval=0.0)
        stream = recogniser.stream(conn_options=conn_options)
        offsets = _note_offsets(stream, server.requests)
        told: list[tuple[Any, ...]] = []
        before, seconds = 0, 0.0
        error = ""
        pushing = asyncio.create_task(_push(stream, script, server))
        try:
            async with asyncio.timeout(PATIENCE):
                async for event in stream:
                    offset, connection = offsets.popleft()
                    if event.recognition_usage is not None:
                        seconds += event.recognition_usage.audio_duration
                    else:
                        told.append(_shown(event, offset))
                        before += connection == 1
        except TimeoutError:
            error = "hangs"
        except Exception as failure:  # the official plugin lets anything through
            error = type(failure).__name__
        finally:
            pushing.cancel()
            await asyncio.gather(pushing, return_exceptions=True)
            await stream.aclose()
    return Outcome(told, round(seconds, 3), error, server.requests, server.texts, before)


async def _push(stream: stt.RecognizeStream, script: Script, server: _Server) -> None:
    for _ in range(script.packets):
        stream.push_frame(rtc.AudioFrame(bytes(1600), 16000, 1, 800))
    if script.early:  # who does not connect again, ends without being asked to
        await server.connected_again.wait()
    stream.end_input()


class _Server:
    def __init__(self, script: Script) -> None:
        self.requests: list[str] = []
        self.texts: list[str] = []
        self.connected_again = asyncio.Event()
        self._script = script

    async def behave(self, peer: Peer) -> None:
        script = self._script
        await peer.accept()
        self.requests.append(peer.request.split(" ")[1])
        if len(self.requests) > 1:
            self.connected_again.set()
            await self._until_asked(peer)
            self._say(peer, *script.again, script.last)
            await self._end(peer, "close 1000")
            return
        for _ in range(script.packets):
            await self._packet(peer)
        self._say(peer, *script.said)
        if not script.early:
            await self._until_asked(peer)
            self._say(peer, *script.after)
            if script.ending == "last":
                self._say(peer, script.last)
        await self._end(peer, script.ending.removeprefix("early "))

    def _say(self, peer: Peer, *messages: str) -> None:
        for message in messages:
            peer.text(message)

    async def _packet(self, peer: Peer) -> None:
        while (await self._frame(peer))[0] != BINARY:
            pass

    async def _until_asked(self, peer: Peer) -> None:
        while True:
            opcode, payload = await self._frame(peer)
            if opcode == TEXT:
                self.texts.append(json.loads(payload)["type"])
                if self.texts[-1] == "close_stream":
                    return

    async def _frame(self, peer: Peer) -> tuple[int, bytes]:
        opcode, payload = await peer.frame()
        if opcode == PING:
            peer.send(control(PONG, payload))
        return opcode, payload

    async def _end(self, peer: Peer, how: str) -> None:
        if how == "cut":
            peer.writer.write_eof()
        else:
            peer.close_frame(1000 if how == "last" else int(how.split()[1]))
        await peer.until_gone()


def _note_offsets(stream: Any, requests: list[str]) -> deque[tuple[float, int]]:
    """The framework's offset when each event was made, and the connection: either may have moved on when it is read."""
    offsets: deque[tuple[float, int]] = deque()
    send = stream._event_ch.send_nowait

    def noting(event: stt.SpeechEvent) -> None:
        offsets.append((stream.start_time_offset, len(requests)))
        send(event)

    stream._event_ch.send_nowait = noting
    return offsets


def _shown(event: stt.SpeechEvent, offset: float) -> tuple[Any, ...]:
    return (event.type.value, event.request_id, *(_data(data, offset) for data in event.alternatives))


def _data(data: stt.SpeechData, offset: float) -> tuple[Any, ...]:
    """Fields as values; times without the framework's offset, which is wall time and so never the same twice.

    The words know theirs, and the stream may have gone on to the next already.
    """
    if data.words and isinstance(data.words[0].start_time_offset, float):
        offset = data.words[0].start_time_offset
    words = [
        (str(w), _less(w.start_time, offset), _less(w.end_time, offset)) for w in data.words or ()
    ] or None
    times = (_less(data.start_time, offset), _less(data.end_time, offset)) if words else (0.0, 0.0)
    confidence = round(data.confidence, 6)
    metadata = _plain(data.metadata, offset)
    return (data.text, data.language, *times, confidence, data.speaker_id, words, metadata)


def _plain(value: Any, offset: float) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, offset) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, offset) for item in value]
    return _less(value, offset) if isinstance(value, float) else value


def _less(seconds: Any, offset: float) -> Any:
    return round(seconds - offset, 4)
