"""The end of a turn of the loop, for all connections that have something to send then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

Queue: TypeAlias = Callable[[float], None]
"""Gives a connection what it is to write; takes the time, in seconds on the loop's clock."""


class Leaving(Protocol):
    """A connection, as the end of the turn sees it."""

    def pack(self, queue: Queue, now: float) -> bytes:
        """Call `queue` with `now`, the time the turn had; the bytes that are to be written then."""

    def leave(self, data: bytes) -> None:
        """Write them, without waiting."""


class TurnEnd:
    """Has all bytes made first and written then, with one call back for all connections.

    A call of the system leaves the processor's caches to the kernel: what is then done for the next connection takes
    longer than it would right behind the one before.

    call_soon: has the loop that runs call something once this turn is over.
    """

    __slots__ = ("__weakref__", "_call_soon", "_waiting")

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._waiting: list[tuple[Leaving, Queue, float]] = []

    def add(self, connection: Leaving, queue: Queue, now: float) -> None:
        """Have this connection write what `queue` gives it when the turn ends. Once a turn is enough."""
        if not self._waiting:
            self._call_soon(self._end)
        self._waiting.append((connection, queue, now))

    def _end(self) -> None:
        waiting, self._waiting = self._waiting, []
        packed: list[tuple[Leaving, bytes]] = []
        faults: list[Exception] = []
        for connection, queue, now in waiting:
            try:
                packed.append((connection, connection.pack(queue, now)))
            except Exception as fault:  # of one: the others are not to suffer
                faults.append(fault)
        for connection, data in packed:
            try:
                connection.leave(data)
            except Exception as fault:
                faults.append(fault)
        if faults:
            raise ExceptionGroup("at the end of the loop's turn", faults)
