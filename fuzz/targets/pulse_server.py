"""A Pulse server that meets any client, and any caller."""

from __future__ import annotations

import warnings
from typing import Any

import msgspec

from fuzz import scenario
from fuzz.session import Session
from smallest_proto.events import ConnectionClosed, Role, UnknownMessage
from smallest_proto.pulse import (
    AudioReceived,
    ErrorMessage,
    Finalize,
    PongMessage,
    PulseConnection,
    PulseOptions,
    TranscriptMessage,
    VadMessage,
)

TABLE: scenario.Table = {"endpoint": ("get_text", "live", "transcribe"), "eager": (True, False)}
KINDS: dict[bytes, Any] = {b"t": TranscriptMessage, b"v": VadMessage, b"e": ErrorMessage, b"p": PongMessage}


def command(argument: bytes) -> object:
    """A letter of `KINDS` and the fields as JSON, of any type; anything else is misuse.

    Not `type` and `status`, which the class says, but for the two kinds of VAD.
    """
    kind, given = KINDS.get(argument[:1]), scenario.value(argument[1:])
    if kind is None or not isinstance(given, dict):
        return Finalize()
    own = {"type": "speech_started"} if kind is VadMessage else {}
    names = {*kind.__struct_fields__, *own} - ({"type", "status"} - own.keys())
    return kind(**own | {k: v for k, v in given.items() if k in names})


def fuzz(data: bytes) -> None:
    """One end, audio as it came, and every message it writes is one that the client understands."""
    settings, steps = scenario.parse(data, TABLE)
    eager = settings.pop("eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = PulseOptions(**settings)
    session = Session(PulseConnection(options, Role.SERVER), command, eager=eager)
    session.run(steps)
    audio = [e.audio for e in session.events if isinstance(e, AudioReceived)]
    assert audio == [s.argument for s in steps if s.kind == "="][: len(audio)]
    client = PulseConnection(options)
    for message in session.sent:
        assert isinstance(msgspec.json.decode(message), dict)
        client.receive_message(message, 0.0)
    client.receive_close(1000, "", 0.0)
    while not isinstance(event := client.next_event(), ConnectionClosed):
        assert not isinstance(event, UnknownMessage), f"our own client does not know {event!r}"
