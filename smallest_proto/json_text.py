"""JSON from a peer, where anything can be wrong and nothing may raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from smallest_proto.events import UnknownMessage

SHOWN = 2000
"""Characters or bytes of a message that an `UnknownMessage` keeps."""


def unknown(reason: str, data: str | bytes) -> UnknownMessage:
    """The event for a message that means nothing to us."""
    return UnknownMessage(reason=reason, data=data[:SHOWN])


def load_object(data: str | bytes) -> dict[str, Any] | UnknownMessage:
    """The JSON object in `data`, or the event that says why there is none."""
    try:
        value = msgspec.json.decode(data)
    except RecursionError:
        return unknown("JSON nested too deep", data)
    except ValueError:  # malformed JSON, numbers out of range, text that UTF-8 cannot hold
        return unknown("not JSON", data)
    return value if isinstance(value, dict) else unknown("JSON, but not an object", data)


def text_or_none(value: object) -> str | None:
    """The string, else None. In all of these a value of the wrong type counts as missing."""
    return value if isinstance(value, str) else None


def text(value: object) -> str:
    """The string, else ""."""
    return value if isinstance(value, str) else ""


def texts(value: object) -> tuple[str, ...]:
    """The strings in a list."""
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def number(value: object) -> float | None:
    """The number, else None; a bool is no number, and neither is an integer beyond every float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def mapping(value: object) -> Mapping[str, object]:
    """The object, else an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[Mapping[str, object]]:
    """The objects in a list."""
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []
