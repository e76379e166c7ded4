"""Checks for options. Each raises ValueError that names the field, the value and what would be accepted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from typing import TypeAlias

CORRELATION_ID = re.compile(r"[a-zA-Z0-9_\-.]{1,128}")
"""Ids that the server stores or echoes [asyncapi stt-live], [openapi tts]."""

LARGEST = 2**31 - 1
"""Where no document names an upper bound for a whole number, this one keeps it writable."""

Check: TypeAlias = Callable[[str, object], object]
"""Takes the name of a field and its value."""


def refuse(field: str, value: object, accepted: str) -> ValueError:
    """The error for a field that holds something unacceptable."""
    try:
        shown = repr(value)
    except (RecursionError, ValueError):  # nested without end; an int of thousands of digits
        shown = f"{type(value).__name__} that cannot be shown"
    return ValueError(f"{field}={shown}: expected {accepted}")


def one_of(field: str, value: object, accepted: Collection[object]) -> None:
    """The value is one of these, in type too: True is not 1."""
    if not any(type(value) is type(choice) and value == choice for choice in accepted):
        raise refuse(field, value, "one of " + ", ".join(repr(choice) for choice in accepted))


def boolean(field: str, value: object) -> None:
    """The value is True or False."""
    if not isinstance(value, bool):
        raise refuse(field, value, "True or False")


def integer(field: str, value: object, low: int, high: int | None = None) -> None:
    """The value is an int from `low` to `high`, or to `LARGEST`."""
    if type(value) is not int or not low <= value <= (LARGEST if high is None else high):
        raise refuse(field, value, f"a whole number from {low} to {LARGEST if high is None else high}")


def number(field: str, value: object, low: float, high: float | None = None) -> None:
    """The value is a finite int or float from `low` to `high`."""
    if type(value) not in (int, float) or not isinstance(value, int | float) or not _is_finite(value):
        raise refuse(field, value, "a finite number")
    if value < low or (high is not None and value > high):
        raise refuse(field, value, f"a number from {low:g}" + (f" to {high:g}" if high is not None else ""))


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond every float
        return False


def positive(field: str, value: object) -> None:
    """The value is a finite number above 0: a number of seconds."""
    number(field, value, -math.inf)
    if not isinstance(value, int | float) or value <= 0:
        raise refuse(field, value, "a number above 0, or None")


def text(field: str, value: object) -> None:
    """The value is a string with something in it that UTF-8 can carry."""
    if not isinstance(value, str) or not value.strip() or _has_surrogates(value):
        raise refuse(field, value, "a non-empty string")


def _has_surrogates(value: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in value)


def correlation_id(field: str, value: object) -> None:
    """The value is 1 to 128 letters, digits, `_`, `-` or `.`."""
    if not isinstance(value, str) or not CORRELATION_ID.fullmatch(value):
        raise refuse(field, value, "1 to 128 characters of a-z A-Z 0-9 _ - .")


def choice(*accepted: object) -> Check:
    """A check that the value is one of these."""
    return lambda field, value: one_of(field, value, accepted)


def whole(low: int, high: int | None = None) -> Check:
    """A check that the value is an int from `low` to `high`."""
    return lambda field, value: integer(field, value, low, high)


def at_least(low: float) -> Check:
    """A check that the value is a finite number of at least `low`."""
    return lambda field, value: number(field, value, low)
