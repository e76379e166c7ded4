"""One HTTP connection of the local server: request after request, each to what answers it."""

from __future__ import annotations

import asyncio
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
from smallest_proto.pulse import BatchAsked, batch_asked
from smallest_proto.wire.http import HttpServerWire
from smallest_proto.wire.http_events import BodyReceived, ExchangeFailed, RequestEnded, RequestStarted
from smallest_transports._link import Link
from smallest_transports.loopback.answer import Answer
from smallest_transports.loopback.batch_handler import batch_answer
from smallest_transports.loopback.fault_bodies import door
from smallest_transports.loopback.faults import Faults
from smallest_transports.loopback.http_mischief import instead
from smallest_transports.loopback.mischief import Levers
from smallest_transports.loopback.offload import explain
from smallest_transports.loopback.service import Service
from smallest_transports.loopback.speech_handler import answer_speech

VOICES = (
    Voice(voice_id="meher", display_name="Meher", languages=("english", "hindi"), gender="female"),
    Voice(voice_id="sophia", display_name="Sophia", languages=("english",), gender="female"),
)
"""The catalogue here: the voices that clients take when their user names none. The engines know but one."""


class HttpHandler:
    """Serves one connection until it closes. `crowd` is what one too many is told, None for the others."""

    def __init__(
        self,
        link: Link,
        wire: HttpServerWire,
        answer: Answer,
        service: Service,
        faults: Faults,
        levers: Levers,
        crowd: HttpReply | None,
    ) -> None:
        self._link = link
        self._wire = wire
        self._answer = answer
        self._service = service
        self._faults = faults
        self._levers = levers
        self._crowd = crowd
        self._leaving = crowd is not None
        self._busy = False

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
                        self._service.remember(event.method, event.target, event.headers)
                        if answering is not None:
                            await asyncio.wait([answering])  # a client that never reads gets no more answers
                        request, unread, self._busy = event, True, True
                        if (refusal := self._refusal(event.headers)) is not None:
                            request = None
                            answering = tasks.create_task(self._refuse(refusal))
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

    def leave(self) -> None:
        """Close as soon as no request is under way."""
        self._leaving = True
        if not self._busy:
            self._wire.close(self._link.backend.now())

    def _refusal(self, headers: Headers) -> HttpReply | None:
        return self._crowd or self._service.gate.refusal(headers) or door(self._faults)

    async def _refuse(self, reply: HttpReply) -> None:
        if await self._hesitate():
            await self._reply(reply)
        await self._finish()

    async def _reply(self, reply: HttpReply) -> None:
        with suppress(ProtocolError):  # the client has left
            await self._answer.reply(reply)

    async def _serve(self, request: RequestStarted, body: bytes) -> None:
        try:
            if await self._hesitate():
                await self._respond(request.method, request.target, request.headers, body)
        except ProtocolError:  # the client has left
            pass
        except Exception as error:
            await self._reply(failure_reply(500, "InternalServerError", explain(error)))
        await self._finish()

    async def _hesitate(self) -> bool:
        """What the faults do before an answer; whether there is to be one."""
        await asyncio.sleep(self._faults.slow_accept)
        match self._faults.no_answer:
            case "silence":
                await asyncio.Event().wait()  # until the client leaves
            case "hang_up" | "reset" as how:
                self._levers.cut(reset=how == "reset")
        return self._faults.no_answer is None

    async def _finish(self) -> None:
        self._busy = False
        if self._leaving:
            self._wire.close(self._link.backend.now())
            await self._link.flush()  # whoever waits for bytes learns of it

    async def _respond(self, method: str, target: str, headers: Headers, body: bytes) -> None:
        if voices_asked(method, target):
            await self._answer.reply(voices_reply(VOICES))
            return
        asked = _asked(method, target, headers, body)
        if isinstance(asked, BatchAsked | SpeechAsked):
            asked = instead(asked, self._faults) or asked
        service = self._service
        match asked:
            case BatchAsked() as batch:
                await self._answer.reply(await batch_answer(batch, service.recognizer, service.pool))
            case SpeechAsked() as speech:
                await answer_speech(speech, self._answer, service.synthesizer, service.pool)
            case HttpReply() as refusal:
                await self._answer.reply(refusal)
            case None:
                await self._answer.reply(json_reply(404, {"error": "not found"}))


def _asked(
    method: str, target: str, headers: Headers, body: bytes
) -> BatchAsked | SpeechAsked | HttpReply | None:
    return batch_asked(method, target, headers, body) or speech_asked(method, target, headers, body)
