"""Options from values of every kind: a refusal is a ValueError; what is accepted can be sent and read back."""

from __future__ import annotations

import math
import warnings
from typing import Any

import msgspec

from fuzz import invariants, scenario
from smallest_proto.events import Role
from smallest_proto.lightning import (
    LightningConnection,
    LightningOptions,
    lightning_options,
    lightning_request,
)
from smallest_proto.limits import Limits
from smallest_proto.pulse import PulseConnection, PulseOptions, pulse_options, pulse_request
from smallest_proto.pulse.options import WIRE_NAMES
from smallest_proto.wire.websocket import WebSocketWire

TABLE: scenario.Table = {"kind": (PulseOptions, LightningOptions, Limits)}
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1 << 70, 10**400, -0.0, math.nan, math.inf, -math.inf, 1e308, 5e-324),
    *("", " ", "\ud800", "a\r\nb", "x" * 200, b"en", bytearray(b"x"), (), [], {}, {1: 2}, {"a": math.nan}),
    *(
        object(),
        int,
        ("a",),
        [("a", 1.0)],
        (("a", "b"),),
        [["a", -1]],
        {"a": ()},
        {"": ""},
        3 + 4j,
        Role.CLIENT,
    ),
)


def given(argument: bytes) -> tuple[str, Any]:
    """`NAME=JSON`, `NAME~N` for the Nth odd value, `NAME(JSON` for a list as a tuple, `NAME{KEY JSON`."""
    for mark in b"=~({":
        name, found, rest = argument.partition(bytes([mark]))
        if found:
            break
    else:
        return "", None
    value = scenario.value(rest)
    if found == b"~":
        return scenario.text(name), ODD[int(scenario.number(rest, 0, 1e6)) % len(ODD)]
    if found == b"(":
        value = (
            tuple(tuple(v) if isinstance(v, list) else v for v in value) if isinstance(value, list) else ()
        )
    if found == b"{":
        key, _, inner = rest.partition(b" ")
        value = {scenario.text(key): scenario.value(inner)}
    return scenario.text(name), value


def fuzz(data: bytes) -> None:
    """Unknown names are a TypeError, as in every call; for known ones nothing but a ValueError comes."""
    settings, steps = scenario.parse(data, TABLE)
    kind = settings["kind"]
    fields = dict(given(step.kind.encode("latin-1") + step.argument) for step in steps)
    known = fields.keys() <= set(kind.__struct_fields__)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            options = kind(**fields)
        except ValueError as error:
            invariants.refusal(error)
            return
        except TypeError:
            assert not known, "a known field raised TypeError"
            return
        assert known, "an unknown field was accepted"
        assert kind(**fields) == options
        assert repr(options)
        if isinstance(options, PulseOptions):
            pulse(options)
        elif isinstance(options, LightningOptions):
            lightning(options)


def pulse(options: PulseOptions) -> None:
    """The request can be written, and a server reads from it what was asked for."""
    conn = PulseConnection(options)
    request = pulse_request(options, api_key=None)
    WebSocketWire(conn, request)
    try:
        read = pulse_options(request.target)
    except ValueError:
        assert options.model == "pulse-pro", request.target
        return
    assert read is not None, request.target
    assert read.endpoint == options.endpoint
    for name in WIRE_NAMES:
        asked = getattr(options, name)
        if name == "eou_timeout_ms" and asked == 0:
            asked = None
        assert getattr(read, name) == asked, f"{name}: {asked!r} was read as {getattr(read, name)!r}"


def lightning(options: LightningOptions) -> None:
    """The request and every message can be written, and a server reads from them what was asked for."""
    conn = LightningConnection(options)
    request = lightning_request(options, api_key=None)
    WebSocketWire(conn, request)
    read = lightning_options(request.target)
    assert read is not None
    assert read.idle_timeout == options.idle_timeout
    messages = conn._end._messages  # type: ignore[union-attr]  # the one private name: no command makes them all
    for message in (
        messages.speech("x"),
        messages.fragment("c", "x"),
        messages.flush(),
        messages.keep_alive(),
    ):
        assert msgspec.json.decode(message)["voice_id"] == options.voice
