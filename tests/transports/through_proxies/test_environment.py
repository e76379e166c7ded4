"""Which proxy the environment names, and for which hosts."""

import pytest

from proxies import SERVICE
from smallest_transports._proxy import find_proxy


def chosen(host: str, *, secure: bool = True, port: int = 443) -> str | None:
    found = find_proxy(None, host, port, secure)
    return None if found is None else found.host


def test_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(SERVICE) is None
    monkeypatch.setenv("ALL_PROXY", "http://for-all")
    assert [chosen(SERVICE, secure=secure) for secure in (True, False)] == ["for-all", "for-all"]
    monkeypatch.setenv("HTTPS_PROXY", "http://for-tls")
    monkeypatch.setenv("HTTP_PROXY", "http://for-plain")
    assert [chosen(SERVICE, secure=secure) for secure in (True, False)] == ["for-tls", "for-plain"]
    monkeypatch.setenv("https_proxy", "http://lower")
    assert chosen(SERVICE) == "lower"
    monkeypatch.setenv("https_proxy", "")  # an empty one takes it back
    assert chosen(SERVICE) == "for-all"
    monkeypatch.setenv("REQUEST_METHOD", "GET")  # in a CGI script HTTP_PROXY is a header of the client's
    assert chosen(SERVICE, secure=False) == "for-all"
    monkeypatch.setenv("http_proxy", "http://mine")
    assert chosen(SERVICE, secure=False) == "mine"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_never_for_this_machine_unless_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://")  # not even looked at
    assert chosen(host) is None
    named = find_proxy("http://p", host, 443, True)
    assert named is not None
    assert named.host == "p"


@pytest.mark.parametrize(
    ("no_proxy", "host", "bypassed"),
    [
        ("service.test", SERVICE, True),
        ("x, SERVICE.test", SERVICE, True),
        ("test", SERVICE, True),
        (".test", SERVICE, True),
        ("ice.test", SERVICE, False),
        ("service.test:443", SERVICE, True),
        ("service.test:80", SERVICE, False),
        ("*", SERVICE, True),
        ("", SERVICE, False),
        (",,", SERVICE, False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.0.1/16", "10.1.2.3", True),
        ("11.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8", SERVICE, False),
        ("fd00::/8", "fd00::7", True),
        ("fd00::7", "fd00::7", True),
        ("[fd00::7]", "fd00::7", True),
        ("[fd00::7]:443", "fd00::7", True),
        ("[fd00::7]:80", "fd00::7", False),
        ("[fd00::]/8", "fd00::7", True),
        ("[fd00::]/8:80", "fd00::7", False),
        ("[nonsense]", "fd00::7", False),
        ("*.test", SERVICE, True),
        ("x, *.service.test", SERVICE, True),
        ("*.ice.test", SERVICE, False),
        ("x, *", SERVICE, True),
        ("fd00::/8", "10.1.2.3", False),
        ("10.0.0.0/99, 10.1.2.3", "10.1.2.3", True),
    ],
)
def test_no_proxy(no_proxy: str, host: str, bypassed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert chosen(host) == (None if bypassed else "p")
    assert find_proxy("http://named", host, 443, True) is not None  # the option stands above it
    assert find_proxy("", SERVICE, 443, True) is None
