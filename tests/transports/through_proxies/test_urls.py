"""What can be the URL of a proxy, what cannot, and what it needs installed."""

import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import CANARY
from proxies import SERVICE
from smallest_transports import _proxy
from smallest_transports._connect import ConnectOptions, settings
from smallest_transports._proxy import parse_proxy
from transports.through_proxies.ends import CREDENTIALS, PASSWORD

BAD = {
    "": None,
    "http://": "not the URL",
    "://x": "not the URL",
    "http://x:99999": "not the URL",
    "http://x:0": "not the URL",
    "http://x:y": "not the URL",
    "http://x/path": "not the URL",
    "http://x?q": "not the URL",
    "http://x#f": "not the URL",
    "http://me:p-4n/ary@x": "not the URL",
    "http://me:p-4n ary@x": "not the URL",
    "http://me:p-4näry@x": "not the URL",
    "http://[::1": "not the URL",
    "ftp://me:p-4nary-ss@x": "not supported",
    "socks4://me:p-4nary-ss@x": "not supported",
    "socks5://me@x": "1 to 255",
    "socks5://:p-4nary-ss@x": "1 to 255",
    "socks5://me:p-4n%C3%A4ry@x": "1 to 255",
    f"socks5://me:{'p' * 256}@x": "1 to 255",
    "http://m%3Ae:p-4nary-ss@x": "colon",
    "http://me:p-4n%0D%0Aary@x": "control character",
}


@pytest.mark.parametrize("url", [url for url, words in BAD.items() if words])
@pytest.mark.parametrize("name", ["proxy", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_cannot_be_a_proxy(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base_url = f"{'http' if name == 'http_proxy' else 'https'}://{SERVICE}"
    options: ConnectOptions = {"api_key": CANARY, "base_url": base_url}
    if name == "proxy":
        options["proxy"] = url
    monkeypatch.setenv(name, url)
    with pytest.raises(ValueError, match=f"^{name}.*{BAD[url]}") as caught:
        settings(options)
    assert url not in str(caught.value)
    assert "p-4n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_proxy_that_is_no_text() -> None:
    with pytest.raises(ValueError, match=r"^proxy is not the URL"):
        settings({"api_key": CANARY, "proxy": 7})  # type: ignore[typeddict-item]  # which is the point


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://p", ("http", "p", 80)),
        ("p:3128", ("http", "p", 3128)),
        ("me:pw@p", ("http", "p", 80)),
        ("https://p", ("https", "p", 443)),
        ("HTTP://P:1/", ("http", "p", 1)),
        ("socks5://[::1]", ("socks5", "::1", 1080)),
        ("socks5h://p:9", ("socks5", "p", 9)),
    ],
)
def test_what_can(url: str, expected: tuple[str, str, int]) -> None:
    proxy = parse_proxy(url, "proxy")
    assert (proxy.scheme, proxy.host, proxy.port) == expected


@given(st.text(max_size=20), st.sampled_from(["", "http://", "socks5://", "https://me:p@", "socks5://a:b@["]))
def test_any_text_is_a_proxy_or_a_value_error(text: str, start: str) -> None:
    try:
        proxy = parse_proxy(start + text, "proxy")
    except ValueError as error:
        told = str(error)
        assert told.startswith("proxy")
    else:
        assert proxy.host
        assert 0 < proxy.port < 65536


def test_credentials_do_not_show() -> None:
    proxy = parse_proxy(f"http://{CREDENTIALS}@p", "proxy")
    given = settings({"api_key": CANARY, "proxy": f"http://{CREDENTIALS}@p"})
    assert proxy.credentials == (b"me", PASSWORD.encode())
    assert PASSWORD not in repr(proxy) + str(proxy) + f"{proxy}" + repr(given)
    with pytest.raises(TypeError):
        pickle.dumps(proxy)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_proxy, "find_spec", lambda name: None)
    for name in ("socks5", "socks5h"):
        with pytest.raises(ValueError, match=r"pip install 'smallest-proto\[proxy\]'") as caught:
            settings({"api_key": CANARY, "proxy": f"{name}://{CREDENTIALS}@p"})
        assert PASSWORD not in str(caught.value)
    settings({"api_key": CANARY, "proxy": f"http://{CREDENTIALS}@p"})  # needs none


def test_python_socks_is_loaded_only_for_socks() -> None:
    code = (
        "import sys, smallest_transports.asyncio as a, smallest_transports.trio;"
        "a.connect_pulse(api_key='k', proxy='http://p'); a.connect_pulse(api_key='k', proxy='socks5://p');"
        "sys.exit('python_socks' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
