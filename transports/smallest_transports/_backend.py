"""What an event loop must offer. Everything else is written once, on top of this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from smallest_transports._proxy import Proxy
from smallest_transports._turn_end import TurnEnd

READ_SIZE = 112 * 1024
"""Bytes taken from a socket at once, and that may wait unread: a user who stops iterating stops the peer.

From 128 kB on, glibc fetches memory from the system for each read, and gives it back."""

CLOSE_TIMEOUT = 1.0
"""Seconds for what was written to leave the machine before a socket is cut."""


AT_ONCE = 0.0
"""A deadline that has passed on every clock."""


class Stream(Protocol):
    """One connected byte stream. Any number of tasks may read and write."""

    @property
    def clogged(self) -> bool:
        """Whether earlier bytes still wait to leave, so that a write would wait."""
        ...

    @property
    def readable(self) -> bool:
        """Whether bytes have come, or the end: asked of the system, as the loop may not have been told yet."""
        ...

    @property
    def broken(self) -> bool:
        """Whether the end that `read` told was none that the peer meant: a reset, or TLS without its goodbye."""
        ...

    async def read(self, deadline: float | None) -> bytes | None:
        """Bytes as they come, b"" at the end of the stream however it ended, None once the deadline has passed.

        The deadline is on the backend's clock. `wake` also makes it return None, and so does another task that was
        given the bytes. Bytes at hand go before a deadline that has passed. A cancelled read loses nothing.
        """
        ...

    def wake(self) -> None:
        """Let a waiting `read` return now, because the deadline it was given may be out of date."""
        ...

    def send(self, data: bytes) -> None:
        """Take all of it, to be written behind what earlier calls brought. `clogged` then says whether to wait.

        Raises ConnectionLost once the connection is gone.
        """
        ...

    async def write(self, data: bytes, deadline: float | None) -> None:
        """`send`, then wait while too much is under way, up to the deadline.

        What a cancelled or overdue call leaves unwritten goes before what later calls bring. Raises ConnectionLost
        once the connection is gone.
        """
        ...

    async def aclose(self) -> None:
        """Close, waiting a bounded time for what was written to leave. Safe to call again, and when cancelled."""
        ...


class Event(Protocol):
    """A flag that tasks wait for."""

    def set(self) -> None:
        """Raise the flag, for good."""
        ...

    async def wait(self) -> object:
        """Wait until the flag is up."""
        ...


class Running(Protocol):
    """A call in a task of its own."""

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        ...

    def cancel(self) -> None:
        """Have it cancelled where it waits."""
        ...

    async def ended(self) -> None:
        """Wait until it has, even when this is cancelled meanwhile: that is raised then."""
        ...


class Backend(Protocol):
    """One event loop's clock, flags and sockets."""

    def now(self) -> float:
        """Seconds on the loop's monotonic clock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def turn_end(self) -> TurnEnd:
        """The one of the loop that runs, to be asked for once for each connection."""
        ...

    def event(self) -> Event:
        """A flag, not yet up."""
        ...

    async def wait(self, event: Event, deadline: float) -> None:
        """Wait until the flag is up or the deadline has passed, whichever comes first."""
        ...

    async def race(self, *calls: Callable[[], Awaitable[None]]) -> None:
        """Run all at the same time until the first has ended, then cancel the others, and wait for that."""
        ...

    def begin(self, call: Callable[[], Awaitable[None]]) -> Running:
        """Run the call beside what follows, in the context of the caller. It raises nothing but its cancellation.

        Whoever begins it cancels it and waits for its end before he leaves. A nursery would do that, but would also
        bind `__aenter__` and `__aexit__` to one task, and wrap what is raised between them.
        """
        ...

    async def connect(
        self, host: str, port: int, *, timeout: float | None, socks: Proxy | None = None
    ) -> Stream:
        """Look the name up and connect to the first address that answers, within `timeout` seconds.

        With `socks`, a SOCKS5 proxy does that, and only its own name is looked up here. Raises ConnectFailed, or
        DeadlineExceeded with code `connect`. Nothing is left open then, nor after a cancellation.
        """
        ...
