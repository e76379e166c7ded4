"""Options: what is refused, what is only warned about, and what the defaults ask for."""

from __future__ import annotations

import warnings
from typing import Any

import msgspec
import pytest

from smallest_proto.pulse import PulseOptions
from smallest_proto.vendor import UnknownValueWarning

SWITCH = "True or False"
BAD: dict[str, list[tuple[Any, str]]] = {
    "endpoint": [("stream", "'get_text', 'live', 'transcribe'"), (None, "'live'")],
    "model": [
        ("", "letters, digits"),
        ("a/b", "letters, digits"),
        ("a?b", "letters, digits"),
        ("pulse\n", "letters, digits"),
        (None, "letters, digits"),
    ],
    "language": [("", "non-empty"), (" ", "non-empty"), (None, "non-empty"), ("\ud800", "non-empty")],
    "encoding": [("linear8", "'linear16'"), ("mp3", "'ogg_opus'"), (None, "'mulaw'")],
    "sample_rate": [
        (11025, "8000, 16000"),
        ("16000", "48000"),
        (16000.0, "22050"),
        (None, "16000"),
        (0, "8000"),
    ],
    "word_timestamps": [(1, SWITCH), ("true", SWITCH), (None, SWITCH)],
    "diarize": [(0, SWITCH), (None, SWITCH)],
    "numerals": [(True, "'true', 'false', 'auto'"), ("yes", "'auto'")],
    "endpointing_timeout": [(-1, "from 0"), (300.0, "whole number"), (True, "whole number")],
    "eou_timeout_ms": [
        (99, "from 100 to 10000"),
        (10001, "from 100 to 10000"),
        (-1, "from 100 to 10000"),
        (800.0, "whole number"),
        ("800", "whole number"),
        (False, "whole number"),
    ],
    "max_words": [(0, "from 1"), (-3, "from 1"), (2.5, "whole number")],
    "keywords": [
        ("CUDA", "a tuple of phrases"),
        (None, "a tuple of phrases"),
        (("",), "non-empty"),
        ((" ",), "non-empty"),
        ((5,), "non-empty"),
        (("\udfff",), "non-empty"),
        (("a,b",), "without , and :"),
        (("a:b",), "without , and :"),
        ((("a", -1.0),), "from 0"),
        ((("a", float("nan")),), "finite"),
        ((("a", float("inf")),), "finite"),
        ((("a", 10**400),), "finite"),
        ((("a", True),), "finite"),
        ((("a", "2"),), "finite"),
        ((("a", 1.0, 2.0),), "non-empty"),
    ],
    "vad_threshold": [
        (1000.5, "to 1000"),
        (-0.1, "from 0"),
        (float("nan"), "finite"),
        ("0.5", "finite"),
        (10**400, "finite"),
    ],
    "vad_min_speech_ms": [(-1, "from 0"), (0.5, "whole number")],
    "external_session_id": [
        ("", "1 to 128"),
        ("a b", "1 to 128"),
        ("é", "1 to 128"),
        ("a" * 129, "1 to 128"),
        (5, "1"),
    ],
    "extra": [
        (None, "mapping"),
        ([("a", "b")], "mapping"),
        ({"": "x"}, "non-empty"),
        ({5: "x"}, "non-empty"),
        ({"a": ""}, "non-empty"),
        ({"a": True}, "non-empty"),
        ({"language": "en"}, "the field language"),
    ],
    "compat": [("newer", "'default', 'seed'"), (None, "'seed'")],
    "packet_ms": [
        (19, "from 20 to 200"),
        (201, "from 20 to 200"),
        (50.0, "whole number"),
        (None, "whole number"),
    ],
    "heartbeat": [(0, "above 0"), (-1.0, "above 0"), (float("inf"), "finite"), (True, "finite")],
    "keepalive_interval": [(-1, "from 0"), (float("nan"), "finite"), ("5", "finite")],
    "include_raw": [(None, SWITCH), ("yes", SWITCH)],
}
SWITCHES = {
    *(
        "format",
        "itn_normalize",
        "sentence_timestamps",
        "redact_pii",
        "redact_pci",
        "endpointing",
        "vad_events",
    ),
    *(
        "finalize_on_words",
        "punctuate",
        "capitalize",
        "full_transcript",
        "no_format_delay",
        "emotion_detection",
    ),
    "gender_detection",
}
CASES = [(field, value, accepted) for field, values in BAD.items() for value, accepted in values]
CASES += [(field, value, SWITCH) for field in sorted(SWITCHES) for value in (1, "true", "false")]


def test_every_field_has_a_bad_value() -> None:
    assert set(BAD) | SWITCHES == set(PulseOptions.__struct_fields__)


@pytest.mark.parametrize(("field", "value", "accepted"), CASES)
def test_a_bad_value_is_refused_with_field_value_and_what_is_accepted(
    field: str, value: Any, accepted: str
) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        PulseOptions(**{field: value})
    text = str(caught.value)
    assert text.startswith(field)
    assert accepted in text
    if not isinstance(value, tuple | dict):
        assert repr(value) in text


def test_a_refusal_names_the_entry() -> None:
    with pytest.raises(ValueError, match=r"^keywords\[1\]='a:b': expected a phrase"):
        PulseOptions(keywords=("ok", "a:b"))
    with pytest.raises(ValueError, match=r"^extra\['x'\]=3: expected"):
        PulseOptions(extra={"x": 3})  # type: ignore[dict-item]  # on purpose
    with pytest.raises(ValueError, match=r"^keywords: 10001 entries: expected at most 10000"):
        PulseOptions(keywords=("a",) * 10001)
    assert len(PulseOptions(keywords=("a",) * 10000).keywords) == 10000


def test_a_direct_server_takes_no_keepalive() -> None:
    with pytest.raises(
        ValueError, match=r"^keepalive_interval=5: expected None or 0 with endpoint 'transcribe'"
    ):
        PulseOptions(endpoint="transcribe", keepalive_interval=5)
    assert PulseOptions(endpoint="transcribe", keepalive_interval=0).keepalive_seconds is None
    assert PulseOptions(endpoint="transcribe").keepalive_seconds is None


@pytest.mark.parametrize("field", ["model", "language"])
def test_an_unknown_name_is_a_warning_where_the_options_are_made(field: str) -> None:
    with pytest.warns(UnknownValueWarning, match=f"^{field}='klingon' is not known") as caught:
        options = PulseOptions(**{field: "klingon"})  # type: ignore[arg-type]  # one of two strings
    assert [w.filename for w in caught] == [__file__]
    assert ("language", "klingon") in options.query() or options.model == "klingon"


def test_a_strong_boost_is_a_warning_where_the_options_are_made() -> None:
    with pytest.warns(UserWarning, match=r"^keywords\[0\]=\('a', 5.5\): boosts above 5") as caught:
        PulseOptions(keywords=(("a", 5.5),))
    assert [w.filename for w in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PulseOptions(keywords=(("a", 5.0), "b", ("c", 0)))


def test_the_defaults_are_the_seeds() -> None:
    options = PulseOptions()
    assert options.endpoint == "get_text"
    assert (options.heartbeat, options.packet_ms, options.compat) == (5.0, 50, "default")
    assert options.keepalive_seconds is None
    assert (options.audio_format.encoding, options.audio_format.sample_rate) == ("linear16", 16000)
    assert PulseOptions(endpoint="live").keepalive_seconds == 5.0
    assert PulseOptions(keepalive_interval=2).keepalive_seconds == 2
    assert PulseOptions(endpoint="live", keepalive_interval=0).keepalive_seconds is None


def test_options_are_checked_again_when_they_are_changed() -> None:
    options = PulseOptions(keywords=["a", ("b", 2)])  # type: ignore[arg-type]  # a list is taken too
    assert options.keywords == (("a", 1.0), ("b", 2.0))
    with pytest.raises(ValueError, match=r"^sample_rate=1"):
        msgspec.structs.replace(options, sample_rate=1)
    with pytest.raises(AttributeError):
        options.language = "hi"  # type: ignore[misc]  # on purpose
