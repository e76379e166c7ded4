"""From a fuzzer's bytes to a scenario, and back for the seeds.

A scenario is lines. The first is the settings, one character for each row of the target's table: "0" takes the
first choice, "1" the second, and so on round. What is missing takes the first. Every other line is a step: a
character for its kind, and an argument. So a mutation stays local, and a corpus file can be read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

Table: TypeAlias = Mapping[str, Sequence[Any]]
"""The settings that a target varies, each with its choices."""


class Step(NamedTuple):
    """One line: `kind` is its first character."""

    kind: str
    argument: bytes


def draw(line: bytes, table: Table) -> dict[str, Any]:
    """The choice that each character of the settings line makes."""
    padded = line.ljust(len(table), b"0")
    return {
        name: choices[(byte - ord("0")) % len(choices)]
        for (name, choices), byte in zip(table.items(), padded, strict=False)
    }


def settings(options: Mapping[str, Any], table: Table) -> bytes:
    """The settings line for these options; a value that is not among the choices becomes the first."""
    indices = (
        choices.index(options[name]) if options.get(name) in choices and name in options else 0
        for name, choices in table.items()
    )
    return bytes(ord("0") + index for index in indices)


def parse(data: bytes, table: Table) -> tuple[dict[str, Any], list[Step]]:
    """Settings and steps of a scenario made of lines."""
    first, *lines = data.split(b"\n")
    return draw(first, table), [Step(chr(line[0]), line[1:]) for line in lines if line]


def split(data: bytes, table: Table) -> tuple[dict[str, Any], bytes]:
    """Settings, and everything after their line, for targets whose input is a byte stream."""
    first, _, rest = data.partition(b"\n")
    return draw(first, table), rest


def write(line: bytes, steps: Iterable[tuple[str, bytes | str]]) -> bytes:
    """The scenario with this settings line and these steps. Line breaks in an argument become spaces."""
    lines = [line]
    for kind, argument in steps:
        raw = argument if isinstance(argument, bytes) else argument.encode("utf-8", "surrogateescape")
        lines.append(kind.encode() + raw.replace(b"\n", b" "))
    return b"\n".join(lines)


def connections(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """The steps of each connection of a session; a step `r` begins the next one."""
    current: list[Step] = []
    for step in steps:
        if step.kind == "r":
            yield current
            current = []
        else:
            current.append(step)
    yield current


def text(argument: bytes) -> str:
    """The argument as text; bytes that are not UTF-8 become lone surrogates, so those are tried as well."""
    return argument.decode("utf-8", "surrogateescape")


def number(argument: bytes, low: float, high: float) -> float:
    """The number that the argument starts with, held within bounds; `low` for none."""
    try:
        value = float(argument.split(b" ")[0])
    except ValueError:
        return low
    return min(max(value, low), high) if math.isfinite(value) else low


def value(argument: bytes) -> Any:
    """The argument as JSON, of Python's lenient kind with NaN and Infinity, or else as text."""
    try:
        return json.loads(argument)
    except (ValueError, RecursionError):
        return text(argument)


def pieces(data: bytes, size: int) -> list[bytes]:
    """The data, cut to pieces of this many bytes; 0 leaves it whole."""
    return [data[i : i + size] for i in range(0, len(data), size)] if size else [data]
