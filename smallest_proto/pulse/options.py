"""Everything a Pulse stream can be asked for. It all travels in the URL: there is no start message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import NoneType
from typing import Literal, get_args

import msgspec

from smallest_proto import checks, vendor
from smallest_proto.audio import BYTES_PER_SAMPLE, COMPRESSED, SAMPLE_RATES, AudioFormat, Encoding
from smallest_proto.pulse.keywords import Keyword, normalise_keywords

Endpoint = Literal["get_text", "live", "transcribe"]
Compat = Literal["default", "seed"]

MOST_THRESHOLD = 1000.0
"""Nobody documents the range of `vad_threshold` [sdk 5.14]; this is far above anything sensible."""

ENCODINGS = (*BYTES_PER_SAMPLE, *sorted(COMPRESSED))


class PulseOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one stream. Alone it asks for exactly what [seed] asks for.

    A field left at None is not sent, and the server's own default applies. Settings cannot change on an open
    connection: make new options and a new connection.

    endpoint: `get_text` (the seed's path), `live` (the unified path), `transcribe` (a direct server, which
        takes no keepalive [lk 1.8.9]).
    sample_rate: Hz, and the true rate of the audio: the server never resamples.
    eou_timeout_ms: 100 to 10000; None or 0 leaves it out, and then the server's default of 800 ms applies
        (a literal 0 on the wire breaks the connection [lk pr 5953]).
    endpointing_timeout: ms of silence that end a segment; left out, the server takes 600 [lk 1.8.9].
    vad_events: the server sends `speech_started` and `speech_ended`.
    keywords: phrases to favour, each a string or a (phrase, boost) pair; useful boosts are 1 to 3.
    extra: further query parameters. The service ignores names it does not know, so a typo here is silent.

    compat: which table infers START and END of speech: `default` (newer client, repaired) or `seed` (exact).
    packet_ms: audio is re-cut to packets of this length, 20 to 200 ms; 50 is what every client sends.
    heartbeat: seconds of silence before a WebSocket ping; 5.0 as [seed], None for none.
    keepalive_interval: seconds without a client message before `{"type":"keepalive"}`; None for 5.0 on `live`
        and none elsewhere, 0 for none. `transcribe` allows none.
    include_raw: transcripts carry the whole server message as a dict in `raw`.

    Raises ValueError, naming the field, for a value the service cannot take. A model or language that is only
    unknown gives an `UnknownValueWarning`.
    """

    endpoint: Endpoint = "get_text"
    model: str = "pulse"
    language: str = "en"
    encoding: Encoding = "linear16"
    sample_rate: int = 16000
    word_timestamps: bool = True
    diarize: bool = False
    format: bool | None = None
    itn_normalize: bool | None = None
    sentence_timestamps: bool | None = None
    redact_pii: bool | None = None
    redact_pci: bool | None = None
    endpointing: bool | None = None
    vad_events: bool | None = None
    numerals: Literal["true", "false", "auto"] | None = None
    endpointing_timeout: int | None = None
    eou_timeout_ms: int | None = None
    finalize_on_words: bool | None = None
    max_words: int | None = None
    keywords: tuple[Keyword, ...] = ()
    punctuate: bool | None = None
    capitalize: bool | None = None
    full_transcript: bool | None = None
    no_format_delay: bool | None = None
    emotion_detection: bool | None = None
    gender_detection: bool | None = None
    vad_threshold: float | None = None
    vad_min_speech_ms: int | None = None
    external_session_id: str | None = None
    extra: Mapping[str, str] = {}

    compat: Compat = "default"
    packet_ms: int = 50
    heartbeat: float | None = 5.0
    keepalive_interval: float | None = None
    include_raw: bool = False

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name in _REQUIRED:
                check(name, value)
        msgspec.structs.force_setattr(self, "keywords", normalise_keywords("keywords", self.keywords))
        for name, value in self.extra.items():
            checks.text("extra: name", name)
            checks.text(f"extra[{name!r}]", value)
            if name in WIRE_NAMES:
                raise checks.refuse(f"extra[{name!r}]", value, f"the field {name} instead")
        if self.endpoint == "transcribe" and self.keepalive_interval:
            raise checks.refuse(
                "keepalive_interval", self.keepalive_interval, "None or 0 with endpoint 'transcribe'"
            )
        vendor.warn_unknown("model", self.model, vendor.PULSE_STREAMING_MODELS)
        vendor.warn_unknown("language", self.language, vendor.PULSE_STREAMING_LANGUAGES)

    @property
    def audio_format(self) -> AudioFormat:
        """Encoding and rate of the audio to send."""
        return _audio_format(self.encoding, self.sample_rate)

    @property
    def keepalive_seconds(self) -> float | None:
        """The keepalive interval in force, None for none."""
        if self.keepalive_interval is not None:
            return self.keepalive_interval or None
        return 5.0 if self.endpoint == "live" else None

    def query(self) -> list[tuple[str, str]]:
        """The query parameters in the order of [seed] and [lk 1.8.9], unset ones left out."""
        pairs = [("model", self.model)] if self.endpoint != "get_text" else []
        for name in WIRE_NAMES:
            value = getattr(self, name)
            omitted = value is None or value == () or (name == "eou_timeout_ms" and value == 0)
            if name != "model" and not omitted:
                pairs.append((name, encode_value(value)))
        return [*pairs, *self.extra.items()]


def encode_value(value: object) -> str:
    """One query value."""
    if isinstance(value, bool):
        return "true" if value else "false"  # the server compares with these words [sdk 5.14]
    if isinstance(value, tuple):
        return ",".join(f"{phrase}:{encode_value(boost)}" for phrase, boost in value)
    # 2.0 goes out as 2 [lk 1.8.9]
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)


def check_model(field: str, value: object) -> None:
    """A name that may stand in a path."""
    # It becomes a path segment, unescaped, on the seed's endpoint.
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value):
        raise checks.refuse(field, value, "a name of letters, digits, . _ and -")


def check_encoding(field: str, value: object) -> None:
    """One of the encodings, in the spelling that speech to text has for it."""
    if value == "ulaw":
        raise checks.refuse(field, value, "'mulaw': 'ulaw' is how text to speech spells it")
    checks.one_of(field, value, ENCODINGS)


def _eou(field: str, value: object) -> None:
    if value != 0 or isinstance(value, bool):
        checks.integer(field, value, 100, 10000)


def check_mapping(field: str, value: object) -> None:
    """A mapping; what is in it is not looked at."""
    if not isinstance(value, Mapping):
        raise checks.refuse(field, value, "a mapping of names to strings")


_CHECKS: dict[str, checks.Check] = {
    "endpoint": checks.choice("get_text", "live", "transcribe"),
    "model": check_model,
    "language": checks.text,
    "encoding": check_encoding,
    "sample_rate": checks.choice(*SAMPLE_RATES),
    "numerals": checks.choice("true", "false", "auto"),
    "endpointing_timeout": checks.whole(0),
    "eou_timeout_ms": _eou,
    "max_words": checks.whole(1),
    "vad_threshold": lambda field, value: checks.number(field, value, 0, MOST_THRESHOLD),
    "vad_min_speech_ms": checks.whole(0),
    "external_session_id": checks.correlation_id,
    "extra": check_mapping,
    "compat": checks.choice("default", "seed"),
    "packet_ms": checks.whole(20, 200),
    "heartbeat": checks.positive,
    "keepalive_interval": checks.at_least(0),
}


_CHECKS |= {
    field.name: checks.boolean
    for field in msgspec.structs.fields(PulseOptions)
    if field.type in (bool, bool | None)
}
_REQUIRED = {f.name for f in msgspec.structs.fields(PulseOptions) if NoneType not in get_args(f.type)}
_LOCAL = {"endpoint", "extra", "compat", "packet_ms", "heartbeat", "keepalive_interval", "include_raw"}
WIRE_NAMES = tuple(name for name in PulseOptions.__struct_fields__ if name not in _LOCAL)
"""Every other field stands on the wire under its own name."""


@lru_cache(maxsize=64)
def _audio_format(encoding: Encoding, sample_rate: int) -> AudioFormat:
    """One for all streams alike."""
    return AudioFormat(encoding, sample_rate)
