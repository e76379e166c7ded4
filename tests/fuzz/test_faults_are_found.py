"""The targets can fail: each fault put into the package is found by its kept corpus and the mutants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from fuzz import replay, targets
from smallest_proto import error_shapes
from smallest_proto.events import UnknownMessage
from smallest_proto.lightning import client as lightning_client
from smallest_proto.lightning import server as lightning_server
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.pulse import client as pulse_client
from smallest_proto.pulse import decode as pulse_decode
from smallest_proto.pulse.client import ClientEnd
from smallest_proto.pulse.states import ClientAction
from smallest_proto.timers import Timers
from smallest_proto.wire.frames import FrameReader
from smallest_proto.wire.sse import EventStreamDecoder


def inputs(name: str) -> Iterator[bytes]:
    kept = [path.read_bytes() for path in replay.kept(name)]
    yield from kept
    yield from replay.mutants(kept, 500)


def strict(data: str | bytes) -> Any:
    """A parser without its net."""
    return pulse_decode._decoder.decode(data)


def twice(self: QueuedLayer, closed: Any) -> None:
    self.closed = closed
    self.timers.clear()
    self.outbox.clear()
    self.events.extend((closed, closed))


def forgetful(self: Timers, *names: str) -> None:
    """Deadlines that nobody can disarm."""


def by_reads(self: EventStreamDecoder, data: bytes) -> list[Any]:
    """An event ends with the read that brings it."""
    found: list[Any] = []
    self._feed(data, found)
    self._dispatch(found)
    return found


def hoarding(reason: str, data: str | bytes) -> Any:
    """An event that repeats what it could not read."""
    return UnknownMessage(reason=reason, data=data * 50)


FAULTS: list[tuple[str, Any, str, object]] = [
    ("pulse_messages", pulse_client, "parse", strict),
    ("pulse_messages", QueuedLayer, "finish", twice),
    ("pulse_messages", ClientEnd, "_do", {**ClientEnd._do, ClientAction.WIND_UP: lambda self, cause: None}),
    ("pulse_messages", Timers, "clear", forgetful),
    ("pulse_server", QueuedLayer, "finish", twice),
    ("lightning_messages", lightning_client, "unknown", hoarding),
    ("lightning_messages", lightning_client.ClientEnd, "_end_context", lambda self: self._active.context_id),
    ("lightning_server", lightning_server, "unknown", hoarding),
    ("websocket_client_bytes", FrameReader, "_finish", lambda self, last: last.decode()),
    ("websocket_server_bytes", FrameReader, "_finish", lambda self, last: last.decode()),
    ("error_shapes", error_shapes, "_text", str),
    ("sse_bytes", EventStreamDecoder, "feed", by_reads),
]


@pytest.mark.parametrize(
    ("name", "owner", "attribute", "fault"), FAULTS, ids=[f"{name}-{a}" for name, _, a, _ in FAULTS]
)
def test_found(name: str, owner: Any, attribute: str, fault: object) -> None:
    function = targets.load(name)

    def hunt() -> None:
        for data in inputs(name):
            function(data)

    with mock.patch.object(owner, attribute, fault), pytest.raises(Exception):  # noqa: B017, PT011 - any will do
        hunt()
