"""What a server reads from the request of a Pulse client."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import msgspec

from smallest_proto.pulse.keywords import Keyword
from smallest_proto.pulse.options import WIRE_NAMES, PulseOptions
from smallest_proto.vendor import unwarned

_PATHS = (
    (re.compile(r".*/stt/live/?"), "live"),
    (re.compile(r".*/([A-Za-z0-9._-]+)/get_text/?"), "get_text"),
    (re.compile(r".*/transcribe/?"), "transcribe"),
)
_SWITCHES = {f.name for f in msgspec.structs.fields(PulseOptions) if f.type in (bool, bool | None)}


def pulse_options(target: str) -> PulseOptions | None:
    """The options that a client's request target (path and query) asks for.

    None when the path is not one of Pulse's; what precedes the known part is not looked at. Parameters that
    are not known are ignored, and any switch but the word `true` is off, as on the service [probe stt],
    [sdk 5.14].
    Raises ValueError, with a text fit for the client, for a missing or impossible value: answer 400.
    """
    path, _, query = target.partition("?")
    matches = ((pattern.fullmatch(path), endpoint) for pattern, endpoint in _PATHS)
    match, endpoint = next(((m, e) for m, e in matches if m), (None, ""))
    if match is None:
        return None
    sent = {k: v for k, v in parse_qsl(query, keep_blank_values=True) if k in WIRE_NAMES}
    values: dict[str, object] = {k: v == "true" if k in _SWITCHES else v for k, v in sent.items()}
    if "keywords" in sent:
        values["keywords"] = _keywords(sent["keywords"])
    if endpoint == "get_text":
        values["model"] = match[1]
    elif "model" not in values:
        raise ValueError("missing required query parameter: model; expected pulse")
    if values["model"] == "pulse-pro":
        raise ValueError("model='pulse-pro' has no streaming transport: expected pulse")
    with unwarned():
        return msgspec.convert(values | {"endpoint": endpoint}, PulseOptions, strict=False)


def _keywords(value: str) -> list[Keyword]:
    """`phrase[:boost]`, separated by commas [asyncapi stt-live]."""
    pairs: list[Keyword] = []
    for entry in value.split(","):
        phrase, colon, boost = entry.rpartition(":")
        try:
            pairs.append((phrase, float(boost)) if colon else entry)
        except ValueError:
            raise ValueError(f"keywords: {entry!r}: expected phrase or phrase:number") from None
    return pairs
