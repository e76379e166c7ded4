"""The rows of the transition tables, as something to cover: code that looks into a table has no branches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any, TypeAlias
from unittest import mock

from smallest_proto.machine import Machine, Row

Key: TypeAlias = tuple[int, Enum, Enum]
"""Identity of a table, state, input."""


def rows() -> list[Key]:
    """Every row of every table that is imported."""
    found: dict[Key, None] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("smallest_proto"):
            for value in vars(module).values():
                if isinstance(value, dict) and value and isinstance(next(iter(value.values())), Row):
                    found |= {(id(value), *key): None for key in value}
    return list(found)


@contextmanager
def watched(visit: Callable[[Key], object]) -> Iterator[None]:
    """Call `visit` for every row that a machine takes or is refused."""
    check = Machine.check

    def checked(self: Machine[Any, Any, Any], given: Enum) -> object:
        visit((id(self.table), self.state, given))
        return check(self, given)

    with mock.patch.object(Machine, "check", checked):
        yield
