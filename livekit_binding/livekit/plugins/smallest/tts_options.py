"""From the plugin's arguments to what the machines take: URLs, languages, text modes, waiting times."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec
from livekit.agents import NOT_GIVEN, LanguageCode, NotGivenOr
from livekit.agents.utils import is_given

from smallest_proto import checks
from smallest_proto.lightning import LightningOptions, OutputFormat
from smallest_proto.lightning.http_request import OUTPUT_FORMATS, check_output_format
from smallest_proto.lightning.options import TextMode
from smallest_proto.lightning.request import PATH

T = TypeVar("T")

SMALLEST_BASE_URL = "https://api.smallest.ai/waves/v1"
SMALLEST_WS_URL = "wss://api.smallest.ai/waves/v1/tts/live"

NO_AUDIO = "Smallest AI: no audio came for the text"
"""Said before the framework does, whose own words repeat the text."""

Newer: TypeAlias = tuple[NotGivenOr[object], ...]
"""The streaming arguments that came after the seed."""


def checked_format(value: str) -> OutputFormat:
    """One of the formats of `synthesize`; ValueError for any other."""
    check_output_format("output_format", value)
    return next(known for known in OUTPUT_FORMATS if known == value)


def wire_language(language: str) -> str:
    """The base code, as both LiveKit clients send it: `en` for `en-US` or `English`."""
    checks.text("language", language)
    return LanguageCode(language).language


def chosen_mode(asked: NotGivenOr[TextMode], use_continuations: NotGivenOr[bool], newer: Newer) -> TextMode:
    """How text reaches the server.

    The seed's arguments alone give its one message for each segment; any of the newer streaming ones give the
    newer plugin's default, a context [lk 1.8.9].
    """
    if is_given(asked):
        return asked
    if is_given(use_continuations):
        checks.boolean("use_continuations", use_continuations)
        return "context" if use_continuations else "continue"
    return "context" if any(is_given(value) for value in newer) else "segment"


def websocket_base_url(ws_url: NotGivenOr[str], base_url: str) -> str:
    """What `ws_url` is on; it follows `base_url` unless given. ValueError unless it ends in `/tts/live`."""
    if not is_given(ws_url):
        return base_url
    bare = ws_url.rstrip("/")
    if not bare.endswith(PATH):
        raise ValueError(f"ws_url={ws_url!r}: expected a URL that ends in {PATH}")
    return bare.removesuffix(PATH)


def with_timeout(options: LightningOptions, timeout: float) -> LightningOptions:
    """These options, waiting as long for the server as LiveKit's `APIConnectOptions.timeout` (seconds) says.

    A context keeps the shorter wait of `LightningOptions`: no frame marks its end for certain.
    """
    silence = min(options.silence_limit, timeout) if options.text_mode == "context" else timeout
    return msgspec.structs.replace(options, first_audio_timeout=timeout, silence_limit=silence)


def given_or(value: NotGivenOr[T], default: T) -> T:
    """The value, or the default when it was not given."""
    return value if is_given(value) else default


def changed(options: LightningOptions, **changes: NotGivenOr[object]) -> LightningOptions:
    """The options with those changes that were given. Raises ValueError as `LightningOptions` does."""
    return msgspec.structs.replace(
        options, **{name: value for name, value in changes.items() if value is not NOT_GIVEN}
    )
