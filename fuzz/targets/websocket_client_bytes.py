"""The client's WebSocket on any bytes, before and after the upgrade, with a real protocol on top."""

from __future__ import annotations

from typing import Any

from fuzz import scenario, wires
from smallest_proto.events import Role
from smallest_proto.lightning import SendText
from smallest_proto.pulse import Audio, PulseConnection
from smallest_proto.wire.websocket import WebSocketWire


def fuzz(data: bytes) -> None:
    """One end, and the same events and bytes however the stream is cut."""
    settings, stream = scenario.split(data, wires.TABLE)
    if settings["opened"]:
        stream = wires.ANSWER + stream
    with wires.nothing_random():
        runs = [run(settings, scenario.pieces(stream, size)) for size in (0, settings["cut"])]
    assert wires.result(runs[0]) == wires.result(runs[1])


def run(settings: dict[str, Any], data: list[bytes]) -> wires.Run:
    """One client on these pieces. Something waits to be sent once it is open."""
    conn = wires.layer(settings["protocol"], Role.CLIENT)
    if isinstance(conn, PulseConnection):
        conn.send(Audio(bytes(3200)), 0.0)
    else:
        conn.send(SendText("Hello. "), 0.0)
    limits = settings["limits"]
    wire = WebSocketWire(conn, wires.request(settings["protocol"]), limits=limits)
    wire.connect(0.0)
    made = wires.Run(wire)
    made.collect()
    made.feed(data)
    made.end(settings["ending"])
    return made
