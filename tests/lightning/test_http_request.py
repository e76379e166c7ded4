"""Requests for speech over HTTP: what is refused, what goes out, and what a server makes of it."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.endpoints import ApiKey
from smallest_proto.http_reply import HttpReply
from smallest_proto.lightning import (
    LightningOptions,
    OutputFormat,
    SpeechAsked,
    SpeechExchange,
    failure_reply,
    speech_asked,
    speech_headers,
    speech_request,
    speech_stream_request,
    voices_asked,
    voices_request,
)
from smallest_proto.lightning.http_request import HTTP_NAMES, OUTPUT_FORMATS
from smallest_proto.lightning.options import SAMPLE_RATES
from smallest_proto.pulse import PulseOptions
from smallest_proto.vendor import UnknownValueWarning, VoicePairingWarning

BODY = {"text": "x", "voice_id": "meher"}


def post(body: object, path: str = "/tts") -> SpeechAsked | HttpReply | None:
    return speech_asked("POST", path, (), json.dumps(body).encode())


def test_a_bad_format_is_refused_before_anything_is_sent() -> None:
    cases: list[tuple[Any, str]] = [
        ("mulaw", "^output_format='mulaw': expected 'ulaw': 'mulaw' is how speech to text spells it"),
        ("ogg", "^output_format='ogg': expected one of 'pcm', 'mp3', 'wav', 'ulaw', 'alaw'"),
        (None, "^output_format=None: expected one of"),
    ]
    for value, reason in cases:
        with pytest.raises(ValueError, match=reason):
            speech_request("x", output_format=value, api_key=None)
        with pytest.raises(ValueError, match=reason):
            SpeechExchange(output_format=value)
    with pytest.raises(ValueError, match=r"^encoding='ulaw': expected 'mulaw': 'ulaw' is how text to speech"):
        PulseOptions(encoding="ulaw")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("text", ["", "  ", None, 5, "\ud800"])
def test_a_text_must_be_there(text: Any) -> None:
    for make in (speech_request, speech_stream_request):
        with pytest.raises(ValueError, match=r"^text=.*: expected a non-empty string"):
            make(text, api_key=None)


def test_headers_and_the_key() -> None:
    request = speech_stream_request("x", api_key=ApiKey("sk_1"), headers={"accept": "*/*"})
    assert dict(request.headers) == {
        "Authorization": "Bearer sk_1",
        "X-Source": "smallest-proto",
        "Content-Type": "application/json",
        "accept": "*/*",
    }
    assert "sk_1" not in repr(request)
    assert (request.method, request.target) == ("POST", "/waves/v1/tts/live")
    request = voices_request(api_key=None, base_url="http://h:1/x/")
    assert (request.method, request.target, request.body) == ("GET", "/x/lightning-v3.1/get_voices", b"")
    assert voices_asked("GET", request.target + "/?a=b")
    assert not voices_asked("POST", request.target)
    assert not voices_asked("GET", "/lightning-v3.1/get_voice")


def test_a_voice_of_the_other_model_is_warned_about() -> None:
    with pytest.warns(
        VoicePairingWarning, match=r"'sophia' is a voice of model='lightning_v3.1' and .*_pro'"
    ) as seen:
        LightningOptions(voice_id="sophia")
    with pytest.warns(VoicePairingWarning, match=r"'kaitlyn' is a voice of model='lightning_v3.1_pro'"):
        LightningOptions(model="lightning_v3.1", voice_id="kaitlyn")
    with pytest.warns(UnknownValueWarning, match="voice_id='nobody' is not known") as unknown:
        LightningOptions(voice_id="nobody")
    assert [w.filename for w in [*seen, *unknown]] == [__file__] * 2
    for model in ("lightning_v3.1", "lightning_v3.1_pro"):
        LightningOptions(model=model, voice_id="meher")  # of both
        LightningOptions(model=model, voice_id="voice_x")  # a clone


def test_the_websockets_own_options_are_left_out() -> None:
    options = LightningOptions(
        text_mode="continue",
        word_timestamps=True,
        complete_backoff_ms=5,
        idle_timeout=9,
        extra={"output_format": "pcm"},
    )
    body = json.loads(speech_request("x", options, output_format="mp3", api_key=None).body)
    assert list(body) == ["model", "voice_id", "sample_rate", "speed", "language", "output_format", "text"]
    assert body["output_format"] == "mp3"
    assert speech_request("x", options, api_key=None).target == "/waves/v1/tts"


IDS = st.none() | st.from_regex(r"[a-zA-Z0-9_\-.]{1,128}", fullmatch=True)
OPTIONS = st.builds(
    LightningOptions,
    model=st.sampled_from(["lightning_v3.1", "lightning_v3.1_pro"]),
    voice_id=st.sampled_from([None, "meher", "voice_1"]),
    sample_rate=st.sampled_from(SAMPLE_RATES),
    speed=st.floats(0.5, 2.0),
    language=st.sampled_from([None, "en", "auto"]),
    number_pronunciation_language=st.sampled_from([None, "hi"]),
    math_notation=st.none() | st.booleans(),
    pronunciation_dicts=st.lists(st.text("ab", min_size=1), max_size=2),
    content_filter=st.sampled_from([None, "reject", "flag"]),
    session_id=IDS,
    request_id=IDS,
    expire_content=st.booleans(),
)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@given(TEXTS, OPTIONS, st.sampled_from(get_args(OutputFormat)), st.booleans())
def test_a_server_reads_what_the_client_asked_for(
    text: str, options: LightningOptions, output_format: OutputFormat, events: bool
) -> None:
    if events:
        request, output_format = speech_stream_request(text, options, api_key=None), "pcm"
    else:
        request = speech_request(text, options, output_format=output_format, api_key=None)
    headers = [(name.lower(), value) for name, value in request.headers]
    asked = speech_asked(request.method, request.target, headers, request.body)
    assert isinstance(asked, SpeechAsked)
    assert (asked.text, asked.output_format, asked.events) == (text, output_format, events)
    assert asked.expire_content == options.expire_content
    for name in ("model", "sample_rate", "speed", "language", *HTTP_NAMES):
        expected = getattr(options, name)
        assert getattr(asked.setup, name) == (expected or False if name == "math_notation" else expected)
    assert asked.setup.voice_id == options.voice


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({**BODY, "text": " "}, "text is required"),
        ({**BODY, "text": 5}, "text is required"),
        ({"text": "x"}, "voice_id is required"),
        ({**BODY, "sample_rate": 11025}, "sample_rate must be one of"),
        ({**BODY, "speed": 3}, "speed must be"),
        ([], "invalid body: JSON, but not an object"),
    ],
)
def test_bodies_to_refuse(body: object, reason: str) -> None:
    reply = post(body)
    assert isinstance(reply, HttpReply)
    assert reply.status == 400
    document = json.loads(reply.body)
    assert document["error"] == "InvalidRequest"
    assert reason in document["message"]


@pytest.mark.parametrize("wanted", ["mulaw", "PCM", 5, None, ["pcm"], {"a": [1] * 9}, "x" * 999, 10**30])
def test_formats_to_refuse(wanted: object) -> None:
    reply = post({**BODY, "output_format": wanted})
    assert isinstance(reply, HttpReply)
    (item,) = json.loads(reply.body)["error"]
    assert item["received"] == (wanted[:100] if isinstance(wanted, str) else None)
    asked = post({**BODY, "output_format": wanted}, "/x/tts/live/")  # events carry nothing else
    assert isinstance(asked, SpeechAsked)
    assert asked.output_format == "pcm"


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**30, True, "5", None])
@pytest.mark.parametrize(
    "name", ["complete_backoff_ms", "max_buffer_flush_ms", "math_notation", "session_id"]
)
def test_an_optional_field_is_never_a_reason_to_refuse(name: str, value: object) -> None:
    assert isinstance(post({**BODY, name: value}), SpeechAsked)


def test_defaults_of_a_request() -> None:
    asked = post(BODY)
    assert isinstance(asked, SpeechAsked)
    assert (asked.setup.sample_rate, asked.setup.speed, asked.setup.model) == (44100, 1.0, "lightning_v3.1")
    assert (asked.output_format, asked.events, asked.expire_content) == ("pcm", False, False)
    for output_format in OUTPUT_FORMATS:
        asked = post({**BODY, "output_format": output_format}, "/tts/live")
        assert isinstance(asked, SpeechAsked)
        assert asked.output_format == "pcm"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/tts"), ("POST", "/tts/lives"), ("POST", "/stts"), ("POST", "*")]
)
def test_requests_of_others(method: str, path: str) -> None:
    assert speech_asked(method, path, (), b"{}") is None


def test_the_headers_of_an_answer() -> None:
    asked = speech_asked(
        "POST", "/tts/live", [("x-expire-content", "TRUE")], json.dumps(BODY | {"request_id": "r"}).encode()
    )
    assert isinstance(asked, SpeechAsked)
    assert speech_headers(asked, request_id="q", session_id="w", content_expiry="applied") == (
        ("Content-Type", "text/event-stream"),
        ("X-Request-Id", "q"),
        ("X-Session-Id", "w"),
        ("X-External-Request-Id", "r"),
        ("X-External-Session-Id", ""),
        ("x-content-expiry", "applied"),
    )
    asked = post(BODY | {"request_id": "bad\r\nX: y"})
    assert isinstance(asked, SpeechAsked)
    headers = dict(speech_headers(asked, request_id="q", session_id="w", content_expiry="applied"))
    assert headers["X-External-Request-Id"] == ""
    assert headers["Content-Type"] == "audio/wav"
    assert "x-content-expiry" not in headers  # nobody asked
    asked = post(BODY | {"session_id": "s"})
    assert isinstance(asked, SpeechAsked)
    assert dict(speech_headers(asked, request_id="q", session_id="w"))["X-External-Session-Id"] == "s"


def test_a_failure_is_answered() -> None:
    reply = failure_reply(500, "InternalServerError", "oh")
    assert (reply.status, reply.body) == (500, b'{"error":"InternalServerError","message":"oh"}')


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    [*HTTP_NAMES, "text", "voice_id", "sample_rate", "speed", "language", "output_format", "model"]
)


@given(
    st.sampled_from(["POST", "GET"]),
    st.sampled_from(["/tts", "/tts/live"]) | st.text(),
    st.lists(st.tuples(st.just("x-expire-content"), st.text(max_size=4)), max_size=1),
    st.binary() | st.dictionaries(KEYS, JSON_VALUES).map(lambda v: json.dumps({**BODY, **v}).encode()),
)
def test_any_request_is_read_or_refused(
    method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    asked = speech_asked(method, path, headers, body)
    if isinstance(asked, SpeechAsked):
        speech_headers(asked, request_id="a", session_id="b")
    else:
        assert asked is None or asked.status == 400
