"""What exists once per stream has slots, and may be held weakly all the same, as in a `WeakSet` of what is open."""

from __future__ import annotations

import random
import weakref

import pytest

from smallest_proto import WebSocketServerWire, WebSocketWire
from smallest_proto.endpoints import ApiKey
from smallest_proto.lightning import LightningConnection, LightningOptions
from smallest_proto.pulse import PulseConnection, PulseOptions, PulseSession, pulse_request
from smallest_transports.asyncio import connect_lightning, connect_pulse

CONNECTION = PulseConnection(PulseOptions())
OPEN = [
    CONNECTION,
    LightningConnection(LightningOptions()),
    PulseSession(PulseOptions(), random=random.random),
    WebSocketWire(CONNECTION, pulse_request(PulseOptions(), api_key=ApiKey("k"))),
    WebSocketServerWire(),
    connect_pulse(api_key="k"),
    connect_lightning(LightningOptions(), api_key="k"),
]


@pytest.mark.parametrize("value", OPEN, ids=lambda value: type(value).__name__)
def test_it_may_be_held_weakly(value: object) -> None:
    assert list(weakref.WeakSet([value])) == [value]


@pytest.mark.parametrize("value", OPEN, ids=lambda value: type(value).__name__)
def test_it_takes_no_other_attributes(value: object) -> None:
    """Each would bring a dict with it."""
    assert not hasattr(value, "__dict__")
    with pytest.raises(AttributeError):
        setattr(value, "no_such_thing", 1)  # noqa: B010  # mypy knows the slots, too
