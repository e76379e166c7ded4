"""What Pulse and Lightning streams have in common: entering, sending, closing."""

from __future__ import annotations

from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.message_layer import MessageLayer
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectSettings, open_link
from smallest_transports._link import Link

Command = TypeVar("Command", contravariant=True)


class Connection(MessageLayer, Protocol[Command]):
    """A `MessageLayer` that takes commands: `PulseConnection` or `LightningConnection`."""

    @property
    def closed(self) -> ConnectionClosed | None:
        """The last event, once there is one."""

    def send(self, command: Command, now: float) -> None:
        """Queue what the command stands for."""


class Session(Generic[Command]):
    """One connection, used with `async with`, which opens and closes it. Entered once."""

    def __init__(
        self, backend: Backend, conn: Connection[Command], request: UpgradeRequest, settings: ConnectSettings
    ) -> None:
        self._backend = backend
        self._conn = conn
        self._request = request
        self._settings = settings
        self._entered = False
        self._link: Link | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectFailed, DeadlineExceeded, HandshakeRejected and the like."""
        if self._entered:
            raise LocalProtocolError(f"a {type(self).__name__} is entered once: make another")
        self._entered = True
        self._link = await open_link(self._backend, self._conn, self._request, self._settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def send(self, command: Command) -> None:
        """Send any command. Raises LocalProtocolError, or what ended the connection if it has ended."""
        link = self._opened()
        self._check_alive()
        self._conn.send(command, self._backend.now())
        await link.flush()
        self._check_alive()

    async def next_event(self) -> Event | None:
        """The connection's next event, whatever it is; None when there will be no more."""
        return await self._opened().next_event()

    async def aclose(self) -> None:
        """Close now, whatever is still under way. Bounded in time; harmless when repeated."""
        if self._link is not None:
            await self._link.aclose()

    def _check_alive(self) -> None:
        if (closed := self._conn.closed) is not None and closed.error is not None:
            raise closed.error.with_traceback(None)

    def _opened(self) -> Link:
        if self._link is None:
            raise LocalProtocolError(f"not connected: use the {type(self).__name__} with `async with`")
        return self._link
