"""Reading the events of a spoken answer, in every framing that was documented or seen.

Now: `{"audio":BASE64,"done":false,"status":"206"}`, then `{"status":"200","done":true}` [openapi tts],
[probe tts]. Before: audio without `done`, `{"done":true}` alone, and `{"status":"chunk","data":{"audio":...}}`
with `{"status":"complete"}`. They are told apart by value, so they may be mixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from smallest_proto.error_shapes import server_error
from smallest_proto.errors import ServerError
from smallest_proto.events import UnknownMessage
from smallest_proto.json_text import load_object, mapping, unknown
from smallest_proto.lightning.http_audio import invalid_audio

if TYPE_CHECKING:
    from smallest_proto.wire.sse import ServerSentEvent


class Frame(msgspec.Struct, frozen=True):
    """Audio, as many bytes as the server put into one event, and whether it was the last."""

    audio: bytes
    done: bool = False


Parsed: TypeAlias = Frame | ServerError | UnknownMessage


class _Frame(Frame, frozen=True):
    status: str = ""
    error: msgspec.UnsetType = msgspec.UNSET
    errors: msgspec.UnsetType = msgspec.UNSET
    error_code: msgspec.UnsetType = msgspec.UNSET
    type: msgspec.UnsetType = msgspec.UNSET
    data: msgspec.UnsetType = msgspec.UNSET


_decoder = msgspec.json.Decoder(_Frame)


def parse(event: ServerSentEvent) -> Parsed:
    """One event, as one of its kinds. Never raises because of what is in it."""
    if event.event != "error":
        try:
            frame = _decoder.decode(event.data)
        except (ValueError, RecursionError):
            pass
        else:
            if frame.status not in ("error", "complete"):
                return frame
    obj = load_object(event.data)
    if isinstance(obj, UnknownMessage):
        return server_error(event.data) if event.event == "error" else obj
    status = obj.get("status")
    if (
        event.event == "error"
        or "error" in (status, obj.get("type"))
        or any(obj.get(key) for key in ("error", "errors", "error_code"))
    ):
        return server_error(obj)
    audio = obj.get("audio")
    if audio is None:
        audio = mapping(obj.get("data")).get("audio")
    done = obj.get("done") is True or status == "complete"
    if audio is None and not done and status != "chunk":
        return unknown("neither audio nor done", event.data)
    try:
        return Frame(msgspec.convert("" if audio is None else audio, bytes), done)
    except msgspec.ValidationError:
        return invalid_audio("the audio of an event is not base64")
