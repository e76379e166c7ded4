"""What a spoken answer over HTTP tells its user, streamed as a body or as server-sent events.

Audio of the format `pcm` comes as `AudioChunk`, as it does over a WebSocket; `context_id` is "" there.
"""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.error_shapes import Headers, find_header
from smallest_proto.events import Event, UnknownMessage
from smallest_proto.exchange import RequestFailed
from smallest_proto.lightning.events import AudioChunk
from smallest_proto.lightning.http_request import OutputFormat
from smallest_proto.lightning.http_sniff import Container


class EncodedAudio(Event, frozen=True, kw_only=True):
    """Some bytes of the audio in the format that was asked for. How they are cut means nothing."""

    data: bytes
    output_format: OutputFormat
    request_id: str = ""


class SpeechComplete(Event, frozen=True, kw_only=True):
    """All audio was handed out; the last event.

    `size` is its bytes and `seconds` its length, None where only a decoder knows (mp3). `container` is what
    the bytes were found to be, mostly `raw`, `wav` or `mp3`, None without any: asked for as `pcm`, a WAV was
    unwrapped. `request_id` and `session_id` are the server's; the `external_` ones echo yours. Each is "" when
    not given. `content_expiry` answers `expire_content`: `applied`, `not-entitled` or `unavailable`, None when
    the server says nothing.
    """

    size: int
    seconds: float | None
    output_format: OutputFormat = "pcm"
    container: Container | None = None
    request_id: str = ""
    session_id: str = ""
    external_request_id: str = ""
    external_session_id: str = ""
    content_expiry: str | None = None


SpeechEvent: TypeAlias = AudioChunk | EncodedAudio | UnknownMessage | SpeechComplete | RequestFailed


def complete(
    headers: Headers,
    size: int,
    seconds: float | None,
    output_format: OutputFormat = "pcm",
    container: Container | None = None,
) -> SpeechComplete:
    """The last event, with what the headers say [openapi tts], [changelog 08-04]."""
    headers = tuple(headers)
    return SpeechComplete(
        size=size,
        seconds=seconds,
        output_format=output_format,
        container=container,
        request_id=find_header(headers, "x-request-id"),
        session_id=find_header(headers, "x-session-id"),
        external_request_id=find_header(headers, "x-external-request-id"),
        external_session_id=find_header(headers, "x-external-session-id"),
        content_expiry=find_header(headers, "x-content-expiry") or None,
    )
