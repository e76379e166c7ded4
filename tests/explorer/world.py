"""Two message-level connections and the channel between them, as something that can be searched.

What a transport would do happens here: messages are carried in order, a wish to close becomes a close frame
behind them, the peer answers it, and either end can find the connection lost at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, NamedTuple

from explorer.memento import Explored, Lens, Saved, save
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event
from smallest_proto.message_layer import QueuedLayer


class Message(NamedTuple):
    """A message on its way. `kind` is all that decides what it does; `mark` tells equal kinds apart."""

    kind: str
    data: str | bytes
    mark: int


CLOSE = Message("close", "", 0)
LONGEST_WAIT_LEFT = 5.0
"""Seconds: a wait for a part of the time to a deadline leaves less than this, and is not repeated."""


class World(Explored):
    """The moves that every protocol has, and what must hold after each.

    A move does one thing and checks what must hold, or returns False and has changed nothing.
    """

    lens: Lens
    baseline: Saved
    """The state at the beginning of a move or an inspection, set by the search."""

    def __init__(self, client: Any, server: Any, room: int) -> None:
        """`room`: while so many messages are on their way to the peer, an end does not send another."""
        self.room = room
        self.client = client
        self.server = server
        self.now = 0.0
        self.to_client: list[Message] = []
        self.to_server: list[Message] = []
        self.client_hung_up = False
        self.server_hung_up = False
        self.lost = False
        self.client_told = False
        self.server_told = False
        self.mark = 0
        self.armed: dict[str, float] = {}
        self.moves: dict[str, Callable[[], bool]] = {
            "deliver to the client": lambda: self.deliver_to_client(0),
            "deliver to the server": self.deliver_to_server,
            "the client loses the connection": self.client_loses,
            "the server loses the connection": self.server_loses,
            "the client gives up": self.client_closes,
            "the server gives up": self.server_closes,
            "wait for the next deadline": lambda: self.wait(1.0),
            "wait for most of that": lambda: self.wait(0.75),
        }
        self.client.receive_open(self.now)
        self.server.receive_open(self.now)

    # -- what a protocol adds

    def client_event(self, event: Event, delivered: Message | None) -> None:
        """Check and count one event of the client."""
        raise NotImplementedError

    def server_event(self, event: Event, delivered: Message | None) -> None:
        """Check and count one event of the server."""
        raise NotImplementedError

    def carried(self, end: QueuedLayer, data: str | bytes) -> None:
        """Count one message that an end has handed out."""

    def after(self, delivered: Message | None, heard: list[Event]) -> None:
        """What holds after each move of the client; `heard` is what it told."""

    def digest(self, saved: Saved) -> Hashable:
        """An end that is closed has no future: `inspect` shows that it is deaf."""
        told = (("client", self.client_told), ("server", self.server_told))
        return self.lens.digest(saved, self.now, [name for name, over in told if over])

    def patient(self) -> bool:
        """Whether the client sends nothing by itself when time passes."""
        return False

    def within_bounds(self) -> bool:
        """Whether to go on from here."""
        # an answer or a deadline may come on top, and one command may be three messages
        return len(self.to_client) <= self.room + 1 and len(self.to_server) <= self.room + 2

    def refusals(self) -> Iterable[tuple[Any, object]]:
        """Commands that no state takes, and which end they are for."""
        return ()

    # -- moves

    def send(self, end: Any, command: object, kind: str = "") -> bool:
        """A command of the user."""
        if len(self.to_server if end is self.client else self.to_client) >= self.room:
            return False
        try:
            end.send(command, self.now)
        except LocalProtocolError:
            return False  # that it changed nothing is checked once for each state, in `inspect`
        return self.settle(kind=kind)

    def deliver_to_client(self, position: int) -> bool:
        if len(self.to_client) <= position:
            return False
        message = self.to_client.pop(position)
        if message is CLOSE:
            self._close_client(1000)
        else:
            self.client.receive_message(message.data, self.now)
        return self.settle(to_client=message)

    def deliver_to_server(self) -> bool:
        if not self.to_server:
            return False
        message = self.to_server.pop(0)
        if message is CLOSE:
            self._close_server(1000)
        else:
            self.server.receive_message(message.data, self.now)
        return self.settle(to_server=message)

    def client_loses(self) -> bool:
        if self.client_told:
            return False
        self.lost = True  # from here on nothing new comes through; what is on its way may
        self._close_client(1006)
        return self.settle()

    def server_loses(self) -> bool:
        if self.server_told:
            return False
        self.lost = True
        self._close_server(1006)
        return self.settle()

    def client_closes(self) -> bool:
        if self.client_hung_up:
            return False
        self.client.close(self.now)
        return self.settle()

    def server_closes(self) -> bool:
        if self.server_hung_up:
            return False
        self.server.close(self.now)
        return self.settle()

    def wait(self, part: float) -> bool:
        due = self._next_deadline()
        if due is None or (part < 1.0 and due - self.now < LONGEST_WAIT_LEFT):
            return False
        if len(self.to_server) >= self.room and not self.client_hung_up and not self.patient():
            return False
        self.now = due if part == 1.0 else self.now + (due - self.now) * part
        for end in (self.client, self.server):
            end.handle_timeout(self.now)
            deadline = end.next_deadline()
            assert deadline is None or deadline > self.now, f"the next deadline, {deadline}, has passed"
        return self.settle()

    # -- what happens by itself

    def _close_client(self, code: int) -> None:
        self.client_told = True
        self.to_client.clear()
        self.client.receive_close(code, "", self.now)
        if not self.client_hung_up and not self.lost:
            self.to_server.append(CLOSE)
        self.client_hung_up = True

    def _close_server(self, code: int) -> None:
        self.server_told = True
        self.to_server.clear()
        self.server.receive_close(code, "", self.now)
        if not self.server_hung_up and not self.lost:
            self.to_client.append(CLOSE)
        self.server_hung_up = True

    def settle(
        self, *, kind: str = "", to_client: Message | None = None, to_server: Message | None = None
    ) -> bool:
        """Carry what is to be sent, look at what is told, and check."""
        sent = self._carry(self.client, self.to_server, self.client_hung_up, "")
        self.client_hung_up = self.client_hung_up or sent
        sent = self._carry(self.server, self.to_client, self.server_hung_up, kind)
        self.server_hung_up = self.server_hung_up or sent
        heard = drained(self.client)
        for event in heard:
            self.client_event(event, to_client)
        for event in drained(self.server):
            self.server_event(event, to_server)
        self._compare_deadlines()
        assert (self.client.closed is not None) == self.client_told
        assert (self.server.closed is not None) == self.server_told
        self.after(to_client, heard)
        return True

    def _carry(self, end: QueuedLayer, channel: list[Message], hung_up: bool, kind: str) -> bool:
        for data in end.messages_to_send():
            self.carried(end, data)
            if not hung_up and not self.lost:
                self.mark += 1
                size = f"{len(data)} bytes" if isinstance(data, bytes) else data
                channel.append(Message(kind or size, data, self.mark))
        if end.close_requested is None or hung_up:
            return False
        if not self.lost:
            channel.append(CLOSE)
        return True

    def _compare_deadlines(self) -> None:
        armed = {
            f"{role}: {name}": at
            for role, end in (("client", self.client), ("server", self.server))
            for name, at in end.timers._at.items()
        }
        for name, at in armed.items():
            assert at >= self.armed.get(name, at), f"{name} runs backwards"
        self.armed = armed

    def _next_deadline(self) -> float | None:
        ends = (self.client.next_deadline(), self.server.next_deadline())
        return min((at for at in ends if at is not None), default=None)

    # -- what holds in every state

    def inspect(self) -> None:
        """Nothing but what was asked for changes anything: not refusals, early calls, nor calls after the end."""
        for end, command in self.refusals():
            refused = False
            try:
                end.send(command, self.now)
            except LocalProtocolError:
                refused = True
            assert refused, f"{command!r} was not refused"
        assert save(self) == self.baseline, "a refused command changed something"
        before = self.lens.digest(self.baseline, self.now)
        for end in (self.client, self.server):
            end.handle_timeout(self.now)
            if end.closed is not None:
                end.receive_close(1000, "again", self.now)
                end.receive_close(1006, "", self.now)
                end.close(self.now)
                assert end.next_deadline() is None, "a deadline outlives the end"
        for end, message in self.late_messages():
            end.receive_message(message, self.now)
        assert self.lens.digest(save(self), self.now) == before, "a call that means nothing changed something"

    def late_messages(self) -> Iterable[tuple[Any, str | bytes]]:
        """Messages for ends that are closed, and so deaf."""
        return ()


def drained(end: QueuedLayer) -> list[Event]:
    """The events that wait."""
    events: list[Event] = []
    while (event := end.next_event()) is not NEED_DATA:
        assert not events or not isinstance(events[-1], ConnectionClosed), "an event after ConnectionClosed"
        events.append(event)
    return events
