"""The session vectors of Pulse, and the proof that they visit every row of every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
import pytest

from smallest_proto.events import Role
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    ErrorMessage,
    Finalize,
    Flush,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    TranscriptMessage,
    VadMessage,
    pulse_request,
)
from smallest_proto.pulse.messages import PongMessage
from smallest_proto.pulse.speech_tables import DEFAULT, SEED
from smallest_proto.pulse.states import CLIENT, SERVER
from vectors_runner import Adapter, cases, check, rows, visits


def message(kind: type, **fields: Any) -> Any:
    return msgspec.convert(fields, kind)


COMMANDS: Mapping[str, Callable[..., object]] = {
    "audio": lambda bytes: Audio(b"\0" * bytes),
    "finalize": Finalize,
    "flush": Flush,
    "close_stream": CloseStream,
    "keepalive": KeepAlive,
    "transcript": partial(message, TranscriptMessage),
    "vad": partial(message, VadMessage),
    "error": partial(message, ErrorMessage),
    "pong": PongMessage,
}


def options(given: Mapping[str, Any], mode: str = "default") -> PulseOptions:
    return msgspec.convert({**given, "compat": mode}, PulseOptions)


def connect(
    given: Mapping[str, Any], mode: str, previous: Any = None, role: Role = Role.CLIENT
) -> PulseConnection:
    settings = dict(given)
    limits = Limits(**settings.pop("limits", {}))
    return PulseConnection(options(settings, mode), role, limits=limits, previous=previous)


def target(given: Mapping[str, Any]) -> str:
    return pulse_request(options(given), api_key=None).target


PULSE = Adapter(connect, COMMANDS, target, serve=partial(connect, role=Role.SERVER), replace=connect)
CASES = list(cases("pulse"))


@pytest.mark.parametrize(("vector", "mode"), CASES, ids=[f"{v['id']}-{mode}" for v, mode in CASES])
def test_session(vector: dict[str, Any], mode: str) -> None:
    check(vector, mode, PULSE)


@pytest.mark.interpreted
def test_the_vectors_visit_every_row_of_every_table() -> None:
    with visits() as seen:
        for vector, mode in CASES:
            check(vector, mode, PULSE)
    names = {id(SEED): "SEED", id(DEFAULT): "DEFAULT", id(CLIENT): "CLIENT", id(SERVER): "SERVER"}
    missing = rows(SEED, DEFAULT, CLIENT, SERVER) - seen
    assert not missing, sorted(f"{names[t]}: {s.name} x {i.name}" for t, s, i in missing)
