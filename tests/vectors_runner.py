"""Plays the session vectors of `tests/vectors` against the message level; the format is in the README there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from unittest import mock

import msgspec

from smallest_proto.errors import DeadlineExceeded, LocalProtocolError
from smallest_proto.events import NEED_DATA
from smallest_proto.machine import Machine
from smallest_proto.message_layer import MessageLayer

VECTORS = Path(__file__).parent / "vectors"


class Client(MessageLayer, Protocol):
    def send(self, command: Any, now: float) -> None: ...


class Adapter(NamedTuple):
    """What the runner has to know of a protocol."""

    connect: Callable[[Mapping[str, Any], str], Client]  # options and variant
    commands: Mapping[str, Callable[..., object]]
    target: Callable[[Mapping[str, Any]], str]
    serve: Callable[[Mapping[str, Any], str], Client] | None = None  # the server end
    replace: Callable[[Mapping[str, Any], str, Any], Client] | None = None  # and the client that it replaces


def load(protocol: str) -> list[dict[str, Any]]:
    vectors = []
    for path in sorted((VECTORS / protocol).glob("*.json")):
        vectors.append(json.loads(path.read_text("utf-8")))
        assert vectors[-1]["id"] == path.stem
        assert vectors[-1]["protocol"] == protocol
    return vectors


def cases(protocol: str) -> Iterator[tuple[dict[str, Any], str]]:
    for vector in load(protocol):
        for variant in vector["events"]:
            yield vector, variant


def play(vector: Mapping[str, Any], variant: str, adapter: Adapter) -> list[dict[str, Any]]:
    """Run one vector and return the events, having checked everything that went out."""
    options = vector["options"]
    if "target" in vector:
        assert adapter.target(options) == vector["target"]
    own, peer = ("server", "client") if vector.get("role") == "server" else ("client", "server")
    make = adapter.serve if own == "server" else adapter.connect
    assert make is not None
    end = make(options, variant)
    end.receive_open(0.0)
    sent: list[str | bytes] = []
    events: list[object] = []

    def collect() -> None:
        sent.extend(end.messages_to_send())
        while (event := end.next_event()) is not NEED_DATA:
            events.append(event)

    for number, step in enumerate(vector["steps"]):
        now = step["at"]
        where = f"{vector['id']}: step {number} at {now}: "
        while (deadline := end.next_deadline()) is not None and deadline <= now:
            end.handle_timeout(deadline)
            collect()
        if own in step:
            assert sent, f"{where}nothing was sent, expected {step[own]}"
            message = _message(sent.pop(0), step[own])
            wrong = mismatch(step[own], message)
            if own == "client":  # to the last key: what a client adds, a server may act on
                wrong = wrong or mismatch(message, step[own])
            assert wrong is None, f"{where}sent {wrong}"
            continue
        assert not sent, f"{where}before it, unexpected {sent}"
        if step.get("refused"):
            _be_refused(end, step, adapter, now)
        elif peer in step:
            _receive(end, step[peer], now)
        elif "wants_close" in step:
            assert (end.close_requested or (None,))[0] == step["wants_close"], where
        elif "reconnect" in step.get("do", ()):
            assert adapter.replace is not None
            options = {**options, **step["do"]["reconnect"]}
            end = adapter.replace(options, variant, end)
            end.receive_open(now)
        else:
            _act(end, step, adapter, now)
        collect()
    assert not sent, f"{vector['id']}: at the end unexpected {sent}"
    return [to_json(event) for event in events]


def _act(end: Client, step: Mapping[str, Any], adapter: Adapter, now: float) -> None:
    match step:
        case {"do": {"send": name}}:
            arguments = {k: v for k, v in step["do"].items() if k != "send"}
            end.send(adapter.commands[name](**arguments), now)
        case {"do": {"close": True}}:
            end.close(now)
        case {"timer": True}:
            end.handle_timeout(now)
        case _:
            raise AssertionError(f"a step that means nothing: {step}")


def _receive(end: Client, message: Mapping[str, Any], now: float) -> None:
    match message:
        case {"close": code, **rest}:
            end.receive_close(code, rest.get("reason", ""), now)
        case {"fault": code}:
            fault = DeadlineExceeded("the byte level gave up", code=code)
            end.receive_close(1006, "", now, error=fault)
        case {"text": value}:
            end.receive_message(json.dumps(value), now)
        case {"raw": text}:
            end.receive_message(text, now)
        case {"binary": int(size)}:
            end.receive_message(bytes(size), now)
        case {"binary": data}:
            end.receive_message(base64.b64decode(data), now)
        case _:
            raise AssertionError(f"a message that means nothing: {message}")


def _be_refused(end: Client, step: Mapping[str, Any], adapter: Adapter, now: float) -> None:
    before = end.next_deadline(), end.close_requested
    try:
        _act(end, step, adapter, now)
    except LocalProtocolError:
        assert (end.next_deadline(), end.close_requested) == before
        assert not end.messages_to_send()
        assert end.next_event() is NEED_DATA
    else:
        raise AssertionError(f"not refused: {step}")


def _message(message: str | bytes, expected: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(message, bytes):
        return {"text": json.loads(message)}
    zeros = isinstance(expected.get("binary"), int) and not any(message)
    return {"binary": len(message) if zeros else base64.b64encode(message).decode()}


def to_json(value: Any) -> Any:
    """An event in the form of the vectors: all its fields, and their fields, given."""
    if isinstance(value, msgspec.Struct):
        fields = {name: to_json(getattr(value, name)) for name in value.__struct_fields__}
        return {"type": type(value).__name__} | fields
    if isinstance(value, Exception):
        own = {name: to_json(v) for name, v in vars(value).items() if name[0] != "_"}
        return {"type": type(value).__name__} | own
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple | list):
        return [to_json(v) for v in value]
    return {k: to_json(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def mismatch(expected: object, actual: object, path: str = "") -> str | None:
    """Where `actual` lacks or contradicts something of `expected`, or None. Times may differ by a rounding."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key, value in expected.items():
            if key not in actual:
                return f"{path}.{key} is missing"
            if wrong := mismatch(value, actual[key], f"{path}.{key}"):
                return wrong
        return None
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        parts = zip(expected, actual, strict=True)
        found = (mismatch(e, a, f"{path}[{i}]") for i, (e, a) in enumerate(parts))
        return next((wrong for wrong in found if wrong), None)
    if isinstance(expected, float) and isinstance(actual, int | float):
        return None if abs(expected - actual) < 1e-6 else f"{path}: {actual!r}, expected {expected!r}"
    same = expected == actual and isinstance(expected, bool) == isinstance(actual, bool)
    return None if same else f"{path}: {actual!r}, expected {expected!r}"


def check(vector: Mapping[str, Any], variant: str, adapter: Adapter) -> None:
    """Run one vector and compare its events."""
    actual = play(vector, variant, adapter)
    expected = vector["events"][variant]
    types = [e["type"] for e in actual]
    assert types == [e["type"] for e in expected], f"{vector['id']}: the events are {types}"
    for number, (e, a) in enumerate(zip(expected, actual, strict=True)):
        wrong = mismatch(e, a)
        assert wrong is None, f"{vector['id']}: event {number}{wrong}"


@contextmanager
def visits() -> Iterator[set[tuple[int, Enum, Enum]]]:
    """Every row that machines look up while this is open: the table's id, state and input."""
    seen: set[tuple[int, Enum, Enum]] = set()

    def recorded(look_up: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def recording(machine: Machine[Any, Any, Any], given: Any) -> Any:
            state = machine.state
            result = look_up(machine, given)
            seen.add((id(machine.table), state, given))
            return result

        return recording

    with (
        mock.patch.object(Machine, "check", recorded(Machine.check)),
        mock.patch.object(Machine, "step", recorded(Machine.step)),
    ):
        yield seen


def rows(*tables: Mapping[Any, Any]) -> set[tuple[int, Enum, Enum]]:
    """Every row of these tables, as `visits` counts them."""
    return {(id(table), state, given) for table in tables for state, given in table}
