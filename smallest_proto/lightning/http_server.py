"""Server role of Lightning over HTTP: reading what a client asks, and writing every answer that there is.

The audio of `/tts` is a body of its own; what goes round it is here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import msgspec

from smallest_proto.error_shapes import Headers, find_header
from smallest_proto.events import UnknownMessage
from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.json_text import load_object
from smallest_proto.lightning.http_request import OUTPUT_FORMATS, OutputFormat
from smallest_proto.lightning.requests import read_setup
from smallest_proto.lightning.setup import SynthesisSetup

Framing: TypeAlias = Literal["current", "older", "nested"]
"""How events are written: as the service does now, without `done` until the end, or as over a WebSocket."""

ContentExpiry: TypeAlias = Literal["applied", "not-entitled", "unavailable"]

_PATH = re.compile(r".*/tts(/live)?/?")


class SpeechAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for: `text` spoken with `setup`, as a body in `output_format` or as `events`.

    Send `speech_headers` and the audio; for events `audio_event` for each piece and then `done_event`.
    """

    text: str
    setup: SynthesisSetup
    output_format: OutputFormat = "pcm"
    events: bool = False
    expire_content: bool = False


def speech_asked(method: str, target: str, headers: Headers, body: bytes) -> SpeechAsked | HttpReply | None:
    """The request of a client, or the reply (400) to send at once. Never raises because of the client.

    None when it is not one of Lightning's paths, or not a POST; what precedes the known part of the path is not
    looked at, and neither are credentials. Whether the voice exists is for the caller to say: `voice_refusal`.
    An `output_format` is ignored for events, which carry PCM only [probe tts].
    """
    match = _PATH.fullmatch(target.partition("?")[0])
    if match is None or method != "POST":
        return None
    obj = load_object(body)
    if isinstance(obj, UnknownMessage):
        return _refusal(f"invalid body: {obj.reason}")
    text = obj.get("text")
    if not isinstance(text, str) or not text.strip():
        return _refusal("text is required")
    setup = read_setup(obj)
    if isinstance(setup, str):
        return _refusal(setup)
    events, wanted = match[1] is not None, obj.get("output_format", "pcm")
    output_format = next((known for known in OUTPUT_FORMATS if known == wanted), "pcm" if events else None)
    if output_format is None:
        return _format_refusal(wanted)
    return SpeechAsked(
        text=text,
        setup=setup,
        output_format="pcm" if events else output_format,
        events=events,
        expire_content=find_header(headers, "x-expire-content").lower() == "true",
    )


def _refusal(message: str) -> HttpReply:
    return json_reply(400, {"error": "InvalidRequest", "message": message})  # [openapi tts]


def _format_refusal(received: object) -> HttpReply:
    """The validation list of [probe tts]."""
    item = {
        "received": received[:100] if isinstance(received, str) else None,
        "code": "invalid_enum_value",
        "options": ("wav", "ulaw", "alaw", "pcm", "mp3"),
        "path": ("output_format",),
        "message": "Invalid enum value",
    }
    return json_reply(400, {"error": (item,)})


def voice_refusal() -> HttpReply:
    """The reply for a voice that does not exist [probe tts]."""
    return json_reply(
        400, {"error": [{"code": "custom", "path": ["voice_id"], "message": "Invalid Voice ID"}]}
    )


def deprecated_refusal(endpoint: str) -> HttpReply:
    """The reply on a path that was retired; `endpoint` is the one to use instead [changelog 05-19]."""
    body = {
        "status": "error",
        "error_code": "MODEL_DEPRECATED",
        "message": "model retired",
        "recommended_endpoint": endpoint,
    }
    return json_reply(410, body)


def busy_refusal(retry_after: int) -> HttpReply:
    """The reply when too much is spoken at once; seconds [docs error-reference]."""
    return json_reply(429, {"error": "Too many concurrent requests"}, [("Retry-After", str(retry_after))])


def failure_reply(status: int, error: str, message: str) -> HttpReply:
    """Any other refusal, such as 401 `Unauthorized` or 500 `InternalServerError` [openapi tts]."""
    return json_reply(status, {"error": error, "message": message})


def speech_headers(
    asked: SpeechAsked,
    *,
    request_id: str,
    session_id: str,
    content_expiry: ContentExpiry | None = None,
) -> tuple[tuple[str, str], ...]:
    """The headers of a 200. The type is what the service says of every format [probe tts].

    The client's own ids are echoed, and are empty when it gave none [openapi tts].
    """
    setup = asked.setup
    expiry: Iterable[tuple[str, str]] = ()
    if asked.expire_content and content_expiry is not None:
        expiry = [("x-content-expiry", content_expiry)]
    return (
        ("Content-Type", "text/event-stream" if asked.events else "audio/wav"),
        ("X-Request-Id", request_id),
        ("X-Session-Id", session_id),
        ("X-External-Request-Id", _echo(setup.request_id)),
        ("X-External-Session-Id", _echo(setup.session_id)),
        *expiry,
    )


def _echo(value: str | None) -> str:
    """The client's id, if it can stand in a header."""
    return value if value is not None and re.fullmatch(r"[a-zA-Z0-9_\-.]{1,128}", value) else ""


def audio_event(pcm: bytes, framing: Framing = "current") -> bytes:
    """One piece of audio, of any number of bytes, as a server-sent event."""
    bodies: Mapping[Framing, Mapping[str, object]] = {
        "current": {"audio": pcm, "done": False, "status": "206"},
        "older": {"audio": pcm},
        "nested": {"status": "chunk", "data": {"audio": pcm}},
    }
    return _event(bodies[framing], "audio" if framing == "current" else None)


def done_event(framing: Framing = "current") -> bytes:
    """The event that says that the audio is complete."""
    bodies: Mapping[Framing, Mapping[str, object]] = {
        "current": {"status": "200", "done": True},
        "older": {"done": True},
        "nested": {"status": "complete"},
    }
    return _event(bodies[framing])


def error_event(message: str, code: str | None = None) -> bytes:
    """The event of a synthesis that failed after it began."""
    named = {} if code is None else {"error_code": code}
    return _event({"status": "error", **named, "message": message})


def _event(body: Mapping[str, object], name: str | None = None) -> bytes:
    from smallest_proto.wire.sse import encode_event  # its package loads h11, needless elsewhere

    return encode_event(msgspec.json.encode(body).decode(), name)
