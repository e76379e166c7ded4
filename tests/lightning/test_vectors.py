"""The session vectors of Lightning: at the client end, and what the server end makes of the client's frames."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from smallest_proto.events import NEED_DATA, Role
from smallest_proto.lightning import (
    CancelContext,
    FinishContext,
    FlushText,
    KeepAlive,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendComplete,
    SendText,
    Speak,
    lightning_options,
    lightning_request,
)
from smallest_proto.lightning.states import CLIENT, ClientInput, State
from vectors_runner import Adapter, check, load, mismatch, rows, to_json, visits

COMMANDS: Mapping[str, Callable[..., object]] = {
    "open": OpenContext,
    "text": SendText,
    "finish": FinishContext,
    "flush": FlushText,
    "cancel": CancelContext,
    "speak": Speak,
    "keep_alive": KeepAlive,
}


def connect(options: Mapping[str, Any], variant: str) -> LightningConnection:
    assert variant == "default"
    return LightningConnection(LightningOptions(**options))


def target(options: Mapping[str, Any]) -> str:
    return lightning_request(LightningOptions(**options), api_key=None).target


LIGHTNING = Adapter(connect=connect, commands=COMMANDS, target=target)
VECTORS = load("lightning")
IDS = [vector["id"] for vector in VECTORS]


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_client(vector: dict[str, Any]) -> None:
    check(vector, "default", LIGHTNING)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_server_reads_what_the_client_writes(vector: dict[str, Any]) -> None:
    asked = lightning_options(vector.get("target", "/tts/live"))
    assert asked is not None
    server = LightningConnection(asked, Role.SERVER)
    events = []
    text = ""
    for step in vector["steps"]:
        if "client" in step:
            message = step["client"]["text"]
            server.receive_message(json.dumps(message), step["at"])
            text += message.get("text", "").strip()
        elif step.get("server", {}).get("text", {}).get("status") == "complete" and not server.reusable:
            server.send(SendComplete(), step["at"])
            server.messages_to_send()
        while (event := server.next_event()) is not NEED_DATA:
            events.append(to_json(event))
    spoken = "".join(e.get("text", "").strip() for e in events)
    assert not server.messages_to_send()  # nothing to complain about
    assert spoken == text
    expected = vector.get("server_events", [{} for _ in events])
    assert len(events) == len(expected)
    for e, a in zip(expected, events, strict=True):
        assert mismatch(e, a) is None


# Deadlines that are off in that state, and verdicts that the policy cannot give there.
OFF = {ClientInput.LINGER_OVER, ClientInput.SILENCE_OVER, ClientInput.FIRST_AUDIO_OVER}
NO_CONTEXT = {State.IDLE, State.SPENT, State.CLOSED}
NEVER = (
    {(state, given) for state in State for given in OFF if not CLIENT[state, given].actions}
    | {(state, ClientInput.KEEP_ALIVE_DUE) for state in (State.SPENT, State.CLOSED)}
    | {
        (state, given)
        for state in NO_CONTEXT
        for given in (ClientInput.PROBABLE_END, ClientInput.CERTAIN_END)
    }
    | {(State.PENDING, ClientInput.RELEASE), (State.LINGERING, ClientInput.CERTAIN_END)}
)


@pytest.mark.interpreted
def test_the_vectors_visit_every_row_that_can_be_reached() -> None:
    with visits() as seen:
        for vector in VECTORS:
            check(vector, "default", LIGHTNING)
    missing = {(state, given) for _, state, given in rows(CLIENT) - seen} - NEVER
    assert not missing, sorted(f"{state.name} x {given.name}" for state, given in missing)
