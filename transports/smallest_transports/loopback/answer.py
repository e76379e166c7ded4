"""Writing one HTTP answer at the pace of the client who reads it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from smallest_proto.errors import ConnectionLost
from smallest_proto.http_reply import HttpReply
from smallest_proto.limits import Limits
from smallest_proto.wire.http import HttpServerWire
from smallest_transports._link import Link

PIECE = 64 * 1024
"""Bytes of an answer for which a client has `Limits.idle_timeout`."""


class Answer:
    """The answer to the request that a wire waits to have answered.

    Its calls raise LocalProtocolError once the client has left, and ConnectionLost when it does not read.
    """

    def __init__(self, link: Link, wire: HttpServerWire, limits: Limits) -> None:
        self._link = link
        self._wire = wire
        self._patience = limits.idle_timeout
        self.given_up = False
        """Whether the connection was ended from this side, in the middle of an answer."""

    async def reply(self, reply: HttpReply) -> None:
        """Send all of it."""
        headers = [*reply.headers, ("X-Request-Id", secrets.token_hex(8))]
        self._wire.respond(reply.status, self._link.backend.now(), headers, reply.body)
        await self._flush()

    async def begin(self, headers: Iterable[tuple[str, str]]) -> None:
        """Send the head of a 200; `write` and `end` follow."""
        self._wire.respond(200, self._link.backend.now(), headers)
        await self._flush()

    async def write(self, data: bytes) -> None:
        """Send some of the body."""
        for start in range(0, len(data), PIECE):
            self._wire.send_body(data[start : start + PIECE], self._link.backend.now())
            await self._flush()

    async def end(self) -> None:
        """The body is complete."""
        self._wire.end_body(self._link.backend.now())
        await self._flush()

    async def cut(self) -> None:
        """End the connection in the middle of a body, so that the client does not take it for the whole."""
        self._give_up()
        await self._flush()

    async def _flush(self) -> None:
        deadline = None if self._patience is None else self._link.backend.now() + self._patience
        await self._link.flush(deadline)
        if deadline is not None and self._link.backend.now() >= deadline:
            self._give_up()
            await self._link.flush(deadline)  # whoever waits for bytes learns of it
            raise ConnectionLost("the client does not read")

    def _give_up(self) -> None:
        self.given_up = True
        self._wire.close(self._link.backend.now())
