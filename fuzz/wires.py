"""Running a wire on a byte stream, cut as asked, with everything random taken out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias
from unittest import mock

from fuzz import invariants, scenario
from smallest_proto.endpoints import ApiKey, UpgradeRequest
from smallest_proto.events import NEED_DATA, Event, Role
from smallest_proto.lightning import LightningConnection, LightningOptions, lightning_request
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseConnection, PulseOptions, pulse_request
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire

Wire: TypeAlias = WebSocketWire | WebSocketServerWire
React: TypeAlias = Callable[[Wire, Event], None]

KEY = "sk_0123456789abcdef"
ACCEPT = "ICX+Yqv66kxgM0FcWaLWlFLwTAI="
"""The Sec-WebSocket-Accept that goes with a key of sixteen zeros, which `nothing_random` makes the only one."""

ANSWER = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
).encode()
REQUEST = (
    b"GET /waves/v1/pulse/get_text?language=en HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

TABLE: scenario.Table = {
    "cut": (7, 1, 2, 3, 64, 1000),
    "opened": (True, False),
    "protocol": ("pulse", "lightning"),
    "limits": (
        Limits(),
        Limits(max_handshake_bytes=400, max_error_body=24, max_message_bytes=200, max_fragments=4),
    ),
    "ending": ("eof", "time", "close"),
    "answer": ("accept", "late", "reject", "close"),
}
"""`opened` puts a good handshake before the stream; `answer` is what a server does with an upgrade request."""


@contextmanager
def nothing_random() -> Iterator[None]:
    """Masks and keys are zeros: the same scenario writes the same bytes, and reads as it was written."""
    with mock.patch("os.urandom", bytes), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def layer(protocol: str, role: Role) -> PulseConnection | LightningConnection:
    """A message layer with its defaults."""
    if protocol == "pulse":
        return PulseConnection(PulseOptions(), role)
    return LightningConnection(LightningOptions(), role)


def request(protocol: str) -> UpgradeRequest:
    """The upgrade that goes with it."""
    if protocol == "pulse":
        return pulse_request(PulseOptions(), api_key=ApiKey(KEY))
    return lightning_request(LightningOptions(), api_key=ApiKey(KEY))


class Run:
    """One wire fed with pieces; its events, and the bytes it wrote."""

    def __init__(self, wire: Wire, react: React = lambda wire, event: None) -> None:
        self.wire = wire
        self.react = react
        self.events: list[Event] = []
        self.written = b""
        self.came_in = self.came_out = 0

    def feed(self, data: list[bytes]) -> None:
        """Feed every piece, and take out what it causes."""
        for piece in data:
            self.wire.receive_data(piece, 1.0)
            self.came_in += len(piece)
            self.collect()

    def collect(self) -> None:
        """Take out bytes and events, and check that they are not too many."""
        written = self.wire.data_to_send()
        self.written += written
        self.came_out += len(written)
        while (event := self.wire.next_event()) is not NEED_DATA:
            self.events.append(event)
            self.came_out += invariants.weight(event)
            self.react(self.wire, event)
        # a message of two bytes can make an event of some fifty fields
        assert self.came_out <= 64 * self.came_in + 8192, f"{self.came_out} came out of {self.came_in}"

    def end(self, ending: str) -> None:
        """Bring the connection to its end, and look at what was left of it."""
        if ending == "close":
            self.wire.close(2.0)
            self.collect()
        now = 2.0
        while ending != "eof" and not self.wire.finished and now < 200:
            due = self.wire.next_deadline()
            if due is None:
                break
            now = max(now, due)
            self.wire.handle_timeout(now)
            self.collect()
        self.wire.receive_eof(now)
        self.collect()
        self.collect()
        assert self.wire.finished
        assert not self.wire.data_to_send(), "bytes outlived the end"
        invariants.ended(self.events)
        invariants.clean_errors(self.events)
        shown = repr(self.events)
        assert KEY not in shown, "the API key shows"


def result(run: Run) -> tuple[list[Any], bytes]:
    """What must not depend on the cuts."""
    return run.events, run.written
