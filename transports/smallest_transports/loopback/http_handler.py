"""One HTTP connection of the local server: request after request, each to what answers it."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from contextlib import suppress

from smallest_proto.error_shapes import Headers
from smallest_proto.errors import ProtocolError
from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.lightning import (
    SpeechAsked,
    Voice,
    failure_reply,
    speech_asked,
    voices_asked,
    voices_reply,
)
from smallest_proto.limits import Limits
from smallest_proto.pulse import BatchAsked, batch_asked
from smallest_proto.wire.http import HttpServerWire
from smallest_proto.wire.http_events import BodyReceived, ExchangeFailed, RequestEnded, RequestStarted
from smallest_transports._link import Link
from smallest_transports.loopback.access import Gate
from smallest_transports.loopback.answer import Answer
from smallest_transports.loopback.batch_handler import batch_answer
from smallest_transports.loopback.engines.base import Recognizer, Synthesizer
from smallest_transports.loopback.offload import explain
from smallest_transports.loopback.speech_handler import answer_speech

VOICES = (
    Voice(voice_id="meher", display_name="Meher", languages=("english", "hindi"), gender="female"),
    Voice(voice_id="sophia", display_name="Sophia", languages=("english",), gender="female"),
)
"""The catalogue here: the voices that clients take when their user names none. The engines know but one."""


class HttpHandler:
    """Serves one connection until it closes."""

    def __init__(
        self,
        link: Link,
        wire: HttpServerWire,
        gate: Gate,
        recognizer: Recognizer,
        synthesizer: Synthesizer,
        pool: Executor,
        limits: Limits,
    ) -> None:
        self._link = link
        self._gate = gate
        self._recognizer = recognizer
        self._synthesizer = synthesizer
        self._pool = pool
        self._answer = Answer(link, wire, limits)

    async def run(self) -> bool:
        """Serve. Ends with the connection; a cancellation gives up what is under way.

        Returns whether the client may still be sending what nobody reads.
        """
        request: RequestStarted | None = None
        body = bytearray()
        answering: asyncio.Task[None] | None = None
        unread = False
        async with asyncio.TaskGroup() as tasks:
            while (event := await self._link.next_event()) is not None:
                match event:
                    case RequestStarted():
                        if answering is not None:
                            await asyncio.wait([answering])  # a client that never reads gets no more answers
                        request, unread = event, True
                        if (refusal := self._gate.refusal(event.headers)) is not None:
                            request = None
                            answering = tasks.create_task(self._reply(refusal))
                    case BodyReceived() if request is not None:
                        body += event.data
                    case RequestEnded():
                        unread = False
                        if request is not None:
                            answering = tasks.create_task(self._serve(request, bytes(body)))
                        request = None
                        body.clear()
                    case ExchangeFailed():
                        unread = not self._answer.given_up
                        if answering is not None:
                            answering.cancel()  # nobody waits for it any more
        return unread

    async def _reply(self, reply: HttpReply) -> None:
        with suppress(ProtocolError):  # the client has left
            await self._answer.reply(reply)

    async def _serve(self, request: RequestStarted, body: bytes) -> None:
        try:
            await self._respond(request.method, request.target, request.headers, body)
        except ProtocolError:  # the client has left
            return
        except Exception as error:
            await self._reply(failure_reply(500, "InternalServerError", explain(error)))

    async def _respond(self, method: str, target: str, headers: Headers, body: bytes) -> None:
        if voices_asked(method, target):
            await self._answer.reply(voices_reply(VOICES))
            return
        match _asked(method, target, headers, body):
            case BatchAsked() as batch:
                await self._answer.reply(await batch_answer(batch, self._recognizer, self._pool))
            case SpeechAsked() as speech:
                await answer_speech(speech, self._answer, self._synthesizer, self._pool)
            case HttpReply() as refusal:
                await self._answer.reply(refusal)
            case None:
                await self._answer.reply(json_reply(404, {"error": "not found"}))


def _asked(
    method: str, target: str, headers: Headers, body: bytes
) -> BatchAsked | SpeechAsked | HttpReply | None:
    return batch_asked(method, target, headers, body) or speech_asked(method, target, headers, body)
