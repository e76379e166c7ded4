"""One Lightning connection of the local server: text to the synthesiser, its speech back."""

from __future__ import annotations

import asyncio
import re
import secrets
from concurrent.futures import Executor
from contextlib import aclosing, suppress

from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.lightning import (
    CancelReceived,
    ContextClosed,
    FlushReceived,
    LightningConnection,
    SendAudio,
    SendComplete,
    SendError,
    SendWord,
    SynthesisRequested,
    SynthesisSetup,
    TextReceived,
)
from smallest_proto.lightning.commands import ServerCommand
from smallest_transports._link import Link
from smallest_transports.loopback.backlog import Backlog
from smallest_transports.loopback.engines.base import Synthesizer
from smallest_transports.loopback.offload import explain
from smallest_transports.loopback.speaking import setup_of, spoken

MAX_WAITING_TEXT = 1024 * 1024
"""Characters that may wait for the synthesiser before the socket is no longer read."""

MAX_TEXT = 1024 * 1024
"""Characters of one release, which must fit into memory; a text without the end of a sentence is one."""

EVENT_SIZE = 100
"""Characters that a message counts for beside its text."""

_SENTENCES = re.compile(r"(.*[.!?…।])\s+(.*)", re.DOTALL)


class LightningHandler:
    """Serves one accepted connection until it closes."""

    def __init__(
        self, link: Link, conn: LightningConnection, synthesizer: Synthesizer, pool: Executor
    ) -> None:
        self._link = link
        self._conn = conn
        self._synthesizer = synthesizer
        self._pool = pool
        self._waiting = Backlog(MAX_WAITING_TEXT)
        self._leaving = False

    async def run(self) -> None:
        """Serve. Ends with the connection; a cancellation gives the synthesis up."""
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(self._work())
            while (event := await self._link.next_event()) is not None:
                if isinstance(event, ConnectionClosed):
                    break
                await self._waiting.put(event, EVENT_SIZE + len(getattr(event, "text", "")))
            worker.cancel()

    def leave(self) -> None:
        """Close as soon as nothing is being spoken, nor has been asked for."""
        self._leaving = True
        if self._conn.reusable:
            self._conn.request_close(1001, "going away")

    async def _work(self) -> None:
        text = ""
        while True:
            for event in await self._waiting.take():
                text = await self._take(event, text)
            if self._leaving and self._conn.reusable:
                self.leave()
                await self._link.flush()

    async def _take(self, event: Event, text: str) -> str:
        """Work on an event; `text` is what has gathered for a release, before and after."""
        match event:
            case SynthesisRequested():
                await self._speak(event.text, event.setup, complete=True)
            case TextReceived():
                text += event.text
                if len(text) > MAX_TEXT:
                    return await self._refuse(f"more than {MAX_TEXT} characters in one release")
                # the older protocol has one release at the end
                if event.context_id and (match := _SENTENCES.fullmatch(text)):
                    await self._speak(match[1], event.setup, complete=True, last=False)
                    return match[2]
            case FlushReceived():
                await self._speak(text, event.setup, complete=False)
                return ""
            case ContextClosed():
                await self._speak(text, event.setup, complete=True)
                return ""
            case CancelReceived():
                return ""
        return text

    async def _refuse(self, problem: str) -> str:
        with suppress(LocalProtocolError):  # cancelled or closed meanwhile
            self._send(SendError(problem))
        await self._link.flush()
        return ""

    async def _speak(self, text: str, setup: SynthesisSetup, *, complete: bool, last: bool = True) -> None:
        """One release of audio: chunks and words, then `complete`. Stops when the client cancels."""
        request_id = f"task_{secrets.token_hex(6)}"
        try:
            async with aclosing(spoken(self._synthesizer, setup_of(setup), text, self._pool)) as pieces:
                async for speech in pieces:
                    for word in speech.words:
                        self._send(SendWord(word.word, word.start, word.end, word.index, request_id))
                    self._send(SendAudio(speech.pcm, request_id))
                    await self._link.flush()
            if complete:
                self._send(SendComplete(request_id, last))
        except LocalProtocolError:  # cancelled or closed meanwhile
            return
        except Exception as error:
            with suppress(LocalProtocolError):
                self._send(SendError(explain(error), request_id=request_id))
        await self._link.flush()

    def _send(self, command: ServerCommand) -> None:
        self._conn.send(command, self._link.backend.now())
