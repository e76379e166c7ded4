"""What an event loop must offer. Everything else is written once, on top of this."""

from __future__ import annotations

from ssl import SSLContext
from typing import Protocol


class Stream(Protocol):
    """One connected byte stream. Any number of tasks may read and write."""

    async def read(self, deadline: float | None) -> bytes | None:
        """Bytes as they come, b"" at the end of the stream however it ended, None once the deadline has passed.

        The deadline is on the backend's clock. `wake` also makes it return None, and so does another task that was
        given the bytes. A cancelled read loses nothing.
        """
        ...

    def wake(self) -> None:
        """Let a waiting `read` return now, because the deadline it was given may be out of date."""
        ...

    async def write(self, data: bytes, deadline: float | None) -> None:
        """Write all of it, after what earlier calls wrote; waits while too much is under way, up to the deadline.

        Raises ConnectionLost once the connection is gone. What a cancelled or overdue call leaves unwritten is
        still written before what later calls bring, or else the connection ends: nothing follows half of it.
        """
        ...

    async def aclose(self) -> None:
        """Close, waiting a bounded time for what was written to leave. Safe to call again, and when cancelled."""
        ...


class Backend(Protocol):
    """One event loop's clock and sockets."""

    def now(self) -> float:
        """Seconds on the loop's monotonic clock."""
        ...

    async def connect(self, host: str, port: int, *, ssl: SSLContext | None, timeout: float | None) -> Stream:
        """Look the name up, connect, and do TLS if `ssl` is given, within `timeout` seconds.

        Raises ConnectFailed, or DeadlineExceeded with code `connect`.
        """
        ...
