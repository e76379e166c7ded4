"""Base URLs, keys and headers of a caller, and the request targets of a stranger."""

from __future__ import annotations

import warnings

from fuzz import invariants, scenario
from smallest_proto.endpoints import ApiKey, UpgradeRequest, split_base_url, upgrade_request
from smallest_proto.events import NEED_DATA
from smallest_proto.lightning import LightningConnection, LightningOptions, lightning_options
from smallest_proto.pulse import PulseOptions, pulse_options
from smallest_proto.wire.events import UpgradeReceived
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire

TABLE: scenario.Table = {"path": ("/tts/live", "/stt/live", "/pulse/get_text", "/transcribe")}
SECRET = 24
"""Characters from which a key that shows is no coincidence."""


def fuzz(data: bytes) -> None:
    """Steps: `u` a base URL, `k` a key, `:` a header, `q` a query pair, anything else a request target."""
    settings, steps = scenario.parse(data, TABLE)
    base, key, pairs = "http://h", None, []
    headers: dict[str, str] = {}
    for kind, argument in steps:
        text = scenario.text(argument)
        before, _, after = text.partition(":")
        if kind == "u":
            base = text
        elif kind == "k":
            key = text
        elif kind == ":":
            headers[before] = after
        elif kind == "q":
            pairs.append((before, after))
        else:
            target(kind + text)
    secret = key.strip() if key is not None and len(key.strip()) >= SECRET else None
    if secret is not None and secret in " ".join((repr(base), repr(settings["path"]), *map(repr, headers))):
        secret = None  # whoever puts it there as well means it to be seen
    try:
        split_base_url(base)
        made = upgrade_request(
            base, settings["path"], pairs, api_key=None if key is None else ApiKey(key), headers=headers
        )
        wire = WebSocketWire(LightningConnection(LightningOptions()), made)
    except ValueError as error:
        invariants.refusal(error, secret)
        return
    assert secret is None or secret not in repr(made), "the key shows"
    written(wire, made)


def written(wire: WebSocketWire, made: UpgradeRequest) -> None:
    """What was asked for stands on the wire, and nothing beside it."""
    server = WebSocketServerWire()
    wire.connect(0.0)
    server.connect(0.0)
    data = wire.data_to_send()
    if len(data) > 16_000:
        return
    server.receive_data(data, 0.0)
    event = server.next_event()
    assert isinstance(event, UpgradeReceived), f"{data!r}: {event!r}"
    assert event.target == made.target
    asked = sorted((name.lower(), value.strip(" \t")) for name, value in made.headers)
    own = {"host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version"}
    assert sorted(pair for pair in event.headers if pair[0] not in own) == asked
    assert len(event.headers) == len(asked) + len(own)
    assert server.next_event() is NEED_DATA


def target(text: str) -> None:
    """A server that reads it gives options, None, or a ValueError to answer with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read, kind in ((pulse_options, PulseOptions), (lightning_options, LightningOptions)):
            try:
                found = read(text)
            except ValueError as error:
                invariants.refusal(error)
            else:
                assert found is None or isinstance(found, kind)
