"""What Pulse and Lightning streams have in common: entering, sending, closing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.message_layer import MessageLayer
from smallest_transports._backend import AT_ONCE, Backend
from smallest_transports._connect import ConnectSettings

Command = TypeVar("Command", contravariant=True)

MOST_BYTES, MOST_PIECES = 64 * 1024, 50
"""Of the audio that waits for the end of the loop's turn: as much as this is sent at once."""


class Carried(MessageLayer, Protocol):
    """A `MessageLayer` that tells how it ended."""

    @property
    def closed(self) -> ConnectionClosed | None:
        """The last event, once there is one."""


class Connection(Carried, Protocol[Command]):
    """One that takes commands: `PulseConnection` or `LightningConnection`."""

    def send(self, command: Command, now: float) -> None:
        """Queue what the command stands for."""


class SessionLink(Protocol):
    """What a session needs of its connection, whatever carries it. `Link` says what each call does."""

    @property
    def backend(self) -> Backend:
        """The event loop."""

    @property
    def clogged(self) -> bool:
        """Whether earlier messages still wait to leave."""

    async def room(self) -> None:
        """Wait until they have left."""

    async def alive(self) -> bool:
        """Whether the peer is still there, after a time when nobody iterated."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen but the closing."""

    def next_deadline(self) -> float | None:
        """When the machine, or what carries it, has something to do without being told."""

    def exchange(self) -> Awaitable[None]:
        """Wait for something to happen, or for a deadline, and act on it. A cancelled call loses nothing."""

    async def flush(self, deadline: float | None = None) -> None:
        """Write what the machine has to say; waits while the peer reads too slowly, up to the deadline."""

    async def write(self, deadline: float | None = None) -> None:
        """As `flush`, for what causes no event and no earlier deadline: whoever waits in `exchange` goes on waiting."""

    def soon(self, queue: Callable[[float], None], now: float) -> bool:
        """At the end of this turn of the loop call `queue` with `now`, the time it is, then write what it queued.

        False where that cannot be done without waiting: nothing is called then. When the connection is gone by then,
        it is `clogged`, and `room` tells the machine.
        """

    def tell(self) -> None:
        """Wake whoever waits in `exchange` if there is an event for him."""

    def wake(self) -> None:
        """Have a waiting `exchange` look again: there is something for its caller to do."""

    async def next_event(self) -> Event | None:
        """The next event, waiting for it; None when there will be no more."""

    async def aclose(self) -> None:
        """Close. Bounded in time; harmless when repeated."""


class Opener(Protocol):
    """Connects, upgrades and runs the machine over that; `open_link` says what it raises."""

    async def __call__(
        self, backend: Backend, conn: Carried, request: UpgradeRequest, given: ConnectSettings, /
    ) -> SessionLink:
        """Open the connection."""


class Session(Generic[Command]):
    """One connection, used with `async with`, which opens and closes it. Entered once."""

    __slots__ = ("__weakref__", "_backend", "_conn", "_entered", "_link", "_open", "_request", "_settings")

    def __init__(
        self,
        backend: Backend,
        conn: Connection[Command],
        request: UpgradeRequest,
        settings: ConnectSettings,
        opener: Opener,
    ) -> None:
        self._backend = backend
        self._conn = conn
        self._request = request
        self._settings = settings
        self._open = opener
        self._entered = False
        self._link: SessionLink | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectFailed, DeadlineExceeded, HandshakeRejected and the like."""
        if self._entered:
            raise LocalProtocolError(f"a {type(self).__name__} is entered once: make another")
        self._entered = True
        self._link = await self._open(self._backend, self._conn, self._request, self._settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def send(self, *commands: Command) -> None:
        """Send any command, or several at once. Raises LocalProtocolError, or what ended the connection if it has.

        Of several the first that is refused is the last that is looked at; those before it are sent.
        """
        link = self._opened()
        if link.clogged:  # calls that are cancelled must not pile up what they brought
            await self.room()
        self._check_alive()
        now = link.backend.now()
        try:
            for command in commands:
                self._conn.send(command, now)
        finally:
            await link.flush()
        self._check_alive()

    async def send_at_once(self, command: Command) -> None:
        """As `send`, but wait for nothing: for what a peer that does not read must not hold up."""
        link = self._opened()
        self._check_alive()
        self._conn.send(command, link.backend.now())
        await link.flush(AT_ONCE)

    async def room(self) -> None:
        """Wait until earlier messages have left; a `send` right behind it takes its command before it waits."""
        link = self._opened()
        while link.clogged and not link.finished:
            await link.room()

    async def next_event(self) -> Event | None:
        """The connection's next event, whatever it is; None when there will be no more."""
        return await self._opened().next_event()

    async def alive(self) -> bool:
        """Whether the peer is still there, for a connection that nobody iterated over for a while.

        What came meanwhile is acted on. When a heartbeat is due, waits for the answer or for its deadline.
        """
        return await self._opened().alive()

    async def aclose(self) -> None:
        """Close now, whatever is still under way. Bounded in time; harmless when repeated."""
        if self._link is not None:
            await self._link.aclose()

    def _check_alive(self) -> None:
        if (closed := self._conn.closed) is not None and closed.error is not None:
            raise closed.error.with_traceback(None)

    def _opened(self) -> SessionLink:
        if self._link is None:
            raise LocalProtocolError(f"not connected: use the {type(self).__name__} with `async with`")
        return self._link
