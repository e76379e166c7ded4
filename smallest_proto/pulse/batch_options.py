"""What Pulse can be asked for with a whole recording. It all travels in the URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from smallest_proto import checks, vendor
from smallest_proto.audio import SAMPLE_RATES, Encoding
from smallest_proto.pulse.options import Compat, check_encoding, check_mapping, check_model, encode_value

BatchEndpoint = Literal["stt", "get_text"]


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one recording's transcription. A field left at None is not sent: the service's default holds.

    endpoint: `stt`, the unified path [openapi stt], or `get_text`, the seed's [openapi pulse].
    model: `pulse`, or `pulse-pro` for English [openapi stt].
    language: what is spoken; pulse-pro transcribes `en` only.
    word_timestamps: words with times, and on pulse utterances; costs pulse-pro a third of its speed.
    diarize: tell speakers apart; pulse only, by the specification.
    redact_pii, redact_pci: replace private or card data; `en` and `hi`. On `stt` only.
    format, punctuate, capitalize: shape of the text. On `get_text` only.
    encoding, sample_rate: what [seed] sends, on `get_text` only; None sends linear16 and 16000 there. The
        service looks at the file's own header instead [livetest encoding].
    webhook_url: where the service sends the result; the answer is then `BatchAccepted`. The documents disagree
        on whether pulse takes it too: an answer with the result itself is taken as that.
    webhook_method: how it is called; on `stt` only. webhook_extra: pairs that come back with it.
    expire_content: ask the service to delete the text after about 7 days (enterprise accounts); `stt` only.
    extra: further query parameters. The service ignores names it does not know, so a typo here is silent.

    compat: how a response is read: `default`, or `seed`, which takes any 2xx for a transcript [seed].
    include_raw: the result carries the whole answer as a dict in `raw`.

    Raises ValueError, naming the field, for a value the service cannot take. A model or language that is only
    unknown gives an `UnknownValueWarning`.
    """

    endpoint: BatchEndpoint = "stt"
    model: str = "pulse"
    language: str = "en"
    encoding: Encoding | None = None
    sample_rate: int | None = None
    word_timestamps: bool | None = True
    diarize: bool | None = False
    redact_pii: bool | None = None
    redact_pci: bool | None = None
    emotion_detection: bool | None = None
    gender_detection: bool | None = None
    format: bool | None = None
    punctuate: bool | None = None
    capitalize: bool | None = None
    webhook_url: str | None = None
    webhook_method: Literal["GET", "POST"] | None = None
    webhook_extra: Mapping[str, str] = {}
    extra: Mapping[str, str] = {}
    expire_content: bool = False

    compat: Compat = "default"
    include_raw: bool = False

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if value is not None or name in _REQUIRED:
                check(name, value)
        for name, endpoint in _ONLY.items():
            value = getattr(self, name)
            if endpoint != self.endpoint and value not in _UNSAID[endpoint]:
                raise checks.refuse(name, value, f"it left out: only endpoint={endpoint!r} has it")
        for name in ("webhook_method", "webhook_extra"):
            if self.webhook_url is None and getattr(self, name):
                raise checks.refuse(name, getattr(self, name), "it left out without a webhook_url")
        for name, value in self.extra.items():
            checks.text("extra: name", name)
            checks.text(f"extra[{name!r}]", value)
            if name in WIRE_NAMES:
                raise checks.refuse(f"extra[{name!r}]", value, f"the field {name} instead")
        vendor.warn_unknown("model", self.model, vendor.PULSE_BATCH_MODELS)
        if self.model in vendor.PULSE_BATCH_MODELS:
            vendor.warn_unknown("language", self.language, vendor.PULSE_BATCH_LANGUAGES[self.model])

    def query(self) -> list[tuple[str, str]]:
        """The query parameters, on `get_text` in the order of [seed], unset ones left out."""
        seed = {"encoding": "linear16", "sample_rate": 16000} if self.endpoint == "get_text" else {}
        pairs = [("model", self.model)] if self.endpoint == "stt" else []
        for name in WIRE_NAMES:
            value = getattr(self, name)
            value = seed.get(name) if value is None else value
            if name != "model" and value is not None and value != {}:
                pairs.append((name, _join(value) if isinstance(value, Mapping) else encode_value(value)))
        return [*pairs, *self.extra.items()]


def _join(pairs: Mapping[str, str]) -> str:
    return ",".join(f"{name}:{value}" for name, value in pairs.items())  # [openapi stt]


def check_url(field: str, value: object) -> None:
    """An http or https URL that the service can reach from outside [openapi stt]."""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[^\s/?#]+[!-~]*", value, re.IGNORECASE):
        shown = value[:200] if isinstance(value, str) else value  # a server sends this back
        raise checks.refuse(field, shown, "a public http:// or https:// URL")


def _pairs(field: str, value: object) -> None:
    check_mapping(field, value)
    assert isinstance(value, Mapping)
    for name, item in value.items():
        for part in (name, item):
            checks.text(f"{field}[{name!r}]", part)
            if "," in part or ":" in part:
                raise checks.refuse(f"{field}[{name!r}]", item, "names and values without , and :")


_CHECKS: dict[str, checks.Check] = {
    "endpoint": checks.choice("stt", "get_text"),
    "model": check_model,
    "language": checks.text,
    "encoding": check_encoding,
    "sample_rate": checks.choice(*SAMPLE_RATES),
    "webhook_url": check_url,
    "webhook_method": checks.choice("GET", "POST"),
    "webhook_extra": _pairs,
    "extra": check_mapping,
    "compat": checks.choice("default", "seed"),
}
_CHECKS |= {
    field.name: checks.boolean
    for field in msgspec.structs.fields(BatchOptions)
    if field.type in (bool, bool | None)
}
_REQUIRED = {
    *("endpoint", "model", "language", "webhook_extra", "extra", "expire_content", "compat", "include_raw")
}
_ONLY: dict[str, BatchEndpoint] = {
    **dict.fromkeys(("encoding", "sample_rate", "format", "punctuate", "capitalize"), "get_text"),
    **dict.fromkeys(("redact_pii", "redact_pci", "webhook_method", "expire_content"), "stt"),
}
"""Fields that one endpoint does not document [openapi stt], [openapi pulse], [changelog 08-04]."""

_LOCAL = {"endpoint", "extra", "expire_content", "compat", "include_raw"}
_UNSAID: dict[BatchEndpoint, tuple[object, ...]] = {"get_text": (None,), "stt": (None, False)}
"""Values of those fields that say no more than the other endpoint does: what `stt` alone has is off by default."""

WIRE_NAMES = tuple(name for name in BatchOptions.__struct_fields__ if name not in _LOCAL)
"""Every other field stands on the wire under its own name."""
