"""What Lightning can be asked for over a WebSocket: it travels in every message, not in the URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from smallest_proto import checks, vendor

TextMode = Literal["context", "continue", "segment"]

SAMPLE_RATES = (8000, 16000, 24000, 44100)
"""Hz; 44100 is native, and what the service takes when none is asked for [openapi tts]."""

SERVER_IDLE_TIMEOUT = 60
"""Seconds without a client message after which the service closes [asyncapi tts-ws]; older text says 20."""

WIRE_NAMES = frozenset(
    {
        *("text", "voice_id", "model", "sample_rate", "speed", "language", "number_pronunciation_language"),
        *("math_notation", "pronunciation_dicts", "word_timestamps", "session_id", "request_id"),
        *("content_filter", "continue", "flush", "max_buffer_flush_ms", "complete_backoff_ms", "context_id"),
        *("max_buffer_delay_ms", "cancel_request"),
    }
)
"""Keys of a request that have a field or a command of their own."""


class LightningOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one connection. Alone they ask for what [lk 1.8.9] asks for.

    A field left at None is not sent, and the server's own default applies.

    voice_id: None takes `meher` for `lightning_v3.1_pro` and `sophia` for any other model [seed].
    sample_rate: Hz of the 16-bit little-endian mono PCM that comes back.
    language: what the text is written in; None lets the server decide.
    text_mode: how text reaches the server. `context` sends fragments of one context, released sentence by
        sentence with the prosody carried over [lk 1.8.9]; `continue` is the older continue/flush protocol,
        one synthesis of many fragments; `segment` sends one whole text for each synthesis.
    word_timestamps: ask for a `WordTimestamp` for each word; a few voices in en and hi have them.
    session_id, request_id: your own ids, which the server echoes and stores.
    complete_backoff_ms: 0 to 10000 ms from the last chunk to `complete`; the server takes 4000 when left out.
    max_buffer_flush_ms: `continue` only, 0 to 1000 ms: speak what has gathered after that time; 0 for never.
    max_buffer_delay_ms: `context` only, 0 to 5000 ms: the longest that text waits for its sentence to end.
    idle_timeout: whole seconds without a message from us before the server closes. Put into the URL.
    expire_content: ask the service to delete the text after about 7 days (enterprise accounts).
    extra: further keys for every message, each with a JSON value.

    linger: seconds to wait, after a `complete` that may be the last, for more audio.
    silence_limit: seconds without a frame after which a context that was heard counts as ended, unconfirmed.
    first_audio_timeout: seconds without a frame after which a context that was never heard has failed.
    heartbeat: seconds of silence before a WebSocket ping; None for none, as [lk 1.8.9].
    keepalive_interval: seconds without a message from us before a blank text is sent [pipecat 1.14]; None for
        never. An idle connection is otherwise closed by the server.

    Raises ValueError, naming the field, for a value the service cannot take. A model, voice or language that
    is only unknown gives an `UnknownValueWarning`.
    """

    model: str = "lightning_v3.1_pro"
    voice_id: str | None = None
    sample_rate: int = 24000
    speed: float = 1.0
    language: str | None = "en"
    text_mode: TextMode = "context"
    word_timestamps: bool = False
    number_pronunciation_language: str | None = None
    math_notation: bool | None = None
    pronunciation_dicts: Sequence[str] = ()
    content_filter: Literal["reject", "flag"] | None = None
    session_id: str | None = None
    request_id: str | None = None
    complete_backoff_ms: float | None = None
    max_buffer_flush_ms: int = 0
    max_buffer_delay_ms: int | None = 3000
    idle_timeout: int | None = None
    expire_content: bool = False
    extra: Mapping[str, object] = {}

    linger: float = 0.25
    silence_limit: float = 5.0
    first_audio_timeout: float = 10.0
    heartbeat: float | None = None
    keepalive_interval: float | None = None

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name in _REQUIRED:
                check(name, value)
        msgspec.structs.force_setattr(self, "speed", float(self.speed))  # the wire shows 1.0, never 1
        msgspec.structs.force_setattr(self, "pronunciation_dicts", tuple(self.pronunciation_dicts))
        if self.voice_id is None:
            msgspec.structs.force_setattr(self, "voice_id", default_voice(self.model))
        vendor.warn_unknown("model", self.model, vendor.LIGHTNING_MODELS)
        if self.model in vendor.LIGHTNING_MODELS:
            vendor.warn_voice(self.model, self.voice)
            for name in ("language", "number_pronunciation_language"):
                if (value := getattr(self, name)) is not None:
                    vendor.warn_unknown(name, value, vendor.LIGHTNING_LANGUAGES[self.model])

    @property
    def voice(self) -> str:
        """The voice in force."""
        return self.voice_id or default_voice(self.model)


def default_voice(model: str) -> str:
    """The voice that [seed] takes for a model when none is given."""
    return "meher" if model == "lightning_v3.1_pro" else "sophia"


def _dicts(field: str, value: object) -> None:
    if not isinstance(value, tuple | list):
        raise checks.refuse(field, value, "a tuple of dictionary ids")
    for i, entry in enumerate(value):
        checks.text(f"{field}[{i}]", entry)


def _extra(field: str, value: object) -> None:
    if not isinstance(value, Mapping):
        raise checks.refuse(field, value, "a mapping of names to JSON values")
    for name, item in value.items():
        checks.text(f"{field}: name", name)
        if name in WIRE_NAMES:
            raise checks.refuse(f"{field}[{name!r}]", item, f"the field or command for {name} instead")
        if name == "output_format" and item != "pcm":
            raise checks.refuse(f"{field}[{name!r}]", item, "'pcm': a WebSocket carries nothing else")
        if not _is_json({name: item}):
            raise checks.refuse(
                f"{field}[{name!r}]", item, "a JSON value: str, number, bool, None, list or dict"
            )


def _is_json(value: object) -> bool:
    try:
        # NaN becomes null and a tuple a list on the way: only what comes back equal is JSON.
        return bool(msgspec.json.decode(msgspec.json.encode(value)) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _milliseconds(high: int) -> checks.Check:
    return lambda field, value: checks.number(field, value, 0, high)


_CHECKS: dict[str, checks.Check] = {
    "model": checks.text,
    "voice_id": checks.text,
    "sample_rate": checks.choice(*SAMPLE_RATES),
    "speed": lambda field, value: checks.number(field, value, 0.5, 2.0),
    "language": checks.text,
    "text_mode": checks.choice("context", "continue", "segment"),
    "word_timestamps": checks.boolean,
    "number_pronunciation_language": checks.text,
    "math_notation": checks.boolean,
    "pronunciation_dicts": _dicts,
    "content_filter": checks.choice("reject", "flag"),
    "session_id": checks.correlation_id,
    "request_id": checks.correlation_id,
    "complete_backoff_ms": _milliseconds(10_000),
    "max_buffer_flush_ms": checks.whole(0, 1000),
    "max_buffer_delay_ms": checks.whole(0, 5000),
    "idle_timeout": checks.whole(1),
    "expire_content": checks.boolean,
    "extra": _extra,
    "linger": checks.at_least(0),
    "silence_limit": checks.positive,
    "first_audio_timeout": checks.positive,
    "heartbeat": checks.positive,
    "keepalive_interval": checks.positive,
}
_OPTIONAL = {
    *("voice_id", "language", "number_pronunciation_language", "math_notation", "content_filter"),
    *("session_id", "request_id", "complete_backoff_ms", "max_buffer_delay_ms", "idle_timeout"),
    *("heartbeat", "keepalive_interval"),
}
_REQUIRED = _CHECKS.keys() - _OPTIONAL
