"""What the vendor is known to offer: data for warnings, never for refusals.

Lists in different documents disagree, and on-premises servers and contracts differ, so an unknown value is
passed on with an `UnknownValueWarning` [docs languages], [asyncapi stt-live], [openapi tts].
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager


@contextmanager
def unwarned() -> Iterator[None]:
    """No warnings in here: what a client asks for is no business of the server's user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class UnknownValueWarning(UserWarning):
    """A model, language or voice that this library does not know. It is sent as it is."""


class VoicePairingWarning(UnknownValueWarning):
    """A voice of another model. The service does not refuse it: it speaks garbled text [docs voices]."""


class RegionWarning(UserWarning):
    """A language that the host of the base URL is known not to serve. The request is made all the same."""


def warn_unknown(field: str, value: str, known: Collection[str], *, stacklevel: int = 3) -> None:
    """Warn when `value` is not among `known`."""
    if value not in known:
        warnings.warn(
            f"{field}={value!r} is not known here and is sent as it is; known: {', '.join(known)}",
            UnknownValueWarning,
            stacklevel=stacklevel,
        )


PULSE_STREAMING_MODELS = ("pulse", "pulse-2")
"""`pulse-2` appears in [pipecat 1.14] only; `pulse-pro` is batch only and refused before the upgrade."""

PULSE_STREAMING_LANGUAGES = (
    *("en", "hi", "de", "es", "ru", "it", "fr", "nl", "pt", "zh", "yue", "ja", "ko", "gu", "mr", "or", "bn"),
    *("ta", "te", "kn", "ml", "north_indic", "multi-asian", "multi-south-indic", "multi-eu", "multi"),
)
"""21 codes and the aggregators [asyncapi stt-live]; the last two are withdrawn, yet answered [probe stt]."""

US_ONLY_LANGUAGES = frozenset({"zh", "yue", "ja", "ko", "multi-asian"})
"""Streaming needs the US host; the default host closes without a word [asyncapi pulse-ws]."""

INDIA_ONLY_LANGUAGES = frozenset({"ta", "te", "kn", "ml", "multi-south-indic"})
"""Streaming needs the default host [changelog 06-29]."""

PULSE_BATCH_MODELS = ("pulse", "pulse-pro")

_PULSE_BATCH_LANGUAGES = (
    *("en", "hi", "de", "es", "ru", "it", "fr", "nl", "pt", "uk", "pl", "cs", "sk", "lv", "et", "ro", "fi"),
    *("sv", "bg", "hu", "da", "lt", "mt", "zh", "ja", "ko", "multi-eu", "multi-asian", "multi-indic"),
)
PULSE_BATCH_LANGUAGES = {"pulse": _PULSE_BATCH_LANGUAGES, "pulse-pro": ("en",)}
"""26 codes and the aggregators [openapi stt], [openapi pulse]; Pro takes others and answers anything."""

INDIA_ONLY_BATCH_LANGUAGES = frozenset({"multi-indic"})
"""Batch needs the default host [openapi stt]; no code is said to need the US one."""

UNSPACED_LANGUAGES = frozenset({"zh", "yue", "ja"})
"""Finals of these are joined without a space."""

LIGHTNING_MODELS = ("lightning_v3.1", "lightning_v3.1_pro")
"""The hyphen spellings belong to paths and voice cloning, not to this field [openapi tts]."""

_LIGHTNING_STANDARD_LANGUAGES = (
    *("en", "es", "fr", "de", "it", "nl", "sv", "pt", "pl", "ru", "hi", "mr", "gu", "pa", "bn", "or", "ta"),
    *("te", "kn", "ml", "auto"),
)
LIGHTNING_LANGUAGES = {
    "lightning_v3.1": _LIGHTNING_STANDARD_LANGUAGES,
    "lightning_v3.1_pro": (
        *_LIGHTNING_STANDARD_LANGUAGES,
        *("el", "fi", "no", "zh", "ja", "ko", "id", "ms", "vi", "tr", "ar"),
    ),
}
"""20 and 31 codes, and `auto` [openapi tts], [changelog 07-21]."""

_LIGHTNING_WORD_TIMESTAMP_VOICES = ("meher", "devansh", "kartik", "maithili", "liam", "avery")
LIGHTNING_VOICES = {
    "lightning_v3.1": (
        *("sophia", "jordan", "robert", "johnny", "lucas", "magnus", "ronald", "blofeld", "zorin", "felix"),
        *("malcolm", "lauren", "hannah", "vanessa", "brooke", "olivia", "rachel", "nicole", "elizabeth"),
        *("ilsa", "christine", "sunidhi", "chinmayi", "aanya", "siya", "maya", "wasim", "rehan", "parth"),
        *("marcos", "daniella", "jeevan", "rajeshwari", "srihari", "padmaja", "pranav", "deepashri"),
        *("vaisakh", "shibi", "nilesh", "rupali", "dhruvit", "niharika"),
        *_LIGHTNING_WORD_TIMESTAMP_VOICES,
    ),
    "lightning_v3.1_pro": (
        *("kaitlyn", "savannah", "amelia", "zoe", "ruby", "leah", "jenna", "kate", "molly", "sara", "fiona"),
        *("blake", "austin", "henry", "jack", "leo", "luke", "owen", "sophie", "ellie", "cressida"),
        *("ottilie", "elowen", "seraphina", "sam", "benedict", "cormac", "rupert", "finley", "rhea"),
        *("zariya", "kareena", "mishka", "inaaya", "saira", "aarini", "aviraj", "vyom", "zoravar"),
        *("reyansh", "ahan", "malar", "nila", "dinesh", "hanna", "max", "manon", "louis", "aria", "jasper"),
        *("vivian", "dylan", "june", "layla", "adam"),
        *_LIGHTNING_WORD_TIMESTAMP_VOICES,
    ),
}
"""The documented names; the catalogue has more [docs voices]. A voice of the other model garbles text."""

LIGHTNING_CLONE_PREFIX = "voice_"
"""Cloned voices have ids of their own, on the standard model."""


def warn_voice(model: str, voice: str) -> None:
    """Warn when `voice` is another model's, or not known. `model` is one of `LIGHTNING_MODELS`."""
    others = [m for m in LIGHTNING_MODELS if m != model and voice in LIGHTNING_VOICES[m]]
    if voice.startswith(LIGHTNING_CLONE_PREFIX) or voice in LIGHTNING_VOICES[model]:
        return
    if others:
        warnings.warn(
            f"voice_id={voice!r} is a voice of model={others[0]!r} and speaks garbled text with {model!r}",
            VoicePairingWarning,
            stacklevel=3,
        )
        return
    warn_unknown("voice_id", voice, LIGHTNING_VOICES[model], stacklevel=4)
