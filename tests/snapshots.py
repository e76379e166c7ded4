"""A deep picture of an object, to show that a call changed nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from enum import Enum

import msgspec


def snapshot(value: object, _seen: frozenset[int] = frozenset()) -> object:
    """Everything reachable through attributes and containers; functions and modules left out."""
    if value is None or isinstance(value, str | bytes | int | float | Enum | type | msgspec.Struct):
        return value
    if id(value) in _seen:
        return "..."
    seen = _seen | {id(value)}
    if isinstance(value, Mapping):
        return [(snapshot(k, seen), snapshot(v, seen)) for k, v in value.items()]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [snapshot(v, seen) for v in value]
    if callable(value):
        return "callable"
    return type(value).__name__, [(name, snapshot(of, seen)) for name, of in attributes(value).items()]


def attributes(value: object) -> dict[str, object]:
    """What stands in an object itself, in slots or not."""
    names = list(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = getattr(kind, "__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return {name: getattr(value, name, None) for name in names}
