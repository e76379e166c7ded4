"""What a `TTS` is made of: its arguments, and what is refused."""

from __future__ import annotations

import inspect

import pytest

from livekit.plugins.smallest.tts import TTS
from livekit.plugins.smallest.tts_options import SMALLEST_BASE_URL, SMALLEST_WS_URL
from livekit_speech import KEY
from smallest_proto.lightning import LightningOptions, lightning_request

SEED = {
    "api_key": None,
    "model": "lightning_v3.1_pro",
    "voice_id": None,
    "sample_rate": 24000,
    "speed": 1.0,
    "language": "en",
    "output_format": "pcm",
    "base_url": SMALLEST_BASE_URL,
    "http_session": None,
}
NEWER = {"word_timestamps", "max_buffer_flush_ms", "use_continuations", "max_buffer_delay_ms", "ws_url"}
CHANGEABLE = {"model", "voice_id", "speed", "sample_rate", "language", "output_format"} | NEWER - {"ws_url"}


def test_the_arguments_are_those_of_the_seed_and_of_the_newer_plugin() -> None:
    given = dict(inspect.signature(TTS).parameters)
    assert all(p.kind is p.KEYWORD_ONLY for p in given.values())
    assert {name: given[name].default for name in SEED} == SEED
    assert given.keys() >= NEWER
    assert inspect.signature(TTS.update_options).parameters.keys() >= CHANGEABLE


def test_alone_it_is_the_seed() -> None:
    tts = TTS(api_key="k")
    assert (tts.model, tts.provider, tts.sample_rate, tts.num_channels) == (
        "lightning_v3.1_pro",
        "SmallestAI",
        24000,
        1,
    )
    assert tts.capabilities.streaming
    assert not tts.capabilities.aligned_transcript
    assert tts.lightning_options == LightningOptions(text_mode="segment")
    where = lightning_request(tts.lightning_options, api_key=None, base_url=tts.server.ws_base_url)
    assert f"wss://{where.host}{where.target}" == SMALLEST_WS_URL


@pytest.mark.parametrize(
    ("arguments", "mode"),
    [
        ({}, "segment"),
        ({"use_continuations": True}, "context"),
        ({"use_continuations": False}, "continue"),
        ({"word_timestamps": True}, "context"),
        ({"max_buffer_delay_ms": 100}, "context"),
        ({"max_buffer_flush_ms": 100}, "context"),
        ({"use_continuations": False, "max_buffer_flush_ms": 100}, "continue"),
        ({"text_mode": "segment", "word_timestamps": True}, "segment"),
        ({"text_mode": "continue"}, "continue"),
    ],
)
def test_how_text_reaches_the_server(arguments: dict[str, object], mode: str) -> None:
    tts = TTS(api_key="k", **arguments)  # type: ignore[arg-type]  # parametrized
    assert tts.lightning_options.text_mode == mode


@pytest.mark.parametrize(
    ("language", "wire"), [("en-US", "en"), ("English", "en"), ("hi", "hi"), ("auto", "auto"), ("hin", "hi")]
)
def test_only_the_base_language_is_sent(language: str, wire: str) -> None:
    assert TTS(api_key="k", language=language).lightning_options.language == wire


def test_the_voice_goes_with_the_first_model_and_stays() -> None:
    tts = TTS(api_key="k", model="lightning_v3.1")
    assert tts.lightning_options.voice == "sophia"
    with pytest.warns(UserWarning, match="sophia"):
        tts.update_options(model="lightning_v3.1_pro")
    assert (tts.model, tts.lightning_options.voice) == ("lightning_v3.1_pro", "sophia")


def test_the_websocket_follows_the_base_url_unless_told_otherwise() -> None:
    assert TTS(api_key="k", base_url="http://a.test/w").server.ws_base_url == "http://a.test/w"
    tts = TTS(api_key="k", base_url="http://a.test/w", ws_url="wss://b.test/x/tts/live/")
    assert (tts.server.base_url, tts.server.ws_base_url) == ("http://a.test/w", "wss://b.test/x")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"sample_rate": 16001}, "sample_rate"),
        ({"speed": 3.0}, "speed"),
        ({"output_format": "mulaw"}, "output_format"),
        ({"language": ""}, "language"),
        ({"text_mode": "words"}, "text_mode"),
        ({"use_continuations": "yes"}, "use_continuations"),
        ({"max_buffer_delay_ms": 6000}, "max_buffer_delay_ms"),
        ({"max_buffer_flush_ms": -1}, "max_buffer_flush_ms"),
        ({"ws_url": "wss://b.test/x"}, "ws_url"),
        ({"base_url": "b.test"}, "base_url"),
        ({"word_timestamps": 1}, "word_timestamps"),
    ],
)
def test_what_the_service_cannot_take_is_refused_by_name(arguments: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TTS(api_key="k", **arguments)  # type: ignore[arg-type]  # parametrized


def test_a_refused_change_changes_nothing() -> None:
    tts = TTS(api_key="k")
    before = tts.lightning_options
    with pytest.raises(ValueError, match="speed"):
        tts.update_options(sample_rate=8000, speed=9.0, output_format="wav")
    assert (tts.lightning_options, tts.sample_rate, tts.output_format) == (before, 24000, "pcm")


def test_changes_show() -> None:
    tts = TTS(api_key="k")
    tts.update_options(sample_rate=8000, word_timestamps=True, use_continuations=True, output_format="wav")
    assert (tts.sample_rate, tts.output_format, tts.capabilities.aligned_transcript) == (8000, "wav", True)
    modes = [tts.lightning_options.text_mode]
    tts.update_options(text_mode="segment")
    assert [*modes, tts.lightning_options.text_mode] == ["context", "segment"]


def test_a_key_is_needed_and_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMALLEST_API_KEY", raising=False)
    with pytest.raises(ValueError, match="SMALLEST_API_KEY"):
        TTS()
    monkeypatch.setenv("SMALLEST_API_KEY", KEY)
    tts = TTS()
    assert tts.server.key == KEY
    assert KEY not in f"{tts!r}{vars(tts)!r}"
