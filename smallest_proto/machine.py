"""The table engine: look a transition up, let the caller act on it, then commit.

A table maps (state, input) to a `Row`. A pair that is missing is a refusal, so a table is also the list of
what is allowed. `check` has no effect; only `commit` moves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from smallest_proto.errors import LocalProtocolError

S = TypeVar("S", bound=Enum)
I = TypeVar("I", bound=Enum)  # noqa: E741 - the textbook letters: states, inputs, actions
A = TypeVar("A", bound=Enum)


class Symbol(Enum):
    """A state, an input or an action.

    Hashed by identity, as it is compared: the hash of `Enum` is a call of Python code, and every message asks
    a table several times. What every message needs has a name of its own in the module that needs it: before
    Python 3.12, reading a member from its class takes longer than a function call.
    """

    __hash__ = object.__hash__


class Row(NamedTuple, Generic[S, A]):
    """What one input does in one state: the actions, in order, and the next state."""

    actions: tuple[A, ...]
    state: S


Table = Mapping[tuple[S, I], Row[S, A]]


class Machine(Generic[S, I, A]):
    """One state and the table that moves it. A refusal does not suggest `external` inputs, the peer's."""

    __slots__ = ("external", "state", "table")

    def __init__(self, table: Table[S, I, A], state: S, external: Collection[I] = ()) -> None:
        self.table = table
        self.state = state
        self.external = external

    def check(self, given: I) -> Row[S, A]:
        """Return the row for this input without taking it. Raises LocalProtocolError when there is none."""
        row = self.table.get((self.state, given))
        if row is None:
            inputs = (i for s, i in self.table if s is self.state and i not in self.external)
            allowed = ", ".join(i.value for i in inputs) or "nothing"
            raise LocalProtocolError(
                f"{given.value} is not allowed in state {self.state.value}; allowed there: {allowed}"
            )
        return row

    def commit(self, row: Row[S, A]) -> tuple[A, ...]:
        """Move to the row's state and return its actions for the caller to carry out."""
        self.state = row.state
        return row.actions

    def step(self, given: I) -> tuple[A, ...]:
        """`check` and `commit` in one go, for inputs that are never refused."""
        row = self.table.get((self.state, given)) or self.check(given)
        self.state = row.state
        return row.actions
