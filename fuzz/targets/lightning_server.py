"""A Lightning server that meets any client, and any caller."""

from __future__ import annotations

from typing import Any

import msgspec

from fuzz import scenario
from fuzz.session import Session
from smallest_proto.events import Role, UnknownMessage
from smallest_proto.lightning import (
    KeepAlive,
    LightningConnection,
    LightningOptions,
    SendAudio,
    SendComplete,
    SendError,
    SendWord,
)
from smallest_proto.lightning.decode import parse

TABLE: scenario.Table = {"idle_timeout": (None, 1, 20), "eager": (True, False)}
KINDS: dict[bytes, tuple[Any, dict[str, Any]]] = {
    b"w": (SendWord, {"word": "w", "start": 0.0, "end": 1.0}),
    b"c": (SendComplete, {}),
    b"e": (SendError, {"message": "no"}),
}


def command(argument: bytes) -> object:
    """`a` and audio, or a letter of `KINDS` and fields as JSON, of any type; anything else is misuse."""
    if argument[:1] == b"a":
        return SendAudio(argument[1:])
    if argument[:1] not in KINDS:
        return (KeepAlive(), None, SendAudio("text"), SendAudio(b""))[len(argument) % 4]  # type: ignore[arg-type]  # on purpose
    kind, fields = KINDS[argument[:1]]
    given = scenario.value(argument[1:])
    known = given if isinstance(given, dict) else {}
    return kind(**fields | {k: v for k, v in known.items() if k in kind.__struct_fields__})


def fuzz(data: bytes) -> None:
    """One end, nothing beyond bounds, and every message it writes is one that the client understands."""
    settings, steps = scenario.parse(data, TABLE)
    options = LightningOptions(idle_timeout=settings["idle_timeout"])
    runs = [
        Session(LightningConnection(options, Role.SERVER), command, eager=eager) for eager in (True, False)
    ]
    for run in runs:
        run.run(steps)
    assert runs[0].events == runs[1].events, "when things are taken out must change nothing"
    for message in runs[0].sent:
        assert isinstance(message, str)
        assert isinstance(msgspec.json.decode(message), dict)
        assert not isinstance(parse(message), UnknownMessage), f"our own client does not know {message!r}"
