"""Two wires and the bytes between them, which come late, in pieces, or not at all: the rules both protocols share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.wire.base import BaseWire
from smallest_proto.wire.events import HandshakeCompleted, UpgradeReceived
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire
from snapshots import snapshot

SIZES = st.sampled_from([1, 2, 7, 50, 400])
CALM = st.sampled_from([0, 20, 60, 100])
"""How often something is carried before anybody gives up or the connection is cut."""

PAUSES = st.sampled_from([0.01, 0.1, 0.3, 1.0, 6.0])


class Pipe:
    """One direction of a byte stream: what is on its way, and whether it ends after that."""

    def __init__(self, source: BaseWire, target: BaseWire) -> None:
        self.source = source
        self.target = target
        self.bytes = bytearray()
        self.ending = False
        self.ended = False
        self.broken = False

    def fill(self) -> None:
        """Take what the source has to send; a source that is finished hangs up behind it."""
        data = self.source.data_to_send()
        if not (self.ending or self.broken):
            self.bytes += data
        self.ending = self.ending or self.source.finished

    def empty(self, size: int, now: float) -> None:
        """Let up to so many bytes arrive, or the end if nothing else is left."""
        piece = bytes(self.bytes[:size])
        del self.bytes[:size]
        if piece:
            self.target.receive_data(piece, now)
        elif self.ending and not self.ended:
            self.ended = True
            self.target.receive_eof(now)

    def cut(self, kept: int) -> None:
        """Lose all but the first bytes that are on their way, and everything after them."""
        del self.bytes[kept:]
        self.ending = self.broken = True


class LinkMachine(RuleBasedStateMachine):
    """Subclasses call `connect` from an initialize rule, and add the commands of both users."""

    client: Any
    server: Any
    up: Pipe
    down: Pipe
    rude: bool
    """Whether the end, if it has not come by then, is a cut connection or a close."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []

    def connect(self, client: QueuedLayer, server: QueuedLayer, request: UpgradeRequest, calm: int) -> None:
        """Begin: with the request on its way, or open if the first steps are to be `calm`."""
        self.calm = calm
        self.client, self.server = client, server
        self.client_wire = WebSocketWire(self.client, request)
        self.server_wire = WebSocketServerWire()
        self.up = Pipe(self.client_wire, self.server_wire)
        self.down = Pipe(self.server_wire, self.client_wire)
        self.server_wire.connect(self.now)
        self.client_wire.connect(self.now)
        self.settle()
        if calm:
            self.everything_arrives()

    def settle(self) -> None:
        """What a transport does after every call."""
        self.calm -= 1
        while (event := self.server_wire.next_event()) is not NEED_DATA:
            self.server_events.append(event)
            if isinstance(event, UpgradeReceived):
                self.server_wire.accept(self.server, self.now)
        while (event := self.client_wire.next_event()) is not NEED_DATA:
            self.client_events.append(event)
        self.up.fill()
        self.down.fill()

    def send(self, end: Any, command: object) -> bool:
        """A command of a user; refused, it must have changed nothing."""
        before = snapshot(end)
        try:
            end.send(command, self.now)
        except LocalProtocolError:
            assert snapshot(end) == before
            return False
        self.settle()
        return True

    @rule(size=SIZES)
    def some_bytes_reach_the_server(self, size: int) -> None:
        self.up.empty(size, self.now)
        self.settle()

    @rule(size=SIZES)
    def some_bytes_reach_the_client(self, size: int) -> None:
        self.down.empty(size, self.now)
        self.settle()

    @rule()
    def everything_arrives_at_once(self) -> None:
        self.everything_arrives()

    @rule()
    def everything_arrives(self) -> None:
        for pipe in (self.up, self.down) * 4:
            if pipe.bytes or pipe.ending:
                pipe.empty(len(pipe.bytes), self.now)
                self.settle()

    @rule(seconds=PAUSES)
    def time_passes(self, seconds: float) -> None:
        end = self.now + seconds
        while (due := self.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            for wire in (self.client_wire, self.server_wire):
                wire.handle_timeout(self.now)
                deadline = wire.next_deadline()
                assert deadline is None or deadline > self.now
            self.settle()
        self.now = end

    @precondition(lambda self: self.calm < 0 and not self.up.broken)
    @rule(up=st.integers(0, 300), down=st.integers(0, 300))
    def the_connection_is_cut(self, up: int, down: int) -> None:
        self.up.cut(up)
        self.down.cut(down)

    @precondition(lambda self: self.calm < 0)
    @rule(who=st.sampled_from(["client", "server"]))
    def somebody_gives_up(self, who: str) -> None:
        (self.client_wire if who == "client" else self.server_wire).close(self.now)
        self.settle()

    @rule()
    def somebody_looks_too_early(self) -> None:
        before = (
            len(self.client_events),
            len(self.server_events),
            bytes(self.up.bytes),
            bytes(self.down.bytes),
        )
        for wire in (self.client_wire, self.server_wire):
            due = wire.next_deadline()
            if due is None or due > self.now:
                wire.handle_timeout(self.now)
        self.settle()
        after = len(self.client_events), len(self.server_events), bytes(self.up.bytes), bytes(self.down.bytes)
        assert before == after

    def next_deadline(self) -> float | None:
        ends = (self.client_wire.next_deadline(), self.server_wire.next_deadline())
        return min((at for at in ends if at is not None), default=None)

    @invariant()
    def the_end_is_the_end(self) -> None:
        for events, wire in ((self.client_events, self.client_wire), (self.server_events, self.server_wire)):
            closed = [i for i, event in enumerate(events) if isinstance(event, ConnectionClosed)]
            assert closed in ([], [len(events) - 1])
            assert bool(closed) == wire.finished
            assert not closed or wire.next_deadline() is None

    def teardown(self) -> None:
        """Whatever happened, both ends close within their deadlines, and then the whole story is checked."""
        if not hasattr(self, "client_wire"):
            return
        self.everything_arrives()
        if self.rude:
            self.the_connection_is_cut(0, 0)
        else:
            self.client_wire.close(self.now)
        for _ in range(3):
            self.time_passes(5.0)
            self.everything_arrives()
        self.the_connection_is_cut(0, 0)
        self.everything_arrives()
        self.the_end_is_the_end()
        assert self.client_wire.finished
        assert self.server_wire.finished
        established = any(isinstance(event, HandshakeCompleted) for event in self.client_events)
        self.check_the_story(established)

    def check_the_story(self, established: bool) -> None:
        """What must hold of all that was told, from the beginning to the end."""
        raise NotImplementedError


def is_subsequence(part: list[Any], whole: list[Any]) -> bool:
    """Whether the part is in the whole, in order, each at most once."""
    rest = iter(whole)
    return all(item in rest for item in part)
