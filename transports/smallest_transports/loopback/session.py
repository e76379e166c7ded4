"""One accepted connection of the local server, from TLS to its end: which protocol it speaks, and who serves it."""

from __future__ import annotations

import asyncio
import secrets
from typing import TypeAlias

from smallest_proto.events import Role
from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.lightning import LightningConnection, lightning_options
from smallest_proto.message_layer import MessageLayer, QueuedLayer
from smallest_proto.pulse import PulseConnection, pulse_options
from smallest_proto.wire import UpgradeReceived, WebSocketServerWire
from smallest_proto.wire.http import HttpServerWire, wants_upgrade
from smallest_transports._backend import CLOSE_TIMEOUT
from smallest_transports._link import Link
from smallest_transports.loopback.answer import Answer
from smallest_transports.loopback.fault_bodies import door
from smallest_transports.loopback.faults import NO_FAULTS, Faults
from smallest_transports.loopback.http_handler import HttpHandler
from smallest_transports.loopback.http_mischief import MischievousAnswer
from smallest_transports.loopback.levers import SocketLevers
from smallest_transports.loopback.lightning_handler import LightningHandler
from smallest_transports.loopback.lightning_mischief import LightningMischief
from smallest_transports.loopback.pulse_handler import PulseHandler
from smallest_transports.loopback.pulse_mischief import PulseMischief
from smallest_transports.loopback.service import Service
from smallest_transports.loopback.stream import AcceptedStream

Handler: TypeAlias = HttpHandler | LightningHandler | PulseHandler

GOING_AWAY = (1001, "going away")
TOO_MANY = (1008, "too many open sessions")  # [asyncapi stt-live]


class Session:
    """Serves one connection. `crowded` says that it is one too many, which it is told."""

    def __init__(self, stream: AcceptedStream, service: Service, faults: Faults, *, crowded: bool) -> None:
        self._stream = stream
        self._service = service
        self._faults = faults
        self._crowded = crowded
        self._handler: Handler | None = None
        self._link: Link | None = None
        self._conn: QueuedLayer | None = None

    async def run(self) -> None:
        """Serve it to its end, and close it."""
        now, timeout = self._service.backend.now, self._service.limits.handshake_timeout
        begun = now()
        try:
            if not await self._stream.secure(timeout):
                return
            head, upgrade = await self._read_head(None if timeout is None else begun + timeout)
            if upgrade:
                await self._serve_websocket(head, begun)
            elif head:
                await self._serve_http(head, begun)
        finally:
            await self._stream.aclose()

    def leave(self) -> bool:
        """Close as soon as nothing is under way; whether that is for others to do, as nothing was asked for yet."""
        if self._handler is None:
            return False
        self._handler.leave()
        self._stream.wake()
        return True

    def say_goodbye(self) -> None:
        """Ask for the WebSocket to be closed with 1001, if it is one; ending `run` is for others to do."""
        if self._conn is not None and self._link is not None and not self._link.wire.finished:
            self._conn.request_close(*GOING_AWAY)

    async def _read_head(self, deadline: float | None) -> tuple[bytes, bool]:
        """The first bytes, enough to tell what they begin, and whether that is a WebSocket.

        What is incomplete when the time is up, or the client gone, counts as HTTP, which knows how to refuse it.
        """
        head = b""
        while (upgrade := wants_upgrade(head, limits=self._service.limits)) is None:
            data = await self._stream.read(deadline)
            if not data:
                break
            head += data
        return head, bool(upgrade)

    # WebSocket

    async def _serve_websocket(self, head: bytes, begun: float) -> None:
        wire = WebSocketServerWire(limits=self._service.limits)
        link = self._link = Link(self._service.backend, self._stream, wire)
        try:
            wire.connect(begun)
            wire.receive_data(head, self._service.backend.now())
            event = await link.next_event()
            if isinstance(event, UpgradeReceived):
                self._service.remember("GET", event.target, event.headers)
                if await self._hesitate(link):
                    self._handler = self._answer(link, wire, event)
                    await link.flush()
                if self._handler is not None:
                    await self._handler.run()
        finally:
            await link.aclose()

    async def _hesitate(self, link: Link) -> bool:
        """What the faults do before an answer; whether there is to be one."""
        await asyncio.sleep(self._faults.slow_accept)
        match self._faults.no_answer:
            case "silence":
                while await link.next_event() is not None:
                    pass
            case "hang_up" | "reset" as how:
                self._stream.cut(reset=how == "reset")
                await self._stream.read(None)
        return self._faults.no_answer is None

    def _answer(self, link: Link, wire: WebSocketServerWire, asked: UpgradeReceived) -> Handler | None:
        """Accept or reject the upgrade, with the statuses and bodies of the service."""
        now = self._service.backend.now()
        reply = self._service.gate.refusal(asked.headers) or door(self._faults)
        try:
            speech, hearing = lightning_options(asked.target), pulse_options(asked.target)
        except ValueError as error:
            bad = json_reply(400, {"error": str(error), "request_id": secrets.token_hex(8)})
            _reject(wire, now, reply or bad)
            return None
        if reply is None and self._crowded and not (hearing and self._faults.too_many == "1008"):
            reply = self._too_many()
        if reply is None and speech is None and hearing is None:
            reply = json_reply(404, {"error": "not found"})
        if reply is not None:
            _reject(wire, now, reply)
            return None
        levers, service = SocketLevers(self._stream, wire), self._service
        layer: MessageLayer
        if speech is not None:
            speaker = LightningConnection(speech, Role.SERVER, session_id=f"ws_{secrets.token_hex(8)}")
            layer = speaker if self._faults == NO_FAULTS else LightningMischief(speaker, self._faults, levers)
            self._conn = speaker
            wire.accept(layer, now)
            return LightningHandler(link, speaker, service.synthesizer, service.pool)
        assert hearing is not None
        listener = PulseConnection(hearing, Role.SERVER)
        layer = listener if self._faults == NO_FAULTS else PulseMischief(listener, self._faults, levers)
        self._conn = listener
        if self._crowded:
            listener.request_close(*TOO_MANY)
        wire.accept(layer, now)
        return PulseHandler(link, listener, service.recognizer, service.pool)

    # HTTP

    async def _serve_http(self, head: bytes, begun: float) -> None:
        service, faults = self._service, self._faults
        wire = HttpServerWire(limits=service.limits)
        link = self._link = Link(service.backend, self._stream, wire)
        levers = SocketLevers(self._stream)
        answer = (
            Answer(link, wire, service.limits)
            if faults == NO_FAULTS
            else MischievousAnswer(link, wire, service.limits, faults, levers)
        )
        crowd = self._too_many() if self._crowded else None
        handler = self._handler = HttpHandler(link, wire, answer, service, faults, levers, crowd)
        try:
            wire.receive_data(head, begun)
            wire.handle_timeout(service.backend.now())
            await link.flush(self._patience())
            if await handler.run():
                await self._linger()
        finally:
            await link.aclose()

    def _too_many(self) -> HttpReply:
        status = 429 if self._faults.too_many == "429" else 503
        after = str(self._faults.retry_after or 1)
        return json_reply(status, {"error": "too many connections"}, [("Retry-After", after)])

    async def _linger(self) -> None:
        """Read on for a while: to hang up on a client that still sends can take our answer from it."""
        until = self._patience()
        while await self._stream.read(until) and self._service.backend.now() < until:
            pass

    def _patience(self) -> float:
        return self._service.backend.now() + (self._service.limits.close_timeout or CLOSE_TIMEOUT)


def _reject(wire: WebSocketServerWire, now: float, reply: HttpReply) -> None:
    headers = [*reply.headers, ("x-request-id", secrets.token_hex(8))]
    wire.reject(reply.status, now, headers, reply.body)
