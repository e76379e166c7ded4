"""What an `STT` can be asked for: the arguments of the seed and of the newer plugin, as options of our machines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, Self, TypedDict

import msgspec
from livekit.agents import NOT_GIVEN, NotGivenOr
from livekit.agents.types import NotGiven

from smallest_proto import checks
from smallest_proto.audio import Encoding
from smallest_proto.pulse import BatchOptions, PulseOptions
from smallest_proto.pulse.options import Endpoint
from smallest_proto.vendor import unwarned

STREAM_PATHS: Mapping[str, Endpoint] = {"/stt/live": "live", "/transcribe": "transcribe"}
"""The paths of [lk 1.8.9]; the seed's is `/{model}/get_text`."""

RECORDINGS_ONLY = "pulse-pro"
"""Refused before the upgrade [asyncapi stt-live]."""

_NEWER_DEFAULTS: Mapping[str, Any] = {
    "format": True,
    "itn_normalize": False,
    "sentence_timestamps": False,
    "redact_pii": False,
    "redact_pci": False,
    "endpointing": True,
    "vad_events": True,
    "endpointing_timeout": 300,
}
"""What [lk 1.8.9] sends unless told otherwise."""

_NEWER_HEARTBEAT = 30.0
"""Seconds between pings [lk 1.8.9]; the seed's 5 s are the machine's default."""

_FORWARDED: tuple[Encoding, ...] = ("linear16", "linear32", "alaw", "mulaw")
"""LiveKit has 16-bit samples: these can be made of them. Opus would need an encoder."""


class ChangeableOptions(TypedDict, total=False):
    """The arguments that `update_options` takes; NOT_GIVEN leaves one as it is."""

    model: NotGivenOr[str]
    language: NotGivenOr[str]
    sample_rate: NotGivenOr[int]
    encoding: NotGivenOr[Encoding | str]
    eou_timeout_ms: NotGivenOr[int | None]
    format: NotGivenOr[bool]
    itn_normalize: NotGivenOr[bool]
    keywords: NotGivenOr[Sequence[tuple[str, float] | str]]
    sentence_timestamps: NotGivenOr[bool]
    redact_pii: NotGivenOr[bool]
    redact_pci: NotGivenOr[bool]
    endpointing: NotGivenOr[bool]
    endpointing_timeout_ms: NotGivenOr[int | None]
    vad_events: NotGivenOr[bool]
    finalize_on_flush: NotGivenOr[bool]


class RecognitionOptions(ChangeableOptions, total=False):
    """All arguments of the constructor that say what to recognise, and how."""

    endpoint: NotGivenOr[Endpoint]
    stream_path: NotGivenOr[str]
    word_timestamps: bool
    diarize: bool
    numerals: NotGivenOr[bool | Literal["true", "false", "auto"]]
    finalize_on_words: NotGivenOr[bool]
    max_words: NotGivenOr[int]
    keepalive_interval: NotGivenOr[float | None]
    heartbeat: NotGivenOr[float | None]
    extra: NotGivenOr[Mapping[str, str]]


class SttOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one stream. Equal options mean the same connection: nothing has to be opened anew.

    pulse: what goes on the wire. finalize_on_flush: `flush()` asks for a final [lk 1.8.9]; the seed does not.
    """

    pulse: PulseOptions
    finalize_on_flush: bool

    @classmethod
    def create(cls, given: RecognitionOptions) -> Self:
        """From the constructor's arguments. Raises ValueError naming the argument."""
        endpoint = _endpoint(given.get("endpoint", NOT_GIVEN), given.get("stream_path", NOT_GIVEN))
        seed = endpoint == "get_text"
        values: dict[str, Any] = {} if seed else {"heartbeat": _NEWER_HEARTBEAT, **_NEWER_DEFAULTS}
        values |= {"endpoint": endpoint} | _translate(given)
        # the seed's tables know no VAD message: who asks for them wants the newer ones
        values["compat"] = "seed" if seed and not values.get("vad_events") else "default"
        finalize = _switch(given)
        return cls(
            pulse=_pulse(values),
            finalize_on_flush=not seed if finalize is NOT_GIVEN else bool(finalize),
        )

    def changed(self, given: ChangeableOptions) -> Self:
        """These options with others of `update_options`. Raises ValueError naming the argument."""
        if unknown := given.keys() - ChangeableOptions.__annotations__.keys():
            expected = ", ".join(ChangeableOptions.__annotations__)
            raise TypeError(f"cannot be changed: {', '.join(sorted(unknown))}; expected {expected}")
        finalize = _switch(given)
        values = _translate(given)
        if self.pulse.endpoint == "get_text" and "vad_events" in values:
            values["compat"] = "default" if values["vad_events"] else "seed"
        return msgspec.structs.replace(
            self,
            pulse=_pulse({**msgspec.structs.asdict(self.pulse), **values}) if values else self.pulse,
            finalize_on_flush=self.finalize_on_flush if finalize is NOT_GIVEN else bool(finalize),
        )

    def needs_new_connection(self, other: SttOptions) -> bool:
        """Whether a stream with these options cannot go on with the others: they travel in the URL."""
        return self.pulse != other.pulse

    def check_streaming(self) -> None:
        """Raise ValueError for a model that has no streaming transport."""
        if self.pulse.model == RECORDINGS_ONLY:
            raise ValueError(
                "model='pulse-pro' cannot stream: expected 'pulse', or recognize() for a recording"
            )

    def batch(self) -> BatchOptions:
        """The same for a whole recording. The seed's path on the seed's endpoint, the unified one elsewhere."""
        pulse = self.pulse
        common: dict[str, Any] = {
            "model": pulse.model,
            "language": pulse.language,
            "word_timestamps": pulse.word_timestamps,
            "diarize": pulse.diarize,
        }
        if pulse.endpoint == "get_text":
            rate, encoding = pulse.sample_rate, pulse.encoding
            return BatchOptions(
                endpoint="get_text", compat=pulse.compat, encoding=encoding, sample_rate=rate, **common
            )
        # encoding and sample_rate are ignored there [livetest encoding]: the WAV says both
        return BatchOptions(endpoint="stt", **common)


def _endpoint(endpoint: NotGivenOr[Endpoint], stream_path: NotGivenOr[str]) -> Endpoint:
    if isinstance(stream_path, NotGiven):
        return "get_text" if isinstance(endpoint, NotGiven) else endpoint
    named = STREAM_PATHS.get("/" + str(stream_path).strip("/"))
    if named is None:
        raise ValueError(f"stream_path={stream_path!r}: expected one of {', '.join(STREAM_PATHS)}")
    if endpoint not in (NOT_GIVEN, named):
        raise ValueError(f"endpoint={endpoint!r} and stream_path={stream_path!r}: expected one of the two")
    return named


def _switch(given: ChangeableOptions) -> NotGivenOr[bool]:
    finalize = given.get("finalize_on_flush", NOT_GIVEN)
    if finalize is not NOT_GIVEN:
        checks.boolean("finalize_on_flush", finalize)
    return finalize


def _translate(given: ChangeableOptions | RecognitionOptions) -> dict[str, Any]:
    """The arguments that were given, under the names and with the values that `PulseOptions` has for them."""
    values: dict[str, Any] = {
        name: value
        for name, value in given.items()
        if value is not NOT_GIVEN and name not in ("endpoint", "stream_path", "finalize_on_flush")
    }
    if "endpointing_timeout_ms" in values:
        values["endpointing_timeout"] = values.pop("endpointing_timeout_ms")
    if isinstance(keywords := values.get("keywords"), Sequence) and not isinstance(keywords, str):
        values["keywords"] = tuple(keywords)
    if isinstance(numerals := values.get("numerals"), bool):
        values["numerals"] = "true" if numerals else "false"
    keepalive = values.get("keepalive_interval", 1)
    if keepalive is None or (isinstance(keepalive, int | float) and keepalive < 0):
        values["keepalive_interval"] = 0  # off [lk 1.8.9]
    if values.get("eou_timeout_ms") == 0:
        values["eou_timeout_ms"] = None  # 0 is never sent [seed]
    return values


def _pulse(values: Mapping[str, Any]) -> PulseOptions:
    encoding = values.get("encoding", _FORWARDED[0])
    if encoding not in _FORWARDED:
        raise ValueError(f"encoding={encoding!r}: expected one of {', '.join(_FORWARDED)}")
    # a model for recordings is no surprise here: `stream` refuses it
    with unwarned() if values.get("model") == RECORDINGS_ONLY else nullcontext():
        try:
            return PulseOptions(**values)
        except ValueError as error:  # which knows it by another name
            raise ValueError(re.sub("^endpointing_timeout=", "endpointing_timeout_ms=", str(error))) from None
