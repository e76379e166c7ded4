"""The server's WebSocket on any bytes, before and after the upgrade, with a real protocol on top."""

from __future__ import annotations

from typing import Any

from fuzz import scenario, wires
from smallest_proto.events import Event, Role
from smallest_proto.wire.events import UpgradeReceived
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketServerWire


def fuzz(data: bytes) -> None:
    """One end, and the same events and bytes however the stream is cut.

    Not when the caller answers late and too much has come by then: its bound is checked from read to read.
    """
    settings, stream = scenario.split(data, wires.TABLE)
    if settings["opened"]:
        stream = wires.REQUEST + stream
    with wires.nothing_random():
        runs = [run(settings, scenario.pieces(stream, size)) for size in (0, settings["cut"])]
    if settings["answer"] != "late" or len(stream) <= settings["limits"].max_handshake_bytes:
        assert wires.result(runs[0]) == wires.result(runs[1])


def run(settings: dict[str, Any], data: list[bytes]) -> wires.Run:
    """One server on these pieces; it answers an upgrade request at once, or when all has come."""
    wire = WebSocketServerWire(limits=settings["limits"])
    answer = settings["answer"]

    def react(_: object, event: Event) -> None:
        if isinstance(event, UpgradeReceived) and answer != "late":
            decide()

    def decide() -> None:
        if answer == "reject":
            wire.reject(401, 1.0, body=b'{"message":"Unauthorized"}')
        elif answer == "close":
            wire.close(1.0)
        else:
            wire.accept(wires.layer(settings["protocol"], Role.SERVER), 1.0)

    wire.connect(0.0)
    made = wires.Run(wire, react)
    made.feed(data)
    if wire.state is State.DECIDING:
        decide()
        made.collect()
    made.end(settings["ending"])
    return made
