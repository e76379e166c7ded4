"""Batch options and sources: what is refused, what is only warned about, and what the requests look like."""

from __future__ import annotations

import json
import warnings
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.endpoints import US_BASE_URL, ApiKey
from smallest_proto.pulse import (
    BatchAsked,
    BatchAudio,
    BatchOptions,
    BatchPcm,
    BatchSource,
    BatchUrl,
    batch_asked,
    batch_request,
)
from smallest_proto.pulse.batch_options import WIRE_NAMES
from smallest_proto.vendor import PULSE_BATCH_LANGUAGES, RegionWarning, UnknownValueWarning
from smallest_proto.wav import wav_file

SWITCH = "True or False"
URL = "https://files.example/a.wav"
MP3 = b"ID3\x04"
BAD: dict[str, list[tuple[Any, str]]] = {
    "endpoint": [("live", "'stt', 'get_text'"), (None, "'stt'")],
    "model": [("", "letters, digits"), ("a/b", "letters, digits"), (None, "letters, digits")],
    "language": [("", "non-empty"), (" ", "non-empty"), (None, "non-empty"), ("\ud800", "non-empty")],
    "encoding": [("mp3", "'linear16'"), ("ulaw", "'mulaw': 'ulaw' is how text to speech spells it")],
    "sample_rate": [(11025, "8000, 16000"), ("16000", "48000"), (True, "8000")],
    "webhook_url": [
        ("", "http"),
        ("ftp://a", "http"),
        ("https://a b", "http"),
        ("https://", "http"),
        (5, "http"),
    ],
    "webhook_method": [("PUT", "'GET', 'POST'"), (True, "'GET'")],
    "webhook_extra": [
        *((None, "mapping"), ([("a", "b")], "mapping"), ({"": "b"}, "non-empty"), ({"a": ""}, "non-empty")),
        *(({"a": 5}, "non-empty"), ({5: "a"}, "non-empty"), ({"a:b": "c"}, "without , and :")),
        *(({"a": "b,c"}, "without , and :"), ({"a": "b:c"}, "without , and :")),
    ],
    "extra": [
        *((None, "mapping"), ({"": "x"}, "non-empty"), ({"a": True}, "non-empty")),
        ({"language": "en"}, "the field language"),
    ],
    "compat": [("newer", "'default', 'seed'"), (None, "'seed'")],
    "expire_content": [(None, SWITCH), (1, SWITCH)],
    "include_raw": [(None, SWITCH), ("yes", SWITCH)],
}
SWITCHES = {
    *("word_timestamps", "diarize", "redact_pii", "redact_pci", "emotion_detection", "gender_detection"),
    *("format", "punctuate", "capitalize"),
}
CASES = [(field, value, accepted) for field, values in BAD.items() for value, accepted in values]
CASES += [(field, value, SWITCH) for field in sorted(SWITCHES) for value in (1, "true", "false")]


def test_every_field_has_a_bad_value() -> None:
    assert set(BAD) | SWITCHES == set(BatchOptions.__struct_fields__)


@pytest.mark.parametrize(("field", "value", "accepted"), CASES)
def test_a_bad_value_is_refused_with_field_value_and_what_is_accepted(
    field: str, value: Any, accepted: str
) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        BatchOptions(**{field: value})
    text = str(caught.value)
    assert text.startswith(field)
    assert accepted in text


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"format": True}, "^format=True: expected it left out: only endpoint='get_text' has it"),
        ({"punctuate": False}, "^punctuate=False: expected it left out: only endpoint='get_text' has it"),
        ({"sample_rate": 8000}, "^sample_rate=8000: expected it left out: only endpoint='get_text'"),
        ({"endpoint": "get_text", "redact_pii": True}, "^redact_pii=True: .*endpoint='stt' has it"),
        ({"endpoint": "get_text", "expire_content": True}, "^expire_content=True: .*endpoint='stt'"),
        ({"webhook_method": "GET"}, "^webhook_method='GET': expected it left out without a webhook_url"),
        ({"webhook_extra": {"a": "b"}}, "^webhook_extra=.*without a webhook_url"),
    ],
)
def test_fields_that_do_not_fit_together(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        BatchOptions(**settings)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"model": "pulse-9", "language": "xx"}, "model='pulse-9'"),
        ({"language": "ta"}, "language='ta'"),  # streaming only
        ({"model": "pulse-pro", "language": "hi"}, "language='hi' is not known here .*; known: en$"),
    ],
)
def test_unknown_names_are_one_warning_where_the_options_are_made(
    settings: dict[str, Any], name: str
) -> None:
    with pytest.warns(UnknownValueWarning, match=name) as caught:
        BatchOptions(**settings)
    assert [w.filename for w in caught] == [__file__]


def test_options_are_checked_again_when_they_are_changed() -> None:
    with pytest.raises(ValueError, match=r"^sample_rate=1: expected one of"):
        msgspec.structs.replace(BatchOptions(endpoint="get_text"), sample_rate=1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: BatchAudio(b""), "^data: nothing: expected the bytes of a file"),
        (lambda: BatchAudio("abc"), "^data: str: expected the bytes of a file"),  # type: ignore[arg-type]  # on purpose
        (lambda: BatchAudio(MP3, "video/mp4"), "^content_type='video/mp4': expected .*octet-stream"),
        (lambda: BatchAudio(MP3, "audio/"), "^content_type='audio/'"),
        (lambda: BatchAudio(MP3, "audio/wav\r\nX: y"), "^content_type="),
        (lambda: BatchAudio(MP3, None), "^content_type=None"),  # type: ignore[arg-type]  # on purpose
        (lambda: BatchPcm(b"", 8000), "^pcm: bytes of 0: expected bytes, two for each sample"),
        (lambda: BatchPcm(b"abc", 8000), "^pcm: bytes of 3"),
        (lambda: BatchPcm([1, 2], 8000), "^pcm: list: expected"),  # type: ignore[arg-type]  # on purpose
        (lambda: BatchPcm(b"ab", 0), "^sample_rate=0: expected a whole number from 1"),
        (lambda: BatchPcm(b"ab", 8000.0), "^sample_rate=8000.0"),  # type: ignore[arg-type]  # on purpose
        (lambda: BatchPcm(b"ab", 2**31), "^sample_rate=2147483648"),
        (lambda: BatchUrl("file:///etc/passwd"), "^url='file:///etc/passwd': expected a public http"),
        (lambda: BatchUrl(None), "^url=None"),  # type: ignore[arg-type]  # on purpose
    ],
)
def test_a_bad_source_is_refused(make: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        make()


def test_a_source_does_not_show_its_bytes() -> None:
    assert repr(BatchAudio(MP3)) == "BatchAudio(4 bytes, 'application/octet-stream')"
    assert repr(BatchPcm(b"abcd", 8000)) == "BatchPcm(4 bytes, sample_rate=8000)"


CONTAINERS = [
    *(wav_file(b"ab", 8000), MP3, b"\xff\xf3\x84", b"\xff\xfbxx", b"fLaC", b"OggS", b"\0\0\0\x20ftypM4A "),
    b"\x1a\x45\xdf\xa3",
]


def test_bare_pcm_is_warned_about_where_it_is_given() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in CONTAINERS:
            BatchAudio(data)
    for data in (b"\0" * 320, b"\n" * 8, b"\xff\x01\x00"):
        with pytest.warns(UnknownValueWarning, match=r"expected wav, mp3, .*or BatchPcm") as caught:
            BatchAudio(data)
        assert [w.filename for w in caught] == [__file__]


def test_pcm_is_wrapped_in_a_wav() -> None:
    body = batch_request(BatchPcm(b"abcd", 22050), api_key=None).body
    assert body == wav_file(b"abcd", 22050)
    assert (len(body), body[:4], body[8:16], body[40:]) == (48, b"RIFF", b"WAVEfmt ", b"\4\0\0\0abcd")


def test_pulse_pro_takes_no_url() -> None:
    with pytest.raises(ValueError, match=r"^source: pulse-pro takes no URL; expected BatchAudio or BatchPcm"):
        batch_request(BatchUrl(URL), BatchOptions(model="pulse-pro"), api_key=None)
    with pytest.raises(ValueError, match=r"^source: bytes: expected BatchAudio, BatchPcm or BatchUrl"):
        batch_request(b"abc", api_key=None)  # type: ignore[arg-type]  # on purpose


def test_headers_and_the_key() -> None:
    options = BatchOptions(expire_content=True)
    request = batch_request(BatchUrl(URL), options, api_key=ApiKey("sk_1"), headers={"X-Mine": "1"})
    assert dict(request.headers) == {
        "Authorization": "Bearer sk_1",
        "X-Source": "smallest-proto",
        "Content-Type": "application/json",
        "x-expire-content": "true",
        "X-Mine": "1",
    }
    assert "sk_1" not in repr(request)
    assert json.loads(request.body) == {"url": URL}


def test_the_region_is_warned_about_where_the_request_is_made() -> None:
    options = BatchOptions(language="multi-indic")
    with pytest.warns(
        RegionWarning, match=r"language='multi-indic' is not served by api.us.smallest.ai"
    ) as seen:
        batch_request(BatchUrl(URL), options, api_key=None, base_url=US_BASE_URL)
    assert [w.filename for w in seen] == [__file__]
    batch_request(BatchUrl(URL), options, api_key=None)
    batch_request(BatchUrl(URL), BatchOptions(language="ja"), api_key=None)  # batch has no such rule


WORDS = st.text(st.characters(codec="utf-8", exclude_characters=",:"), min_size=1, max_size=6).filter(
    str.strip
)
SWITCH_VALUES = st.none() | st.booleans()
COMMON = {
    "word_timestamps": SWITCH_VALUES,
    "diarize": SWITCH_VALUES,
    "emotion_detection": SWITCH_VALUES,
    "gender_detection": SWITCH_VALUES,
}
HOOK = st.none() | st.sampled_from(["https://a.example/cb?x=1&y=%20", "HTTP://b"])
LANGUAGES = st.sampled_from(PULSE_BATCH_LANGUAGES["pulse"])


@st.composite
def batch_options(draw: st.DrawFn) -> BatchOptions:
    fields: dict[str, Any] = {name: draw(values) for name, values in COMMON.items()}
    fields["endpoint"] = draw(st.sampled_from(["stt", "get_text"]))
    fields["model"] = draw(st.sampled_from(["pulse", "pulse-pro"]))
    fields["language"] = draw(LANGUAGES) if fields["model"] == "pulse" else "en"
    fields["webhook_url"] = draw(HOOK)
    if fields["webhook_url"]:
        fields["webhook_extra"] = draw(st.dictionaries(WORDS, WORDS, max_size=3))
    if fields["endpoint"] == "stt":
        fields |= {name: draw(SWITCH_VALUES) for name in ("redact_pii", "redact_pci")}
        if fields["webhook_url"]:
            fields["webhook_method"] = draw(st.sampled_from([None, "GET", "POST"]))
    else:
        fields |= {name: draw(SWITCH_VALUES) for name in ("format", "punctuate", "capitalize")}
        fields["encoding"] = draw(st.sampled_from(["linear16", "mulaw"]))
        fields["sample_rate"] = draw(st.sampled_from([8000, 16000]))
    return BatchOptions(**fields)


SOURCES = st.one_of(
    st.sampled_from(CONTAINERS).map(BatchAudio),
    st.builds(BatchAudio, st.just(MP3), st.sampled_from(["audio/wav", "audio/ogg; codecs=opus"])),
    st.builds(BatchPcm, st.binary(min_size=2, max_size=9).map(lambda b: b[: len(b) // 2 * 2]), st.just(8000)),
    st.builds(BatchUrl, st.sampled_from([URL, "http://x/é".replace("é", "%C3%A9")])),
)


@given(batch_options(), SOURCES, st.sampled_from(["http://h", "https://h/waves/v1/", "https://h:1/a/b"]))
def test_a_server_reads_what_the_client_asked_for(
    options: BatchOptions, source: BatchSource, base_url: str
) -> None:
    if isinstance(source, BatchUrl) and options.model == "pulse-pro":
        return
    request = batch_request(source, options, api_key=None, base_url=base_url)
    headers = [(name.lower(), value) for name, value in request.headers]
    asked = batch_asked(request.method, request.target, headers, request.body)
    assert isinstance(asked, BatchAsked)
    assert asked.options == options
    assert asked.url == (source.url if isinstance(source, BatchUrl) else None)
    match source:
        case BatchAudio():
            assert (asked.audio, asked.content_type) == (source.data, source.content_type)
        case BatchPcm():
            assert asked.audio == wav_file(source.pcm, source.sample_rate)


def test_every_parameter_is_on_the_wire_under_its_name() -> None:
    options = BatchOptions(
        word_timestamps=True,
        diarize=True,
        redact_pii=True,
        redact_pci=True,
        emotion_detection=False,
        gender_detection=False,
        webhook_url="https://h/cb",
        webhook_method="GET",
        webhook_extra={"a": "b", "c": "d"},
        extra={"x y": "z"},
    )
    query = options.query()
    legacy = {"encoding", "sample_rate", "format", "punctuate", "capitalize"}
    assert [name for name, _ in query] == [
        "model",
        *[n for n in WIRE_NAMES if n != "model" and n not in legacy],
        "x y",
    ]
    assert dict(query)["webhook_extra"] == "a:b,c:d"
    assert dict(query)["redact_pii"] == "true"
