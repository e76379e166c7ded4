"""Running one end of HTTP on a byte stream, cut as asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from fuzz import invariants
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.limits import Limits
from smallest_proto.wire.http_client import HttpWire
from smallest_proto.wire.http_events import BodyReceived
from smallest_proto.wire.http_server import HttpServerWire

Wire: TypeAlias = HttpWire | HttpServerWire

KEY = "sk_0123456789abcdef"
LIMITS = (
    Limits(),
    Limits(max_handshake_bytes=300, max_error_body=24, max_request_body=64, max_headers=5),
)


class Run:
    """One wire fed with pieces; its events, and the bytes it wrote."""

    def __init__(self, wire: Wire, react: Callable[[Event], None] = lambda event: None) -> None:
        self.wire = wire
        self.react = react
        self.now = 1.0
        self.events: list[Event] = []
        self.written = b""
        self.came_in = self.came_out = 0

    def feed(self, data: list[bytes]) -> None:
        """Feed every piece, and take out what it causes."""
        for piece in data:
            self.wire.receive_data(piece, self.now)
            self.came_in += len(piece)
            self.collect()

    def collect(self) -> None:
        """Take out bytes and events, and check that they are not too many."""
        while True:
            written = self.wire.data_to_send()
            self.written += written
            self.came_out += len(written)
            event = self.wire.next_event()
            if event is NEED_DATA:
                break
            self.events.append(event)
            self.came_out += invariants.weight(event)
            self.react(event)
        # a pipelined request of some forty bytes has an answer of a hundred
        assert self.came_out <= 16 * self.came_in + 8192, f"{self.came_out} came out of {self.came_in}"

    def end(self, ending: str) -> None:
        """Bring the connection to its end, and look at what was left of it."""
        if ending == "close":
            self.wire.close(self.now)
        while ending == "time" and (due := self.wire.next_deadline()) is not None:
            assert due > self.now, "a deadline that was met is still due"
            self.now = due
            self.wire.handle_timeout(self.now)
            self.collect()
        self.wire.receive_eof(self.now)
        self.collect()
        assert self.wire.finished
        assert self.wire.next_deadline() is None, "a deadline outlived the end"
        invariants.clean_errors(self.events)


def result(run: Run) -> tuple[list[Event], bytes]:
    """What must not depend on the cuts: body bytes that lie side by side are one."""
    events: list[Event] = []
    for event in run.events:
        if isinstance(event, BodyReceived) and events and isinstance(last := events[-1], BodyReceived):
            events[-1] = BodyReceived(data=last.data + event.data)
        else:
            events.append(event)
    return events, run.written
