"""One Pulse connection of the local server: audio to the recogniser, its messages back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial

import msgspec

from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.pulse import (
    AudioReceived,
    CloseStreamReceived,
    ErrorMessage,
    FinalizeReceived,
    PulseConnection,
    PulseOptions,
    TranscriptMessage,
    VadMessage,
)
from smallest_proto.pulse.messages import ServerMessage
from smallest_transports._link import Link
from smallest_transports.loopback.backlog import Backlog
from smallest_transports.loopback.engines.base import Recognizer, RecognizerSession, RecognizerSetup
from smallest_transports.loopback.offload import explain, offload

MAX_WAITING_AUDIO = 64 * 1024 * 1024
"""Bytes of audio that may wait for the recogniser before the socket is no longer read."""

BATCH = 16 * 1024
"""Bytes of waiting audio after which a call to the recogniser begins, so that its messages keep coming."""


class PulseHandler:
    """Serves one accepted connection until it closes."""

    def __init__(self, link: Link, conn: PulseConnection, recognizer: Recognizer, pool: Executor) -> None:
        self._link = link
        self._conn = conn
        self._recognizer = recognizer
        self._pool = pool
        self._session_id = secrets.token_hex(8)
        self._waiting = Backlog(MAX_WAITING_AUDIO)

    async def run(self) -> None:
        """Serve. Ends with the connection; a cancellation gives the session up."""
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(self._work())
            await self._read()
            worker.cancel()

    def leave(self) -> None:
        """A stream is under way until its client ends it."""

    async def _read(self) -> None:
        while (event := await self._link.next_event()) is not None:
            if isinstance(event, ConnectionClosed):
                return
            await self._waiting.put(event, len(event.audio) if isinstance(event, AudioReceived) else 1)

    async def _work(self) -> None:
        try:
            opening = partial(self._recognizer.open, setup_of(self._conn.options))
            session = await offload(self._pool, opening, undo=lambda session: session.close())
            try:
                await self._recognize(session)
            finally:
                await offload(self._pool, session.close)
        except Exception as error:
            await self._send([ErrorMessage(message=explain(error))])

    async def _recognize(self, session: RecognizerSession) -> None:
        while True:
            for call in calls(session, await self._waiting.take()):
                await self._send(await offload(self._pool, call))

    async def _send(self, messages: Sequence[ServerMessage]) -> None:
        for message in messages:
            if isinstance(message, TranscriptMessage | VadMessage):
                message = msgspec.structs.replace(message, session_id=self._session_id)
            with suppress(LocalProtocolError):  # the stream has ended meanwhile
                self._conn.send(message, self._link.backend.now())
        await self._link.flush()


def setup_of(options: PulseOptions) -> RecognizerSetup:
    """What the engine needs of the options."""
    return RecognizerSetup(
        encoding=options.encoding,
        sample_rate=options.sample_rate,
        language=options.language,
        word_timestamps=options.word_timestamps,
        sentence_timestamps=bool(options.sentence_timestamps),
        vad_events=bool(options.vad_events),
        eou_timeout_ms=options.eou_timeout_ms or None,
    )


def calls(session: RecognizerSession, events: Sequence[Event]) -> list[Callable[[], Sequence[ServerMessage]]]:
    """The calls that these events stand for, in order; neighbouring audio is gathered."""
    result: list[Callable[[], Sequence[ServerMessage]]] = []
    audio = bytearray()
    for event in [*events, None]:
        if isinstance(event, AudioReceived):
            audio += event.audio
            if len(audio) < BATCH:
                continue
        if audio:
            result.append(partial(session.feed, bytes(audio)))
            audio.clear()
        if isinstance(event, FinalizeReceived):
            result.append(session.finalize)
        elif isinstance(event, CloseStreamReceived):
            result.append(session.finish)
    return result
