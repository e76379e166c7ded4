"""Runs the steps of a scenario on any message layer, and checks after each what must hold after each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from fuzz import invariants
from fuzz.messages import message
from fuzz.scenario import Step, number, text
from smallest_proto.errors import ConnectionLost, DeadlineExceeded, LocalProtocolError, ProtocolError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.message_layer import MessageLayer

LONGEST_WAIT = 100.0
"""Seconds; longer than every timeout of the targets' settings."""

FAULTS: tuple[ProtocolError, ...] = (
    ConnectionLost("the connection ended", status=1006),
    DeadlineExceeded("the peer was silent after a ping", code="pong"),
)


class Layer(MessageLayer, Protocol):
    """A message layer that takes commands."""

    def send(self, command: Any, now: float) -> None:
        """Queue what the command stands for."""


class Session:
    """One layer and all that came out of it.

    Steps: `<` text from the peer, `=` bytes from it, `j` a message of `messages`, `!` a command of ours, `+`
    seconds with every deadline met, `>` seconds in one jump, `o` open, `c` our close, `x` the peer's close with a
    code and a reason, `f` a fault of the byte level. Any other kind is text. Not `eager`: nothing is taken out
    until the end.
    """

    def __init__(self, layer: Layer, command: Callable[[bytes], object], *, eager: bool = True) -> None:
        self.layer = layer
        self.command = command
        self.eager = eager
        self.now = 0.0
        self.events: list[Event] = []
        self.sent: list[str | bytes] = []
        self.accepted: list[object] = []
        self.came_in = self.came_out = self.steps = 0

    def run(self, steps: Iterable[Step]) -> None:
        """Take every step, then end the connection, twice: the second time means nothing."""
        for step in steps:
            self.step(step)
        for code in (1006, 1000):
            self.layer.receive_close(code, "", self.now)
        self.collect()
        invariants.ended(self.events)
        assert self.layer.next_deadline() is None, "a deadline outlived the end"
        assert not self.layer.messages_to_send(), "a message outlived the end"
        invariants.clean_errors(self.events)

    def step(self, step: Step) -> None:
        """Take one step."""
        kind, argument = step
        self.steps += 1
        self.came_in += len(argument)
        if kind == "!":
            self.send(self.command(argument))
        elif kind in "+>":
            self.wait(number(argument, 0.0, LONGEST_WAIT), jump=kind == ">")
        elif kind == "o":
            self.layer.receive_open(self.now)
        elif kind == "c":
            self.layer.close(self.now)
        elif kind == "x":
            code, _, reason = argument.partition(b" ")
            self.layer.receive_close(int(number(code, 1000, 4999)), text(reason), self.now)
        elif kind == "f":
            error = FAULTS[len(argument) % len(FAULTS)]
            self.layer.receive_close(1006, "", self.now, error=error)
        elif kind == "j":
            text_of_it = message(argument)
            self.came_in += len(text_of_it)
            self.layer.receive_message(text_of_it, self.now)
        else:
            self.layer.receive_message(argument if kind == "=" else text(argument), self.now)
        if self.eager:
            self.collect()

    def send(self, command: object) -> None:
        """A refused command must raise `LocalProtocolError` and change nothing."""
        self.came_in += invariants.weight(command)
        before = self.layer.next_deadline(), self.layer.close_requested
        if self.eager:
            self.collect()
        try:
            self.layer.send(command, self.now)
        except LocalProtocolError:
            assert (self.layer.next_deadline(), self.layer.close_requested) == before
            if self.eager:
                assert self.layer.next_event() is NEED_DATA, "a refused command made an event"
                assert not self.layer.messages_to_send(), "a refused command made a message"
        else:
            self.accepted.append(command)

    def wait(self, seconds: float, *, jump: bool) -> None:
        """Let time pass; after each deadline that is met, the next one must lie ahead."""
        end = self.now + seconds
        while not jump and (due := self.layer.next_deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.tick()
        self.now = end
        self.tick()

    def tick(self) -> None:
        """Look at the clock; a keep-alive that goes out then has no input of its own."""
        self.steps += 1
        self.layer.handle_timeout(self.now)
        deadline = self.layer.next_deadline()
        assert deadline is None or deadline > self.now, "a deadline that was met is still due"

    def collect(self) -> None:
        """Take out what waits, and check that it is not too much."""
        sent = self.layer.messages_to_send()
        events: list[Event] = []
        while (event := self.layer.next_event()) is not NEED_DATA:
            events.append(event)
        self.sent += sent
        self.events += events
        invariants.one_end(self.events)
        self.came_out += sum(map(invariants.weight, (*sent, *events)))
        invariants.bounded(self.came_in, self.came_out, self.steps)
