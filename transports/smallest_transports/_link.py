"""Bytes between a stream and a wire.

Runs in the task of whoever sends or iterates, or at the end of a turn of the loop: there is no task of its own.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from functools import partial
from typing import Literal, TypeAlias

from smallest_proto.errors import ConnectionLost, LocalProtocolError
from smallest_proto.events import NEED_DATA, Event, Need
from smallest_proto.wire import WebSocketServerWire, WebSocketWire
from smallest_proto.wire.base import BaseWire
from smallest_proto.wire.http import HttpServerWire, HttpWire
from smallest_transports._backend import AT_ONCE, READ_SIZE, Backend, Stream
from smallest_transports._turn_end import Queue, TurnEnd

Wire: TypeAlias = WebSocketWire | WebSocketServerWire | HttpWire | HttpServerWire


class Link:
    """One connection, WebSocket or HTTP, over one stream."""

    __slots__ = (
        "_closing",
        "_event",
        "_failed",
        "_hearing",
        "_hears_until",
        "_iterated",
        "_owed",
        "_stream",
        "_turn_end",
        "backend",
        "wire",
    )

    def __init__(self, backend: Backend, stream: Stream, wire: Wire) -> None:
        self.backend = backend
        self.wire = wire
        self._stream = stream
        self._event: Event | Literal[Need.DATA] = NEED_DATA
        self._iterated = False
        self._hearing = 0
        self._hears_until = math.inf
        self._closing = False
        self._owed = 0
        self._failed = False
        self._turn_end: TurnEnd | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen here but the closing of the stream."""
        return self.wire.finished

    @property
    def clogged(self) -> bool:
        """Whether earlier bytes still wait to leave, or nobody knows yet that they cannot. `room` sees to both."""
        return self._failed or self._stream.clogged

    async def room(self) -> None:
        """Wait until earlier bytes have left. Await it before queueing what a cancellation must not pile up.

        Does not raise when the connection is gone, as `flush`.
        """
        await self._write(b"", None)

    async def flush(self, deadline: float | None = None) -> None:
        """Write what the wire has to say. Waits while the peer reads too slowly, up to the deadline.

        Does not raise when the connection is gone: the wire has then been told, after all that still came in.
        """
        data = self.wire.data_to_send()
        if self._hearing:
            self._alert()
        if data:
            await self._write(data, deadline)

    async def write(self, deadline: float | None = None) -> None:
        """See `SessionLink.write`."""
        if data := self.wire.data_to_send():
            await self._write(data, deadline)

    def soon(self, queue: Queue, now: float) -> bool:
        """See `SessionLink.soon`."""
        if self._turn_end is None:
            self._turn_end = self.backend.turn_end()
        self._turn_end.add(self, queue, now)
        return True

    def pack(self, queue: Queue, now: float) -> bytes:
        """See `Leaving.pack`. There may be no clock here: anyio's needs a task."""
        queue(now)
        return self.wire.data_to_send()

    def leave(self, data: bytes) -> None:
        """See `Leaving.leave`."""
        try:
            self._stream.send(data)
        except ConnectionLost:
            self._failed = True
        if self._hearing:
            self._hand_over()

    def _hand_over(self) -> None:
        """Have whoever reads write what could not be written at once: nobody else may be about to."""
        if self.clogged:
            self._stream.wake()

    def tell(self) -> None:
        """See `SessionLink.tell`."""
        if self._hearing and self._peek() is not NEED_DATA:
            self._stream.wake()

    def wake(self) -> None:
        """See `SessionLink.wake`."""
        self._stream.wake()

    def _alert(self) -> None:
        """Wake whoever waits for bytes, if there is something else for him to do, or will be before he looks."""
        deadline = self.wire.next_deadline()
        if (
            (deadline is not None and deadline < self._hears_until)
            or self.wire.finished
            or self._peek() is not NEED_DATA
        ):
            self._stream.wake()

    def _peek(self) -> Event | Literal[Need.DATA]:
        if self._event is NEED_DATA:
            self._event = self.wire.next_event()
        return self._event

    async def _write(self, data: bytes, deadline: float | None) -> None:
        lost = self._failed
        if not lost:
            try:
                await self._stream.write(data, deadline)
            except ConnectionLost:
                lost = True
            finally:
                if self._hearing:
                    self._hand_over()
        if lost:
            await self._lose()

    async def _lose(self) -> None:
        self._failed = False
        while rest := await self._stream.read(AT_ONCE):
            self.wire.receive_data(rest, self.backend.now())
        self._hear_the_end()
        self._stream.wake()

    def _hear_the_end(self) -> None:
        now = self.backend.now()
        if isinstance(self.wire, HttpWire):  # of no WebSocket is the end of the stream the end of a message
            self.wire.receive_eof(now, clean=not self._stream.broken)
        else:
            self.wire.receive_eof(now)

    async def next_event(self) -> Event | None:
        """The next event, waiting for it; None when there will be no more.

        Raises LocalProtocolError while another task waits here.
        """
        if self._iterated:
            raise LocalProtocolError("another task iterates over this connection: only one may")
        self._iterated = True
        try:
            while self._peek() is NEED_DATA:
                if self.wire.finished:
                    return None
                await self.exchange()
            event, self._event = self._event, NEED_DATA
            return event if event is not NEED_DATA else None
        finally:
            self._iterated = False

    async def alive(self) -> bool:
        """Whether the peer is still there, for a connection that nobody iterated over for a while.

        Acts on what has come meanwhile; when a ping is due, waits for the answer or for its deadline.
        """
        while self._stream.readable and not self.wire.finished:
            if (data := await self._stream.read(self.backend.now())) is None:
                break
            if data:
                self.wire.receive_data(data, self.backend.now())
            else:
                self._hear_the_end()
        self.wire.handle_timeout(self.backend.now())
        await self.flush(self.wire.next_deadline())
        while isinstance(self.wire, BaseWire) and self.wire.awaits_pong and not self.wire.finished:
            await self.exchange()
        return not self.wire.finished

    def next_deadline(self) -> float | None:
        """See `SessionLink.next_deadline`."""
        return self.wire.next_deadline()

    def exchange(self) -> Awaitable[None]:
        """Wait for bytes or for a deadline, act on them, and write what follows. A cancelled call loses nothing.

        A peer that does not read keeps us neither from reading nor from the next deadline.
        """
        if self.clogged:  # by a call that was cancelled, perhaps: nobody else may be writing it
            return self.backend.race(partial(self._exchange, clogged=True), self.room)
        self._owed = 0
        return self._exchange()

    async def _exchange(self, *, clogged: bool = False) -> None:
        deadline = self.wire.next_deadline()
        until = math.inf if deadline is None else deadline
        # with several hearers, the one who is least in a hurry is who must learn of an earlier deadline
        self._hears_until = max(until, self._hears_until) if self._hearing else until
        self._hearing += 1
        try:
            data = await self._stream.read(deadline)
        finally:
            self._hearing -= 1
        now = self.backend.now()
        if data:
            self.wire.receive_data(data, now)
        elif data is not None:
            self._hear_the_end()
        if deadline is not None and deadline <= now:  # a peer that never stops sending must not hold it up
            self.wire.handle_timeout(now)
        answer = self.wire.data_to_send()
        if self._hearing:
            self._alert()
        if answer:
            self._owed += len(answer) if clogged else 0
            # answers to pings must not pile up without end
            await self._write(answer, self.wire.next_deadline() if self._owed > READ_SIZE else AT_ONCE)

    async def aclose(self) -> None:
        """Close the connection, then the stream. Bounded by `Limits.close_timeout`; harmless when repeated."""
        if self._closing:
            return
        self._closing = True
        try:
            self.wire.close(self.backend.now())
            await self.flush(self.wire.next_deadline())
            while not self.wire.finished:
                await self.exchange()
        finally:
            await self._stream.aclose()
