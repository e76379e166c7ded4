"""The upgrade request: exact URLs, headers, and back again from a target to options."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.endpoints import US_BASE_URL, ApiKey
from smallest_proto.pulse import PulseOptions, pulse_options, pulse_request
from smallest_proto.pulse.options import WIRE_NAMES
from smallest_proto.vendor import PULSE_STREAMING_LANGUAGES

KEY = ApiKey("sk_test")
SEED_QUERY = "language=en&encoding=linear16&sample_rate=16000&word_timestamps=true&diarize=false"
NEWER = PulseOptions(
    endpoint="live",
    format=True,
    itn_normalize=False,
    sentence_timestamps=False,
    redact_pii=False,
    redact_pci=False,
    endpointing=True,
    vad_events=True,
    endpointing_timeout=300,
)


def url(options: PulseOptions, **kwargs: Any) -> str:
    request = pulse_request(options, api_key=KEY, **kwargs)
    return f"{'wss' if request.secure else 'ws'}://{request.host_header}{request.target}"


def test_the_url_of_the_seed() -> None:
    assert url(PulseOptions()) == f"wss://api.smallest.ai/waves/v1/pulse/get_text?{SEED_QUERY}"
    assert url(PulseOptions(eou_timeout_ms=500)).endswith("&diarize=false&eou_timeout_ms=500")
    assert url(PulseOptions(eou_timeout_ms=0)) == url(PulseOptions())


def test_the_url_of_the_newer_client() -> None:
    assert url(NEWER) == (
        "wss://api.smallest.ai/waves/v1/stt/live?model=pulse&language=en&encoding=linear16&sample_rate=16000"
        "&word_timestamps=true&diarize=false&format=true&itn_normalize=false&sentence_timestamps=false"
        "&redact_pii=false&redact_pci=false&endpointing=true&vad_events=true&endpointing_timeout=300"
    )


def test_the_order_of_the_newer_clients_optional_parameters() -> None:
    options = msgspec.structs.replace(
        NEWER, numerals="auto", eou_timeout_ms=800, finalize_on_words=False, max_words=20, keywords=("a",)
    )
    assert [name for name, _ in options.query()] == [
        *(
            "model",
            "language",
            "encoding",
            "sample_rate",
            "word_timestamps",
            "diarize",
            "format",
            "itn_normalize",
        ),
        *("sentence_timestamps", "redact_pii", "redact_pci", "endpointing", "vad_events", "numerals"),
        *("endpointing_timeout", "eou_timeout_ms", "finalize_on_words", "max_words", "keywords"),
    ]


def test_the_keywords_value() -> None:
    options = PulseOptions(keywords=(("Blackwell", 1.0), ("Jensen Huang", 2.0), ("CUDA", 1.5)))
    assert url(options).endswith("&keywords=Blackwell%3A1%2CJensen+Huang%3A2%2CCUDA%3A1.5")
    assert url(PulseOptions(keywords=())) == url(PulseOptions())


def test_bases_and_a_direct_server() -> None:
    direct = PulseOptions(endpoint="transcribe")
    assert url(direct, base_url="http://127.0.0.1:8000") == (
        f"ws://127.0.0.1:8000/transcribe?model=pulse&{SEED_QUERY}"
    )
    assert url(PulseOptions(language="ja"), base_url=US_BASE_URL + "//").startswith(
        "wss://api.us.smallest.ai/waves/v1/pulse/get_text?language=ja&"
    )


def test_extra_parameters_come_last_and_are_escaped() -> None:
    options = PulseOptions(extra={"b c": "1&2=3", "a": "ü\r\n"}, max_words=3)
    assert url(options).endswith("&max_words=3&b+c=1%262%3D3&a=%C3%BC%0D%0A")


def test_headers() -> None:
    request = pulse_request(
        PulseOptions(), api_key=KEY, headers={"x-source": "mine", "X-Expire-Content": "true"}
    )
    assert request.headers == (
        ("Authorization", "Bearer sk_test"),
        ("x-source", "mine"),
        ("X-Expire-Content", "true"),
    )
    assert pulse_request(PulseOptions(), api_key=None).headers == (("X-Source", "smallest-proto"),)


PHRASES = st.text(st.characters(codec="utf-8", exclude_characters=",:"), min_size=1, max_size=8).filter(
    str.strip
)
SWITCH = st.none() | st.booleans()
FIELDS: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(WIRE_NAMES, SWITCH) | {
    "model": st.sampled_from(["pulse", "pulse-2"]),
    "language": st.sampled_from(PULSE_STREAMING_LANGUAGES),
    "encoding": st.sampled_from(["linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus"]),
    "sample_rate": st.sampled_from([8000, 16000, 22050, 24000, 44100, 48000]),
    "word_timestamps": st.booleans(),
    "diarize": st.booleans(),
    "numerals": st.sampled_from([None, "true", "false", "auto"]),
    "endpointing_timeout": st.none() | st.integers(0, 10**6),
    "eou_timeout_ms": st.none() | st.integers(100, 10000),
    "max_words": st.none() | st.integers(1, 10**6),
    "keywords": st.lists(PHRASES | st.tuples(PHRASES, st.floats(0, 5)), max_size=4).map(tuple),
    "vad_threshold": st.none() | st.floats(0, 1000),
    "vad_min_speech_ms": st.none() | st.integers(0, 10**6),
    "external_session_id": st.none() | st.from_regex(r"[a-zA-Z0-9_\-.]{1,128}", fullmatch=True),
}
OPTIONS = st.builds(PulseOptions, endpoint=st.sampled_from(["get_text", "live", "transcribe"]), **FIELDS)


@given(OPTIONS, st.sampled_from(["http://h", "https://h/waves/v1/", "ws://h:1/a/b"]))
def test_a_server_reads_what_the_client_asked_for(options: PulseOptions, base_url: str) -> None:
    target = pulse_request(options, api_key=None, base_url=base_url).target
    assert pulse_options(target) == options
    assert pulse_options(target + "&unknown=1&vad=yes") == options


@pytest.mark.parametrize(
    "target", ["/", "", "/pulse/get", "/stt/live/more", "/tts/live?model=pulse", "/get_text", "*"]
)
def test_paths_of_others(target: str) -> None:
    assert pulse_options(target) is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("/stt/live?language=en", "missing required query parameter: model"),
        ("/transcribe", "missing required query parameter: model"),
        ("/stt/live?model=", "model=''"),
        ("/stt/live?model=pulse-pro", "model='pulse-pro' has no streaming transport"),
        ("/pulse-pro/get_text", "model='pulse-pro' has no streaming transport"),
        ("/pulse/get_text?sample_rate=fast", "sample_rate"),
        ("/pulse/get_text?sample_rate=11025", "sample_rate=11025"),
        ("/pulse/get_text?sample_rate=" + "9" * 5000, "sample_rate"),
        ("/pulse/get_text?eou_timeout_ms=50", "eou_timeout_ms=50"),
        ("/pulse/get_text?encoding=mp3", "encoding"),
        ("/pulse/get_text?language=", "language=''"),
        ("/pulse/get_text?keywords=", "keywords"),
        ("/pulse/get_text?keywords=a:b", "keywords: 'a:b': expected phrase or phrase:number"),
        ("/pulse/get_text?keywords=a:-1", "keywords"),
        ("/pulse/get_text?external_session_id=a+b", "external_session_id='a b'"),
    ],
)
def test_targets_to_answer_with_400(target: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        pulse_options(target)


def test_a_switch_is_on_with_the_word_true_only() -> None:
    for word in ("True", "1", "yes", "", "false"):
        options = pulse_options(f"/x/pulse/get_text/?diarize={word}&word_timestamps={word}&format={word}")
        assert options is not None
        assert (options.diarize, options.word_timestamps, options.format) == (False, False, False)


@pytest.mark.filterwarnings("ignore")
@given(
    st.text(),
    st.sampled_from(["/pulse/get_text", "/stt/live", "/transcribe"]),
    st.lists(
        st.tuples(st.sampled_from(WIRE_NAMES), st.text(max_size=5) | st.sampled_from(["1", "true", "a:1"]))
    ),
)
def test_any_target_gives_options_or_a_reason(text: str, path: str, pairs: list[tuple[str, str]]) -> None:
    for target in (text, f"{path}?{text}", f"{path}?model=pulse&" + "&".join(f"{k}={v}" for k, v in pairs)):
        try:
            options = pulse_options(target)
        except ValueError:
            continue
        assert options is None or isinstance(options, PulseOptions)
