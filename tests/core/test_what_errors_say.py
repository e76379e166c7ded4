"""What errors and warnings tell: the field, the value, what would be accepted, and how it came to that."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator

import pytest

import smallest_proto
from smallest_proto import checks
from smallest_proto.audio import AudioFormat
from smallest_proto.chunker import Chunker
from smallest_proto.endpoints import BASE_URL, US_BASE_URL, ApiKey, UpgradeRequest, split_base_url
from smallest_proto.error_shapes import MAX_TEXT, decode_body, error_for_close, retry_after
from smallest_proto.errors import ConnectionLost, HandshakeRejected, ProtocolError, ServerError
from smallest_proto.http_request import HttpRequest, http_request
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.regions import check_region
from smallest_proto.vendor import PULSE_STREAMING_LANGUAGES
from smallest_proto.wav import WavReader, wav_header
from smallest_proto.wire import WebSocketWire


def test_a_close_code_is_named() -> None:
    lost = error_for_close(1006)
    assert type(lost) is ConnectionLost
    assert str(lost) == "the connection was lost: it ended without a close frame"
    early = error_for_close(4000, "secret")
    assert str(early) == "the server closed the connection early, with close code 4000"
    limit = error_for_close(1008)
    assert isinstance(limit, ServerError)
    assert "1008: too many sessions" in str(limit)
    assert limit.message == ""


def test_errors_without_words() -> None:
    assert str(ProtocolError()) == ""
    assert (ServerError().message, HandshakeRejected().message, HandshakeRejected().body) == ("", "", b"")


def test_errors_are_told_apart_in_a_set() -> None:
    assert len({hash(ProtocolError("x", code=code)) for code in "abcdefgh"}) > 1


@pytest.fixture
def berlin() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_dates_are_not_local() -> None:
    """Clocks go forward in Berlin between these two."""
    headers = [("date", "Sun, 29 Mar 2026 00:30:00 GMT"), ("retry-after", "Sun, 29 Mar 2026 04:30:00 GMT")]
    assert retry_after(headers) == 4 * 3600


def test_a_long_body_is_not_kept() -> None:
    assert decode_body(b"x" * 10 * MAX_TEXT) == "x" * 4 * MAX_TEXT


def test_a_value_that_cannot_be_shown() -> None:
    assert str(checks.refuse("field", 10**5000, "less")) == "field=int that cannot be shown: expected less"


@pytest.mark.parametrize(("high", "accepted"), [(None, "a number from 2"), (9.5, "a number from 2 to 9.5")])
def test_what_numbers_are_accepted(high: float | None, accepted: str) -> None:
    with pytest.raises(ValueError, match=f"^n=1: expected {accepted}$"):
        checks.number("n", 1, 2, high)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://hostX/XX", ("hostx", 80, False, "/XX")),
        ("ws://h", ("h", 80, False, "")),
        ("wss://h/a/", ("h", 443, True, "/a")),
        ("https://h:8443", ("h", 8443, True, "")),
    ],
)
def test_base_urls(url: str, parts: tuple[str, int, bool, str]) -> None:
    assert split_base_url(url) == parts


def test_reprs_of_requests() -> None:
    assert repr(ApiKey("sk_1")) == "ApiKey(***)"
    for secure, scheme in ((True, "wss"), (False, "ws")):
        request = UpgradeRequest(host="h", port=80, secure=secure, target="/x", headers=())
        assert f"({scheme}://h" in repr(request)


def test_the_method_of_a_request() -> None:
    assert http_request(BASE_URL, "/x", (), api_key=None).method == "POST"
    with pytest.raises(ValueError, match=r"^method='post': expected one of"):
        http_request(BASE_URL, "/x", (), method="post", api_key=None)
    with pytest.raises(ValueError, match=r"^method='post': expected one of"):
        HttpRequest(host="h", port=80, secure=False, method="post", target="/", headers=(), body=b"")


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("language", PULSE_STREAMING_LANGUAGES)
@pytest.mark.parametrize("base_url", [BASE_URL, US_BASE_URL])
def test_following_the_advice_ends_the_warning_where_that_is_possible(
    base_url: str, language: str, batch: bool
) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_region(language, base_url, batch=batch)
    for warning in seen:
        (advised,) = (
            url for url in (BASE_URL, US_BASE_URL) if f"expected base_url={url!r}" in str(warning.message)
        )
        check_region(language, advised, batch=batch)


def test_streams_are_what_is_asked_about() -> None:
    with pytest.warns(UserWarning, match="ta"):
        check_region("ta", US_BASE_URL)


def test_a_close_is_normal_unless_said() -> None:
    layer = QueuedLayer(None)
    layer.request_close()
    assert layer.close_requested == (1000, "")


def test_packets_and_what_is_held() -> None:
    assert AudioFormat("linear16", 16000).packet_bytes() == 1600
    assert Chunker(4).flush() == []
    assert Chunker(0, b"ab").flush() == [b"ab"]
    assert Chunker(0, b"ab").push(b"c") == [b"ab", b"c"]


def test_the_wire_is_loaded_when_asked_for() -> None:
    assert smallest_proto.__getattr__("WebSocketWire") is WebSocketWire
    with pytest.raises(AttributeError, match="module 'smallest_proto' has no attribute 'Wire'"):
        smallest_proto.__getattr__("Wire")


def test_sizes_in_wav_headers_have_no_sign() -> None:
    assert wav_header(2**31, 8000)[40:44] == b"\x00\x00\x00\x80"
    assert wav_header(2, 2**31 - 1)[28:32] == b"\xfe\xff\xff\xff"
    with pytest.raises(ValueError, match="without a data chunk"):
        WavReader().feed(b"RIFF\0\0\0\0WAVELIST\xff\xff\xff\xff")


def test_one_byte_of_samples_bounds_the_data() -> None:
    form = b"fmt \x10\0\0\0" + bytes(16)
    reader = WavReader()
    assert reader.feed(b"RIFF\0\0\0\0WAVE" + form + b"data\x01\0\0\0ab") == b"a"
    assert reader.feed(b"c") == b""


def test_dates_cross_the_year() -> None:
    headers = [("date", "Thu, 31 Dec 2026 23:59:59 GMT"), ("retry-after", "Fri, 01 Jan 2027 00:00:01 GMT")]
    assert retry_after(headers) == 2.0


def test_checks_made_for_a_field() -> None:
    for check, good, bad, accepted in (
        (checks.choice(1, "a"), "a", "b", "one of 1, 'a'"),
        (checks.whole(1, 3), 3, 4, "a whole number from 1 to 3"),
        (checks.at_least(2), 2, 1, "a number from 2"),
    ):
        check("f", good)
        with pytest.raises(ValueError, match=f"^f={bad!r}: expected {accepted}$"):
            check("f", bad)


def test_keys_are_printable_to_the_last() -> None:
    assert ApiKey("!~").reveal() == "!~"
    assert split_base_url("http://h/~!")[3] == "/~!"
