"""The HTTP requests of Lightning: a whole text for audio (`/tts`), or for a stream of events (`/tts/live`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import msgspec

from smallest_proto import checks
from smallest_proto.endpoints import BASE_URL, ApiKey
from smallest_proto.http_request import HttpRequest, http_request
from smallest_proto.lightning.options import LightningOptions

OutputFormat = Literal["pcm", "mp3", "wav", "ulaw", "alaw"]
OUTPUT_FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)

PATH = "/tts"
EVENTS_PATH = "/tts/live"
"""[openapi tts]; an upgrade of the same URL opens a WebSocket."""

HTTP_NAMES = (
    *("number_pronunciation_language", "math_notation", "pronunciation_dicts", "content_filter"),
    *("session_id", "request_id"),
)
"""Optional keys of the body; every other one is the WebSocket's alone [openapi tts]."""


def speech_request(
    text: str,
    options: LightningOptions = LightningOptions(),
    *,
    output_format: OutputFormat = "pcm",
    api_key: ApiKey | None,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
) -> HttpRequest:
    """The POST that has `text` spoken; its response is the audio. Read it with `SpeechExchange`.

    The service advises at most 250 characters, and sets no limit. `word_timestamps`, `text_mode` and the other
    options that are the WebSocket's alone are left out. Raises ValueError for a blank text, for an
    `output_format` that does not exist ("mulaw" is "ulaw" here), for a base URL or header that cannot be sent.
    """
    check_output_format("output_format", output_format)
    return _request(PATH, text, options, output_format, api_key, base_url, {}, headers)


def speech_stream_request(
    text: str,
    options: LightningOptions = LightningOptions(),
    *,
    api_key: ApiKey | None,
    base_url: str = BASE_URL,
    headers: Mapping[str, str] | None = None,
) -> HttpRequest:
    """As `speech_request`, for server-sent events with PCM inside: read them with `SpeechEventsExchange`.

    There is no choice of format: what was asked as mp3 came as PCM [probe tts].
    """
    accept = {"Accept": "text/event-stream"}
    return _request(EVENTS_PATH, text, options, "pcm", api_key, base_url, accept, headers)


def check_output_format(field: str, value: object) -> None:
    """One of the formats, in the spelling that text to speech has for it."""
    if value == "mulaw":
        raise checks.refuse(field, value, "'ulaw': 'mulaw' is how speech to text spells it")
    checks.one_of(field, value, OUTPUT_FORMATS)


def _request(
    path: str,
    text: str,
    options: LightningOptions,
    output_format: OutputFormat,
    api_key: ApiKey | None,
    base_url: str,
    ours: Mapping[str, str],
    headers: Mapping[str, str] | None,
) -> HttpRequest:
    checks.text("text", text)
    expiry = {"x-expire-content": "true"} if options.expire_content else {}
    return http_request(
        base_url,
        path,
        (),
        api_key=api_key,
        headers={**ours, **expiry, **(headers or {})},
        body=msgspec.json.encode(_body(text, options, output_format)),
        content_type="application/json",
    )


def _body(text: str, options: LightningOptions, output_format: OutputFormat) -> dict[str, object]:
    """The keys and order of [seed], then what else was set."""
    language = {} if options.language is None else {"language": options.language}
    body: dict[str, object] = {
        "model": options.model,
        "voice_id": options.voice,
        "sample_rate": options.sample_rate,
        "speed": options.speed,
        **language,
        "output_format": output_format,
        "text": text,
    }
    for name in HTTP_NAMES:
        value = getattr(options, name)
        if name == "content_filter" and value is not None:
            value = {"enabled": True, "action": value}  # [pipecat 1.14]
        if value not in (None, ()):
            body[name] = value
    return {**body, **{k: v for k, v in options.extra.items() if k != "output_format"}}
