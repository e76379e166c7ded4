"""Messages between a machine and a WebSocket of aiohttp.

Where aiohttp may wait, it does so in tasks of the link, one each for reading, writing and closing, which start
when there is something to do and are gone when `aclose` returns. A caller only waits for them: aiohttp forgets a
close code, or wakes another sender with a CancelledError, when one of its own waits is cancelled. A message that
the socket has room for is sent by the caller itself, as nothing waits then.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from aiohttp import ClientError, ClientResponse, ClientWebSocketResponse, EofStream, WSMessage, WSMsgType

from smallest_proto.errors import LocalProtocolError, ProtocolError, ServerError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.wire.redaction import Redactor
from smallest_transports._aiohttp_errors import why_ended
from smallest_transports._backend import READ_SIZE, Backend
from smallest_transports._session import Carried
from smallest_transports._waiters import Waiters

NO_STATUS, NO_CLOSE_FRAME = 1005, 1006
_MESSAGE = (WSMsgType.TEXT, WSMsgType.BINARY)

UNPAUSED = 16 * 1024
"""Bytes under way at which asyncio resumes a paused transport: with no more of them, none is paused."""

SHORT = 32 * 1024
"""Bytes of a message that, on top of those, does not pause one."""

OVERHEAD = 128
"""Bytes that an unread message counts as beside its own."""

WS_CLOSED = WSMessage(WSMsgType.CLOSED, None, None)


class AiohttpLink:
    """One WebSocket of aiohttp that is open, under one machine."""

    def __init__(
        self,
        backend: Backend,
        ws: ClientWebSocketResponse,
        response: ClientResponse,
        conn: Carried,
        redactor: Redactor,
        close_timeout: float | None,
    ) -> None:
        self.backend = backend
        self._ws = ws
        self._response = response
        self._transport = response.connection.transport if response.connection is not None else None
        self._conn = conn
        self._redactor = redactor
        self._close_timeout = close_timeout
        self._events: deque[Event] = deque()
        self._outbox: deque[str | bytes] = deque()
        self._inbox: deque[WSMessage] = deque()
        self._unread = 0
        self._read_on: asyncio.Event | None = None
        self._reading: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._waiters = Waiters(asyncio.get_running_loop())
        self._waits_until: float | None = None
        self._unwritable = False
        self._iterated = False
        self._closed = False
        conn.receive_open(backend.now())

    @property
    def clogged(self) -> bool:
        """Whether earlier messages still wait to leave. `room` waits for that."""
        return self._writing is not None

    async def room(self) -> None:
        """Wait until earlier messages have left. Does not raise when the connection is gone, as `flush`."""
        await self._written(None)

    async def flush(self, deadline: float | None = None) -> None:
        """Send what the machine has to say. Waits while the peer reads too slowly, up to the deadline.

        Does not raise when the connection is gone: the machine has then been told, after all that still came in.
        A cancelled call's messages are sent nevertheless.
        """
        messages = self._conn.messages_to_send()
        if messages:
            self._outbox += messages
            if self._writing is None:
                await self._write_at_once()
        self._settle()
        if self._events or _earlier(self._conn.next_deadline(), self._waits_until):
            self.wake()
        if messages and (self._writing is not None or self._unwritable):
            await self._written(deadline)

    async def _written(self, deadline: float | None) -> None:
        if self._writing is not None:
            await asyncio.wait({self._writing}, timeout=self._timeout(deadline))
        while self._unwritable and self._conn.closed is None:
            await self._hear(None)

    async def write(self, deadline: float | None = None) -> None:
        """See `SessionLink.write`."""
        await self.flush(deadline)

    def soon(self, queue: Callable[[float], None], now: float) -> bool:
        """See `SessionLink.soon`."""
        return False

    def tell(self) -> None:
        """See `SessionLink.tell`. Every `write` does it."""

    def wake(self) -> None:
        """See `SessionLink.wake`."""
        self._waiters.wake()

    @property
    def finished(self) -> bool:
        """See `SessionLink.finished`."""
        return self._conn.closed is not None

    def next_deadline(self) -> float | None:
        """See `SessionLink.next_deadline`."""
        return self._conn.next_deadline()

    async def exchange(self) -> None:
        """See `SessionLink.exchange`."""
        await self._hear(self._conn.next_deadline())
        self._conn.handle_timeout(self.backend.now())
        await self.flush(self._conn.next_deadline())

    async def next_event(self) -> Event | None:
        """The next event, waiting for it; None when there will be no more.

        Raises LocalProtocolError while another task waits here.
        """
        if self._iterated:
            raise LocalProtocolError("another task iterates over this connection: only one may")
        self._iterated = True
        try:
            self._settle()
            while not self._events:
                if self._conn.closed is not None:
                    return None
                await self.exchange()
            return self._events.popleft()
        finally:
            self._iterated = False

    async def alive(self) -> bool:
        """Whether the peer is still there, for a connection that nobody iterated over for a while.

        Acts on what has come meanwhile. aiohttp pings by itself, when a heartbeat is asked for.
        """
        while self._conn.closed is None and await self._hear(self.backend.now()):
            pass
        self._conn.handle_timeout(self.backend.now())
        await self.flush(self._conn.next_deadline())
        return self._conn.closed is None and self._closing is None

    async def aclose(self) -> None:
        """Close the WebSocket, bounded by `Limits.close_timeout`; harmless when repeated. The session stays open."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._conn.closed is None:
                self._conn.close(self.backend.now())
            await self.flush(self.backend.now())  # the closing waits for the rest
            await asyncio.wait({self._close()})
        finally:
            self._let_go()
            self._waiters.close()
            tasks = [task for task in (self._reading, self._writing, self._closing) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # -- the tasks

    async def _hear(self, deadline: float | None) -> bool:
        """Wait for messages and take them, or for the deadline, a wake-up, or the end of the closing.

        Returns whether there was a message.
        """
        if self._closing is not None:
            await asyncio.wait({self._closing})
            return False
        if not self._inbox:
            if self._reading is None:
                self._reading = asyncio.create_task(self._read())
            self._waits_until = deadline
            await self._waiters.wait(deadline)
        heard = False
        while self._inbox and self._closing is None:
            self._receive(self._inbox.popleft())
            self._settle()
            heard = True
        self._unread = 0
        if self._read_on is not None:
            self._read_on.set()
        return heard

    async def _read(self) -> None:
        """Take messages to the inbox until the connection ends, a little ahead of whoever hears them."""
        while True:
            try:
                message = await self._ws.receive()
            except ConnectionError:  # a pong that could not be sent: more may have come in
                continue
            except asyncio.CancelledError:
                self._put(WS_CLOSED)
                raise
            except Exception as error:
                message = WSMessage(WSMsgType.ERROR, error, None)
            self._put(message)
            if message.type not in _MESSAGE:
                return
            self._unread += len(message.data) + OVERHEAD
            if self._unread > READ_SIZE:
                self._read_on = asyncio.Event()
                await self._read_on.wait()
                self._read_on = None

    def _put(self, message: WSMessage) -> None:
        self._inbox.append(message)
        self.wake()

    async def _write_at_once(self) -> None:
        """Send what the socket has room for, which waits for nothing, and have a task send the rest."""
        outbox, transport = self._outbox, self._transport
        try:
            while outbox:
                if transport is None or len(outbox[0]) > SHORT or _pauses(transport):
                    self._writing = asyncio.create_task(self._write())
                    return
                await self._write_one(outbox.popleft())
        except (ClientError, OSError):
            self._unwritable = True

    async def _write(self) -> None:
        try:
            while self._outbox:
                await self._write_one(self._outbox.popleft())
        except (ClientError, OSError):
            self._unwritable = True
        finally:
            self._writing = None

    async def _write_one(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._ws.send_str(message)
        else:
            await self._ws.send_bytes(message)

    def _close(self) -> asyncio.Task[None]:
        if self._closing is None:
            self._closing = asyncio.create_task(self._do_close(*(self._conn.close_requested or (1000, ""))))
        return self._closing

    async def _do_close(self, code: int, reason: str) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._close_timeout):
                    if self._conn.closed is None and self._writing is not None:
                        await asyncio.wait({self._writing})
                    await self._ws.close(code=code, message=reason.encode())
                    await asyncio.sleep(0)  # uvloop writes at the end of its turn
        finally:
            if self._conn.closed is None:
                if isinstance(self._ws.exception(), EofStream):  # hung up on our close frame, which is well
                    self._end(code, reason)
                else:
                    self._end(self._ws.close_code or NO_CLOSE_FRAME)
            self._let_go()
            self._settle()
            self.wake()

    def _let_go(self) -> None:
        """Give the socket up, and with it a sender that waits for room."""
        if self._transport is not None and self._transport.get_write_buffer_size():
            self._transport.abort()  # or it would wait, for ever, for a peer that does not read
        self._response.close()

    # -- what has come

    def _receive(self, message: WSMessage) -> None:
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                self._conn.receive_message(message.data, self.backend.now())
            case WSMsgType.CLOSE:  # aiohttp says 0 for a close frame without a code
                self._end(message.data or NO_STATUS, message.extra or "")
            case WSMsgType.ERROR:
                self._lose(message.data)
            case _:
                self._lose(self._ws.exception())

    def _lose(self, cause: BaseException | None) -> None:
        error = why_ended(cause)
        self._end(error.status or NO_CLOSE_FRAME, error=error)

    def _end(self, code: int, reason: str = "", error: ProtocolError | None = None) -> None:
        self._conn.receive_close(code, self._redactor.text(reason), self.backend.now(), error=error)

    def _settle(self) -> None:
        """Collect events, and see to the end that they or the machine ask for."""
        while (event := self._conn.next_event()) is not NEED_DATA:
            if isinstance(error := getattr(event, "error", None), ServerError):
                self._redactor.error(error)
            self._events.append(event)
        if self._closing is None and (
            self._conn.closed is not None or self._conn.close_requested is not None
        ):
            self._close()
            self.wake()

    def _timeout(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - self.backend.now())


def _pauses(transport: asyncio.WriteTransport) -> bool:
    """Whether a sender might have to wait; over a lost connection it never does, but fails."""
    return not transport.is_closing() and transport.get_write_buffer_size() > UNPAUSED


def _earlier(deadline: float | None, than: float | None) -> bool:
    return deadline is not None and (than is None or deadline < than)
