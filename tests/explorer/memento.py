"""Saving, restoring and comparing live objects, fast enough to do it a hundred thousand times.

A machine is saved by copying what can change in it and restored in place: its callbacks stay bound to it, which
no deep copy would manage. What never changes after construction (options, tables, callbacks) is left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Hashable, Mapping
from enum import Enum
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

FIXED = frozenset(
    {
        *("_do", "_to", "_options", "_limits", "_format", "_read_text", "_messages", "_seed", "heartbeat"),
        *("_timeout", "_session_id", "_single", "_bytes_per_second"),
        *("options", "role", "table", "external", "size", "moves", "fixed", "baseline", "room"),
        "__weakref__",
    }
)
"""Attributes that nothing assigns after construction."""

_ATOMS = frozenset({type(None), bool, int, float, str, bytes, type})
COPIED = frozenset({list, dict, set, deque, bytearray})

Getter: TypeAlias = Callable[[Any], tuple[Any, ...]]
Saved: TypeAlias = list[tuple[Any, tuple[Any, ...], str]]
"""Each object, what it held, and the attribute of the root that it hangs from."""

Rule: TypeAlias = Callable[[Any, float], Hashable]
"""How one attribute counts when two states are compared: its value and the time now, to something hashable."""


class Explored:
    """Base of what is saved, beside the classes of the package itself."""


class _Walked(dict[type, bool]):
    """Which classes hold state to be saved."""

    def __missing__(self, kind: type) -> bool:
        ours = kind.__module__.startswith("smallest_proto.") or issubclass(kind, Explored)
        self[kind] = ours and not issubclass(kind, Enum | msgspec.Struct | BaseException | tuple)
        return self[kind]


_WALKED = _Walked()
_NAMES: dict[type, tuple[str, ...]] = {}
_GETTERS: dict[type, Getter] = {}


def _learn(value: Any) -> None:
    kind = type(value)
    found = list(getattr(value, "__dict__", ()))
    for base in kind.__mro__:
        found += base.__dict__.get("__slots__", ())
    names = _NAMES[kind] = tuple(name for name in found if name not in FIXED)
    get: Any = attrgetter(*names)
    _GETTERS[kind] = get if len(names) > 1 else lambda value: (get(value),)


def save(root: object) -> Saved:
    """All that can change in the object and in the objects it owns, from the root down."""
    saved: Saved = []
    todo: list[tuple[Any, str]] = [(root, "")]
    for value, branch in todo:
        kind = type(value)
        if kind not in _GETTERS:
            _learn(value)
        values = _GETTERS[kind](value)
        copied = None
        for i, attribute in enumerate(values):
            inner = type(attribute)
            if inner in COPIED:
                copied = copied or list(values)
                copied[i] = inner(attribute)
            elif _WALKED[inner]:
                todo.append((attribute, branch or _NAMES[kind][i]))
        saved.append((value, values if copied is None else tuple(copied), branch))
    return saved


def restore(saved: Saved) -> None:
    """Put every object back to what it was when it was saved."""
    for value, values, _ in saved:
        for name, attribute in zip(_NAMES[type(value)], values, strict=True):
            kind = type(attribute)
            setattr(value, name, kind(attribute) if kind in COPIED else attribute)


def plain(value: Any) -> Hashable:
    """The value itself, or something that is equal exactly when the value is."""
    kind = type(value)
    if kind is list or kind is deque or kind is bytearray:
        return tuple(value)
    if kind is dict:
        return tuple(value.items())
    if kind is set:
        return frozenset(value)
    if _WALKED[kind]:
        return kind.__name__
    if isinstance(value, BaseException):
        return kind.__name__
    return value  # type: ignore[no-any-return]  # whatever is left is hashable, or the dictionary of states says so


def dropped(value: Any, now: float) -> Hashable:
    """For what cannot influence the future."""
    return None


def relative(value: float | None, now: float) -> Hashable:
    """For a moment: how long ago, or how far ahead."""
    return None if value is None else round(value - now, 6)


def relative_times(value: dict[str, float], now: float) -> Hashable:
    """For named moments."""
    return tuple(sorted((name, round(at - now, 6)) for name, at in value.items()))


class Lens:
    """Compares states of a world by rules for single attributes: `{("Class", "attribute"): rule}`."""

    def __init__(self, rules: Mapping[tuple[str, str], Rule]) -> None:
        self._rules = rules
        self._by_class: dict[type, list[tuple[int, Rule]]] = {}
        self._numbers: dict[tuple[Hashable, ...], int] = {}

    def digest(self, saved: Saved, now: float, without: Collection[str] = ()) -> tuple[int, ...]:
        """Equal for two states exactly when no difference that the rules let through is left.

        The branches named in `without` do not count.
        """
        numbers, known = [], self._numbers
        for value, values, branch in saved:
            if branch in without:
                continue
            kind = type(value)
            if kind not in self._by_class:
                rules = ((i, self._rules.get((kind.__name__, name))) for i, name in enumerate(_NAMES[kind]))
                self._by_class[kind] = [(i, rule) for i, rule in rules if rule is not None]
            cells: list[Any] = [kind, *values]
            for i, rule in self._by_class[kind]:
                cells[i + 1] = rule(values[i], now)
            key = tuple([cell if type(cell) in _ATOMS else plain(cell) for cell in cells])
            numbers.append(known.setdefault(key, len(known)))
        return tuple(numbers)
