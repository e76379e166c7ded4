"""Options: what they refuse, what they only warn of, and how they reach the wire."""

from __future__ import annotations

import math
from typing import Any

import pytest

from smallest_proto.endpoints import ApiKey
from smallest_proto.lightning import LightningOptions, lightning_options, lightning_request
from smallest_proto.vendor import UnknownValueWarning

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

REFUSED: dict[str, list[Any]] = {
    "model": ["", " ", 5, b"en", None],
    "voice_id": ["", " ", 5, b"en"],
    "sample_rate": [16001, 22050, 24000.0, "24000", True, None],
    "speed": [0.49, 2.01, math.nan, math.inf, "1", True, None],
    "language": ["", " ", 5, b"en"],
    "text_mode": ["contexts", None, 1],
    "word_timestamps": [1, None, "true"],
    "math_notation": ["true"],
    "number_pronunciation_language": [""],
    "pronunciation_dicts": ["d1", {"d1"}, [""], (5,), None],
    "content_filter": ["block", True, {}],
    "session_id": ["", "a b", "x" * 129, 5],
    "request_id": ["", "a b", "x" * 129, 5],
    "complete_backoff_ms": [-1, 10_001, math.nan, True, "1"],
    "max_buffer_flush_ms": [-1, 1001, 0.5, None, True],
    "max_buffer_delay_ms": [-1, 5001, 0.5, True],
    "idle_timeout": [0, -1, 1.5, True],
    "expire_content": [1, None],
    "linger": [-0.1, math.inf, None, "x"],
    "silence_limit": [0, -1, math.nan, None],
    "first_audio_timeout": [0, -1, math.nan, None],
    "heartbeat": [0, -1, math.inf, True],
    "keepalive_interval": [0, -1, math.inf, True],
    "extra": [
        *(None, [], "a", {"": 1}, {5: 1}, {"a": math.nan}, {"a": object()}, {"a": (1,)}),
        *({"a": "\ud800"}, {"a": ENDLESS}, {"a": 1j}),
    ],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in REFUSED.items() for v in values])
def test_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field) as caught:
        LightningOptions(**{field: value})
    assert "expected" in str(caught.value)


def test_every_option_has_its_refusals() -> None:
    assert set(REFUSED) == set(LightningOptions.__struct_fields__)


def test_a_key_that_has_a_field_is_refused_in_extra() -> None:
    for name in ("text", "continue", "voice_id", "context_id", "cancel_request"):
        with pytest.raises(ValueError, match=name):
            LightningOptions(extra={name: 1})
    with pytest.raises(ValueError, match="pcm"):
        LightningOptions(extra={"output_format": "mp3"})


def test_the_voice_follows_the_model() -> None:
    assert LightningOptions().voice_id == "meher"
    assert LightningOptions(model="lightning_v3.1").voice_id == "sophia"
    assert LightningOptions(model="lightning_v3.1", voice_id="magnus").voice == "magnus"


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "lightning_v9"},
        {"voice_id": "nobody"},
        {"voice_id": "sophia"},  # of the other model
        {"language": "tlh"},
        {"model": "lightning_v3.1", "language": "ja"},  # of the other model
        {"number_pronunciation_language": "tlh"},
    ],
)
def test_unknown_values_warn_and_pass(settings: dict[str, Any]) -> None:
    with pytest.warns(UnknownValueWarning, match=list(settings)[-1]):
        options = LightningOptions(**settings)
    assert {name: getattr(options, name) for name in settings} == settings


def test_an_unknown_model_is_the_only_thing_to_warn_of() -> None:
    with pytest.warns(UnknownValueWarning) as caught:
        assert LightningOptions(model="x", voice_id="y", language="z").voice == "y"
    assert len(caught) == 1


def test_cloned_voices_are_known() -> None:
    LightningOptions(model="lightning_v3.1", voice_id="voice_abc")


def test_request() -> None:
    request = lightning_request(LightningOptions(), api_key=ApiKey("k"), base_url="wss://h:1/x/")
    assert (request.host, request.port, request.target) == ("h", 1, "/x/tts/live")
    assert ("Authorization", "Bearer k") in request.headers
    assert "x-expire-content" not in dict(request.headers)
    options = LightningOptions(idle_timeout=5, expire_content=True)
    request = lightning_request(options, api_key=None, headers={"X-Mine": "1"})
    assert request.target == "/waves/v1/tts/live?timeout=5"
    assert dict(request.headers).items() >= {"x-expire-content": "true", "X-Mine": "1"}.items()


@pytest.mark.parametrize(("query", "timeout"), [("", None), ("?timeout=5", 5), ("?a=b", None)])
def test_accept(query: str, timeout: int | None) -> None:
    for path in ("/tts/live", "/waves/v1/tts/live/"):
        options = lightning_options(path + query)
        assert options is not None
        assert options.idle_timeout == timeout


def test_accept_refuses() -> None:
    assert lightning_options("/tts/lives") is None
    for value in ("0", "-1", "1.5", "x", "", "٣", "9" * 10):
        with pytest.raises(ValueError, match="timeout"):
            lightning_options("/tts/live?timeout=" + value)
