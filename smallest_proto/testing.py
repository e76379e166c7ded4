"""Helpers for tests of code built on this package: two wires tied together in memory, and a clock by hand.

pair = WiredPair(WebSocketWire(client_conn, request), WebSocketServerWire(), accept(server_conn))
pair.run()                      # the upgrade, and whatever the two have to say
client_conn.send(...); pair.run()
pair.advance(30.0)              # half a minute, deadline by deadline
pair.client_events, pair.server_events
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import TypeAlias

from smallest_proto.events import NEED_DATA, Event
from smallest_proto.message_layer import MessageLayer
from smallest_proto.wire.events import UpgradeReceived
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire

Cut: TypeAlias = Callable[[bytes], Iterator[bytes]]
"""A way to cut a byte stream: yields the pieces, in order."""

Decide: TypeAlias = Callable[[WebSocketServerWire, UpgradeReceived, float], None]
"""The server's answer to an upgrade request: calls `accept` or `reject` on the wire."""


def whole(data: bytes) -> Iterator[bytes]:
    """The data in one piece."""
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    """One byte at a time."""
    for i in range(len(data)):
        yield data[i : i + 1]


def cut_at(*positions: int) -> Cut:
    """Pieces that end at these positions, ascending; those beyond the end are harmless."""

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        for end in (*positions, len(data)):
            yield data[start:end]
            start = end

    return cut


def random_cuts(random: Random, longest: int = 16) -> Cut:
    """Pieces of 1 to `longest` bytes."""

    def cut(data: bytes) -> Iterator[bytes]:
        start = 0
        while start < len(data):
            end = start + random.randint(1, longest)
            yield data[start:end]
            start = end

    return cut


def accept(conn: MessageLayer) -> Decide:
    """The server that accepts, with `conn` as its message layer."""
    return lambda wire, request, now: wire.accept(conn, now)


def reject(status: int, headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Decide:
    """The server that answers every upgrade with this."""
    return lambda wire, request, now: wire.reject(status, now, headers, body)


class WiredPair:
    """A client wire and a server wire that talk to each other, with a simulated clock.

    Both must be fresh: the pair connects them. `decide` answers the upgrade (`accept`, `reject`, your own),
    `cut` says in what pieces bytes arrive. `now` is the clock, in seconds; only `advance` moves it.

    Attributes: `client_events` and `server_events`, what each end has reported, in order; `client_sent` and
    `server_sent`, the bytes each has written; `cut`, which may be replaced on the way.
    """

    def __init__(
        self,
        client: WebSocketWire,
        server: WebSocketServerWire,
        decide: Decide,
        *,
        cut: Cut = whole,
        now: float = 0.0,
    ) -> None:
        self.client = client
        self.server = server
        self.cut = cut
        self.now = now
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []
        self.client_sent = bytearray()
        self.server_sent = bytearray()
        self._decide = decide
        self._hung_up: set[WebSocketWire | WebSocketServerWire] = set()
        server.connect(now)
        client.connect(now)

    def run(self) -> None:
        """Carry bytes both ways until neither end has more to say; the clock stands still.

        An end that is finished hangs up: the other sees the end of the stream after its last bytes.
        """
        busy = True
        while busy:
            busy = self._carry(self.client, self.server, self.client_sent)
            busy |= self._carry(self.server, self.client, self.server_sent)
            self._collect()

    def advance(self, seconds: float) -> None:
        """Let this much time pass: `run`, then each deadline on the way, in turn."""
        end = self.now + seconds
        self.run()
        while (due := self._next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.client.handle_timeout(self.now)
            self.server.handle_timeout(self.now)
            self.run()
        self.now = end

    def _next_deadline(self) -> float | None:
        ends = (self.client.next_deadline(), self.server.next_deadline())
        return min((at for at in ends if at is not None), default=None)

    def _carry(
        self,
        source: WebSocketWire | WebSocketServerWire,
        target: WebSocketWire | WebSocketServerWire,
        record: bytearray,
    ) -> bool:
        data = source.data_to_send()
        record += data
        for piece in self.cut(data):
            target.receive_data(piece, self.now)
            self._collect()
        if not source.finished or source in self._hung_up:
            return bool(data)
        self._hung_up.add(source)
        target.receive_eof(self.now)
        return True

    def _collect(self) -> None:
        while (event := self.client.next_event()) is not NEED_DATA:
            self.client_events.append(event)
        while (event := self.server.next_event()) is not NEED_DATA:
            self.server_events.append(event)
            if isinstance(event, UpgradeReceived):
                self._decide(self.server, event, self.now)
