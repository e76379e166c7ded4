"""Bytes between a stream and a wire. Runs in the task of whoever sends or iterates: there is no other."""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.errors import ConnectionLost, LocalProtocolError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.wire import WebSocketServerWire, WebSocketWire
from smallest_proto.wire.http import HttpServerWire, HttpWire
from smallest_transports._backend import Backend, Stream

Wire: TypeAlias = WebSocketWire | WebSocketServerWire | HttpWire | HttpServerWire


class Link:
    """One connection, WebSocket or HTTP, over one stream."""

    def __init__(self, backend: Backend, stream: Stream, wire: Wire) -> None:
        self.backend = backend
        self.wire = wire
        self._stream = stream
        self._iterated = False
        self._closing = False

    async def flush(self, deadline: float | None = None) -> None:
        """Write what the wire has to say. Waits while the peer reads too slowly, up to the deadline.

        Does not raise when the connection is gone: the wire has then been told, after all that still came in.
        """
        data = self.wire.data_to_send()
        self._stream.wake()  # what was written may have set an earlier deadline
        if not data:
            return
        try:
            await self._stream.write(data, deadline)
        except ConnectionLost:
            while rest := await self._stream.read(self.backend.now()):
                self.wire.receive_data(rest, self.backend.now())
            self.wire.receive_eof(self.backend.now())
            self._stream.wake()

    async def next_event(self) -> Event | None:
        """The next event, waiting for it; None when there will be no more.

        Raises LocalProtocolError while another task waits here.
        """
        if self._iterated:
            raise LocalProtocolError("another task iterates over this connection: only one may")
        self._iterated = True
        try:
            while (event := self.wire.next_event()) is NEED_DATA:
                if self.wire.finished:
                    return None
                await self._exchange()
            return event
        finally:
            self._iterated = False

    async def _exchange(self) -> None:
        """Wait for bytes or for a deadline, act on them, and write what follows from that."""
        data = await self._stream.read(self.wire.next_deadline())
        now = self.backend.now()
        if data:
            self.wire.receive_data(data, now)
        elif data is not None:
            self.wire.receive_eof(now)
        self.wire.handle_timeout(now)  # a peer that never stops sending must not hold deadlines up
        # nor one that never reads: not even the answer to a ping may keep us from the next deadline
        await self.flush(self.wire.next_deadline())

    async def aclose(self) -> None:
        """Close the connection, then the stream. Bounded by `Limits.close_timeout`; harmless when repeated."""
        if self._closing:
            return
        self._closing = True
        try:
            self.wire.close(self.backend.now())
            await self.flush(self.wire.next_deadline())
            while not self.wire.finished:
                await self._exchange()
        finally:
            await self._stream.aclose()
