"""The catalogue of voices. It does not say which model a voice belongs to [openapi voices]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from smallest_proto.endpoints import BASE_URL, ApiKey
from smallest_proto.error_shapes import Headers, decode_body, server_error, tells_error
from smallest_proto.errors import RemoteProtocolError
from smallest_proto.events import Event, UnknownMessage
from smallest_proto.exchange import DocumentExchange, RequestFailed
from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.http_request import HttpRequest, http_request
from smallest_proto.json_text import load_object, mapping, objects, text, texts

PATH = "/lightning-v3.1/get_voices"
"""With the hyphen [openapi voices]; it answers with the voices of every model."""


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    """A voice: `voice_id` goes into `LightningOptions`. The rest is for people, "" or empty when not given."""

    voice_id: str
    display_name: str = ""
    languages: tuple[str, ...] = ()
    accent: str = ""
    gender: str = ""
    age: str = ""
    emotions: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()


class VoicesReceived(Event, frozen=True, kw_only=True):
    """The catalogue; the last event."""

    voices: tuple[Voice, ...]


VoicesEvent: TypeAlias = VoicesReceived | RequestFailed


def voices_request(
    *,
    api_key: ApiKey | None,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
) -> HttpRequest:
    """The GET of the catalogue; read its response with `VoicesExchange`, or a 200's body with `parse_voices`.

    Raises ValueError for a base URL or header that cannot be sent.
    """
    return http_request(base_url, PATH, (), method="GET", api_key=api_key, headers=headers)


def parse_voices(body: bytes) -> tuple[Voice, ...]:
    """The catalogue in the body of a 200. What is not a voice with an id is left out.

    Raises RemoteProtocolError when it is not a catalogue.
    """
    obj = load_object(body)
    if isinstance(obj, UnknownMessage):
        raise RemoteProtocolError(f"a catalogue of voices was expected, and the answer is {obj.reason}")
    if not isinstance(obj.get("voices"), list):
        raise RemoteProtocolError("a catalogue of voices was expected, and the answer has none")
    return tuple(_voice(v) for v in objects(obj["voices"]) if text(v.get("voiceId")))


def _voice(obj: Mapping[str, object]) -> Voice:
    tags = mapping(obj.get("tags"))
    return Voice(
        voice_id=text(obj.get("voiceId")),
        display_name=text(obj.get("displayName")),
        languages=texts(tags.get("language")),
        accent=text(tags.get("accent")),
        gender=text(tags.get("gender")),
        age=text(tags.get("age")),
        emotions=texts(tags.get("emotions")),
        use_cases=texts(tags.get("usecases")),
    )


class VoicesExchange(DocumentExchange):
    """Reads the response to a `voices_request`: one event, `VoicesReceived` or `RequestFailed`."""

    def _parse(self, status: int, headers: Headers, body: bytes) -> Event:
        try:
            return VoicesReceived(voices=parse_voices(body))
        except RemoteProtocolError as error:
            obj = decode_body(body)
            if isinstance(obj, dict) and tells_error(obj):
                return RequestFailed(error=server_error(obj, headers))
            return RequestFailed(error=error.with_traceback(None))  # the body is in reach of it


def voices_asked(method: str, target: str) -> bool:
    """Server role: whether a client asks for the catalogue. Answer with `voices_reply`."""
    return method == "GET" and target.partition("?")[0].rstrip("/").endswith(PATH)


def voices_reply(voices: Iterable[Voice]) -> HttpReply:
    """Server role: the catalogue."""
    return json_reply(200, {"voices": [_document(voice) for voice in voices]})


def _document(voice: Voice) -> dict[str, object]:
    tags = {
        "language": voice.languages,
        "accent": voice.accent,
        "gender": voice.gender,
        "age": voice.age,
        "emotions": voice.emotions,
        "usecases": voice.use_cases,
    }
    return {"voiceId": voice.voice_id, "displayName": voice.display_name, "tags": tags}
