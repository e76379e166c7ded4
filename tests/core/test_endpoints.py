"""URLs and headers: exact, on one line each, and never with the key where it can be read."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.endpoints import BASE_URL, ApiKey, UpgradeRequest, split_base_url, upgrade_request

SECRET = "sk_5ecret"
KEY = ApiKey(SECRET)


def request(base_url: str = BASE_URL, path: str = "/p", query: Any = (), **kwargs: Any) -> UpgradeRequest:
    return upgrade_request(base_url, path, query, api_key=KEY, **kwargs)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.smallest.ai/waves/v1", "wss://api.smallest.ai/waves/v1/p"),
        ("https://api.smallest.ai/waves/v1///", "wss://api.smallest.ai/waves/v1/p"),
        ("wss://api.smallest.ai", "wss://api.smallest.ai/p"),
        ("http://127.0.0.1:8000", "ws://127.0.0.1:8000/p"),
        ("ws://127.0.0.1:8000/", "ws://127.0.0.1:8000/p"),
        ("HTTP://LocalHost:80/Https://x", "ws://localhost/Https://x/p"),
        ("https://h:443", "wss://h/p"),
        ("https://h:80", "wss://h:80/p"),
        ("http://[::1]:7100/v1", "ws://[::1]:7100/v1/p"),
        ("wss://[::1]", "wss://[::1]/p"),
        ("http://[fe80::1%25eth0]:7100", "ws://[fe80::1]:7100/p"),  # no server's business
    ],
)
def test_bases(base_url: str, url: str) -> None:
    made = request(base_url)
    assert f"{'wss' if made.secure else 'ws'}://{made.host_header}{made.target}" == url


def test_the_zone_of_an_address_is_kept_for_the_socket() -> None:
    assert request("http://[fe80::1%25eth0]:7100").host == "fe80::1%eth0"


NO_BASES = (
    "",
    "api.smallest.ai",
    "ftp://h",
    "http://",
    "https:///v1",
    "http://h:0",
    "http://h:99999",
    "//h",
    None,
)
MORE = (
    "http://h:x",
    "http://[::1",
    "http://h /v1",
    "http://h\r\nX: y",
    "http://hé",
    "file:///etc/passwd",
    5,
    b"http:",
)


@pytest.mark.parametrize("base_url", [*NO_BASES, *MORE])
def test_what_is_no_base(base_url: Any) -> None:
    with pytest.raises(
        ValueError, match=r"^base_url.*expected http, https, ws or wss://HOST\[:PORT\]\[/PATH\]$"
    ):
        split_base_url(base_url)


SECRETIVE = (
    "https://user:{}@h",
    "https://{}@h:x",
    "ftp://{}@h",
    "https://h?token={}",
    "https://h#{}",
    "https://h?",
)


@pytest.mark.parametrize("pattern", SECRETIVE)
def test_a_base_with_more_than_a_place_is_not_repeated(pattern: str) -> None:
    with pytest.raises(ValueError, match="credentials, a query or a fragment") as caught:
        split_base_url(pattern.format(SECRET))
    assert SECRET not in str(caught.value)


def test_queries_are_form_encoded() -> None:
    assert request(query=[("a", "b c"), ("k", "x:1,y"), ("a", "&=?#")]).target == (
        "/waves/v1/p?a=b+c&k=x%3A1%2Cy&a=%26%3D%3F%23"
    )
    assert request(query=[]).target == "/waves/v1/p"


def test_headers() -> None:
    assert request().headers == (("Authorization", f"Bearer {SECRET}"), ("X-Source", "smallest-proto"))
    made = request(headers={"authorization": "Token x", "X-SOURCE": "me", "X-New": "a\tb"})
    assert made.headers == (("authorization", "Token x"), ("X-SOURCE", "me"), ("X-New", "a\tb"))
    assert upgrade_request(BASE_URL, "", (), api_key=None).headers == (("X-Source", "smallest-proto"),)


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\nb", "é", "a\0", None, b"a"])
def test_header_names_that_could_break_out(name: Any) -> None:
    with pytest.raises(ValueError, match="is not a header name") as caught:
        request(headers={name: "v"})
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\r", "\0", "é", "\x7f", None, 5, b"a"])
def test_header_values_that_could_break_out(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^headers\['X-Mine'\]: a value holds printable ASCII only"):
        request(headers={"X-Mine": value})


@given(st.text(), st.text())
def test_no_header_leaves_its_line(name: str, value: str) -> None:
    try:
        made = request(headers={name: value})
    except ValueError:
        return
    assert all(not set("\r\n\0") & set(part) and part.isascii() for header in made.headers for part in header)


@pytest.mark.parametrize("key", ["", " ", "\t\n"])
def test_an_empty_key(key: Any) -> None:
    with pytest.raises(ValueError, match="api_key is empty: expected the key itself, or SMALLEST_API_KEY"):
        ApiKey(key)


@pytest.mark.parametrize("key", [None, 5, b"sk_secret"])
def test_a_key_of_another_type_is_not_shown(key: Any) -> None:
    with pytest.raises(ValueError, match=f"^api_key is of type {type(key).__name__}: expected a str$"):
        ApiKey(key)


@pytest.mark.parametrize("key", ["sk_\r\nX: y", "sk x", "sk_é", "sk\0"])
def test_a_key_that_cannot_be_sent_is_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a header") as caught:
        ApiKey(key)
    assert key.strip() not in str(caught.value)


def test_a_key_can_be_used_but_not_seen() -> None:
    assert ApiKey(f" {SECRET}\n").reveal() == SECRET
    made = request(query=[("token", SECRET)])
    for shown in (repr(KEY), str(KEY), f"{KEY}", repr([KEY]), repr(made), str(made), f"{made}"):
        assert SECRET not in shown
    assert (
        repr(made)
        == "UpgradeRequest(wss://api.smallest.ai/waves/v1/p, headers=['Authorization', 'X-Source'])"
    )
    for secret in (KEY, made):
        for way in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled"):
                way(secret)
    with pytest.raises(AttributeError):
        KEY.__dict__  # noqa: B018  # nowhere else to look


@pytest.mark.parametrize(
    "wrong", [{"headers": {"a b": "c"}}, {"headers": {"a": "\n"}}, {"base_url": "ftp://h"}]
)
def test_no_traceback_holds_the_key_not_even_one_with_locals(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|only") as caught:
        request(**wrong)
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    library = [frame for frame in report.stack if "smallest_proto" in frame.filename]
    assert library
    assert SECRET not in str(caught.value)
    assert not any(SECRET in text for frame in library for text in (frame.locals or {}).values())
