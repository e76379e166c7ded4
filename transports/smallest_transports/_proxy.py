"""Which proxy a connection goes through: an option, or the environment. Nothing is opened here.

HTTP proxies are asked with CONNECT by h11, which the core has anyway (`_tunnel.py`). SOCKS5 is left to python-socks:
Apache 2.0, no dependencies, kept up, for asyncio and trio; socksio has had no release since 2020. python-socks could do
CONNECT too, but takes what its first read brings for the whole answer, and the rest for bytes of the target.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Literal, TypeAlias
from urllib.parse import unquote_to_bytes, urlsplit

from smallest_proto.errors import ConnectFailed

Scheme: TypeAlias = Literal["http", "https", "socks5"]

_SCHEMES: dict[str, tuple[Scheme, int]] = {
    "http": ("http", 80),
    "https": ("https", 443),
    "socks5": ("socks5", 1080),
    "socks5h": ("socks5", 1080),  # the name is always looked up by the proxy, so the two are one
}
_ACCEPTED = (
    "expected [http|https|socks5|socks5h://][USER:PASSWORD@]HOST[:PORT], "
    "with what is special in a URL percent-encoded in USER and PASSWORD"
)

_FORGEABLE = {"HTTP_PROXY", "http_proxy"} if os.name == "nt" else {"HTTP_PROXY"}
"""A CGI script has this from a header of its request. Windows has one variable, however it is spelled."""


class Proxy:
    """Where to ask for a tunnel. The repr shows no credentials.

    Attributes:
        scheme: `http` asks with CONNECT, `https` does so inside TLS to the proxy, `socks5` speaks RFC 1928.
        credentials: user and password as bytes, before any encoding of the protocol's own; None when not given.
    """

    __slots__ = ("credentials", "host", "port", "scheme")

    def __init__(
        self, scheme: Scheme, host: str, port: int, credentials: tuple[bytes, bytes] | None = None
    ) -> None:
        self.scheme = scheme
        self.host = host
        self.port = port
        self.credentials = credentials

    def __repr__(self) -> str:
        return f"Proxy({self.scheme}://{self.host}:{self.port})"

    def __reduce__(self) -> str:
        raise TypeError("a Proxy is not pickled, for it holds credentials: read it again where it is needed")

    def failed(self, cause: str, *, status: int | None = None, retryable: bool = True) -> ConnectFailed:
        """The error that this proxy did something, for example `hung up`."""
        text = f"the proxy {self.host} port {self.port} {cause}"
        return ConnectFailed(text, code="proxy", status=status, retryable=retryable)

    def wants_other_credentials(self, status: int | None = None) -> ConnectFailed:
        """The error that it did not take these, or wants some."""
        given = "other credentials" if self.credentials else "credentials: USER:PASSWORD@ in its URL"
        return self.failed(f"wants {given}", status=status, retryable=False)


def find_proxy(given: str | None, host: str, port: int, secure: bool) -> Proxy | None:
    """The proxy for a connection to `host`, if any.

    given: its URL, for any host; "" for none; None to go by the environment: HTTPS_PROXY for TLS, HTTP_PROXY
    otherwise, ALL_PROXY for both, none for hosts in NO_PROXY or on this machine. Variables may be lower case, which
    goes first. Raises ValueError naming the option or the variable, without its value.
    """
    if given is not None:
        return parse_proxy(given, "proxy") if given != "" else None
    name, url = _variable("https" if secure else "http")
    if not url:
        name, url = _variable("all")
    if not url or _on_this_machine(host) or _bypassed(host, port):
        return None
    return parse_proxy(url, name)


def parse_proxy(url: str, name: str) -> Proxy:
    """Check the URL of a proxy; `name` is what errors call it. Raises ValueError, which repeats nothing of the URL."""
    if not isinstance(url, str) or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise ValueError(f"{name} is not the URL of a proxy: {_ACCEPTED}")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{name} is not the URL of a proxy: {_ACCEPTED}") from None
    if not host or port == 0 or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{name} is not the URL of a proxy: {_ACCEPTED}")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{name}: proxies of this kind are not supported: {_ACCEPTED}")
    scheme, usual_port = _SCHEMES[parts.scheme]
    proxy = Proxy(scheme, host, port or usual_port, _credentials(parts.username, parts.password))
    _check_credentials(proxy, name)
    if scheme == "socks5" and find_spec("python_socks") is None:
        raise ValueError(
            f"{name} names a SOCKS5 proxy, which needs the package python-socks: pip install 'smallest-proto[proxy]'"
        )
    return proxy


def _credentials(user: str | None, password: str | None) -> tuple[bytes, bytes] | None:
    return (unquote_to_bytes(user), unquote_to_bytes(password or "")) if user is not None else None


def _check_credentials(proxy: Proxy, name: str) -> None:
    if proxy.credentials is None:
        return
    user, password = proxy.credentials
    if proxy.scheme == "socks5":
        # RFC 1929 has the lengths; python-socks encodes as ASCII, and would quote the password if it could not
        if not all(re.fullmatch(rb"[\x00-\x7f]{1,255}", part) for part in (user, password)):
            raise ValueError(
                f"{name}: USER and PASSWORD of a SOCKS5 proxy are 1 to 255 ASCII characters each"
            )
    elif b":" in user or re.search(rb"[\x00-\x1f\x7f]", user + password):  # RFC 7617
        raise ValueError(
            f"{name}: USER holds a colon, or USER or PASSWORD a control character: HTTP allows neither"
        )


def check_target(host: str) -> None:
    """Raise UnicodeError for a name that no proxy could be asked for, as a look-up on this machine would."""
    host.encode("idna")
    if len(host) > 255:
        raise UnicodeError("name too long")
    if re.fullmatch(r"[0-9.]+", host):
        try:
            IPv4Address(host)
        except ValueError:
            raise UnicodeError("not an address") from None


def _on_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _bypassed(host: str, port: int) -> bool:
    """What NO_PROXY says: names and their suffixes and HOST:PORT by the standard library, the rest here."""
    _, bypass = _variable("no")
    if not bypass:
        return False
    # slow to import; typeshed leaves it out
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    entries = [_WILDCARD.sub(".", entry.strip()) for entry in bypass.split(",")]
    if "*" in entries or proxy_bypass_environment(f"{host}:{port}", {"no": ",".join(entries)}):
        return True
    return any(_is_address_of(entry, host, port) for entry in entries)


_WILDCARD = re.compile(r"^\*\.")
_BRACKETED = re.compile(r"\[(?P<address>[^]]+)\](?P<mask>/[0-9]+)?(?::(?P<port>[0-9]+))?")


def _is_address_of(entry: str, host: str, port: int) -> bool:
    if bracketed := _BRACKETED.fullmatch(entry):
        if bracketed["port"] not in (None, str(port)):
            return False
        entry = bracketed["address"] + (bracketed["mask"] or "")
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False


def _variable(kind: str) -> tuple[str, str]:
    """The variable that names the proxy of this kind, and its value, "" for none."""
    for name in (f"{kind}_proxy", f"{kind.upper()}_PROXY"):
        if name in os.environ and not (name in _FORGEABLE and "REQUEST_METHOD" in os.environ):
            return name, os.environ[name]
    return "", ""
