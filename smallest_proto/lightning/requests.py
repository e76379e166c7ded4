"""Server role: reading what a client sends, whichever of the protocols it speaks.

Optional fields of the wrong type count as missing. What a synthesis cannot do without, or would get wrong in
silence, makes the message invalid, as for [probe tts]: `voice_id`, `text`, a sample rate, a speed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

import msgspec

from smallest_proto.checks import CORRELATION_ID
from smallest_proto.events import UnknownMessage
from smallest_proto.json_text import load_object, number
from smallest_proto.lightning.options import SAMPLE_RATES
from smallest_proto.lightning.setup import SynthesisSetup


class Part(Enum):
    """What a message asks for. One message may ask for text and an end."""

    SPEECH = "whole text"
    FRAGMENT = "piece of text"
    FLUSH = "flush"
    END = "end of the text"
    CANCEL = "cancel request"
    KEEP_ALIVE = "keep-alive"


class Request(msgspec.Struct, frozen=True):
    """A client message. `context_id` is "" where the protocol has none."""

    parts: tuple[Part, ...]
    context_id: str
    text: str
    setup: SynthesisSetup


def parse_request(message: str | bytes) -> Request | str:
    """The request in a message, or what is wrong with it, in words for the client."""
    obj = load_object(message)
    if isinstance(obj, UnknownMessage):
        return f"invalid message: {obj.reason}"
    setup = read_setup(obj)
    if isinstance(setup, str):
        return setup
    context_id = obj.get("context_id", "")
    if not isinstance(context_id, str):
        return "context_id must be a string"
    if obj.get("cancel_request") is True:
        return Request((Part.CANCEL,), context_id, "", setup)
    text = obj.get("text")
    if not isinstance(text, str):
        return "text is required"
    parts = _parts(obj, context_id, text)
    return Request(parts, context_id, text, setup) if parts else "text must not be empty"


def _parts(obj: Mapping[str, object], context_id: str, text: str) -> tuple[Part, ...]:
    more, flush = obj.get("continue") is True, obj.get("flush") is True
    if more or flush or context_id:
        end = (Part.FLUSH,) if more and flush else () if more else (Part.END,)
        return (Part.FRAGMENT, *end) if text or not end else end
    if text.strip():
        return (Part.SPEECH,)
    return (Part.KEEP_ALIVE,) if text else ()


def read_setup(obj: Mapping[str, object]) -> SynthesisSetup | str:
    """The settings that were understood, or what makes them unusable."""
    voice = obj.get("voice_id")
    if not isinstance(voice, str) or not voice:
        return "voice_id is required"
    rate = obj.get("sample_rate", SAMPLE_RATES[-1])
    if type(rate) is not int or rate not in SAMPLE_RATES:
        return "sample_rate must be one of " + ", ".join(map(str, SAMPLE_RATES))
    speed = obj.get("speed", 1.0)
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.5 <= speed <= 2.0:
        return "speed must be a number from 0.5 to 2.0"
    filtered = obj.get("content_filter")
    asked = {name: obj[name] for name in _TYPES if name in obj and _fits(obj[name], _TYPES[name])}
    for name in ("session_id", "request_id"):
        value = obj.get(name)
        if isinstance(value, str) and CORRELATION_ID.fullmatch(value):  # echoed in every answer, so bounded
            asked[name] = value
    if (
        isinstance(filtered, dict)
        and filtered.get("enabled") is True
        and isinstance(filtered.get("action"), str)
    ):
        asked["content_filter"] = filtered["action"]
    dicts = obj.get("pronunciation_dicts")
    if isinstance(dicts, list) and all(isinstance(entry, str) for entry in dicts):
        asked["pronunciation_dicts"] = dicts
    return msgspec.convert(
        asked | {"voice_id": voice, "sample_rate": rate, "speed": float(speed)}, SynthesisSetup, strict=True
    )


_TYPES: Mapping[str, type] = {
    "model": str,
    "language": str,
    "word_timestamps": bool,
    "number_pronunciation_language": str,
    "math_notation": bool,
    "complete_backoff_ms": float,
    "max_buffer_flush_ms": int,
    "max_buffer_delay_ms": int,
}


def _fits(value: object, kind: type) -> bool:
    if kind is float:
        return number(value) is not None
    return type(value) is kind
