"""Where the services live and how to ask for them: hosts, URLs, headers, and a key that never shows.

Sources: hosts and paths [seed], [lk 1.8.9], [asyncapi stt-live], [asyncapi tts-ws], [openapi tts].
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlencode, urlsplit

BASE_URL = "https://api.smallest.ai/waves/v1"
"""Default base of every service, in India [seed]."""

US_BASE_URL = "https://api.us.smallest.ai/waves/v1"
"""The USA, needed for streaming zh, yue, ja, ko and multi-asian [asyncapi pulse-ws]."""

API_KEY_VARIABLE = "SMALLEST_API_KEY"
SOURCE = "smallest-proto"

_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


class ApiKey:
    """A secret that can be used but not seen: `repr`, `str`, format and pickling show or keep nothing.

    Raises ValueError for a key that is empty or could not stand in a header.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise ValueError(f"api_key is of type {type(value).__name__}: expected a str")
        self._value = value.strip()
        del value  # a traceback may show what is in reach
        if not self._value:
            raise ValueError(
                f"api_key is empty: expected the key itself, or {API_KEY_VARIABLE} in the environment"
            )
        if not re.fullmatch(r"[\x21-\x7e]+", self._value):
            raise ValueError(
                "api_key holds a character that cannot stand in a header: expected printable ASCII"
            )

    def reveal(self) -> str:
        """The key itself, for the one place that writes it to the wire."""
        return self._value

    def __repr__(self) -> str:
        return "ApiKey(***)"

    def __reduce__(self) -> str:
        raise TypeError("an ApiKey is not pickled: read it again where it is needed")


class Destination:
    """Where a request goes and its headers: what WebSocket upgrades and other HTTP requests share.

    Attributes: `host` and `port` for the socket, `secure` (TLS), `target` (path and query), `headers`.
    """

    __slots__ = ("headers", "host", "port", "secure", "target")

    def __init__(
        self,
        *,
        host: str,
        port: int,
        secure: bool,
        target: str,
        headers: tuple[tuple[str, str], ...],
    ) -> None:
        self.host = host
        self.port = port
        self.secure = secure
        self.target = target
        self.headers = headers

    @property
    def host_header(self) -> str:
        """The Host header: with the port unless it is the scheme's own, and brackets round IPv6, without its zone."""
        host = f"[{self.host.partition('%')[0]}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def _describe(self, scheme: str) -> str:
        path = self.target.partition("?")[0]
        names = [name for name, _ in self.headers]
        return f"{scheme}://{self.host_header}{path}, headers={names}"

    __reduce__ = ApiKey.__reduce__


class UpgradeRequest(Destination):
    """A WebSocket upgrade to ask for: where to connect, and what to say there.

    Attributes: `host` and `port` for the socket, `secure` (wss), `target` (path and query), `headers`
    (without the ones that the handshake itself sets). The repr shows neither header values nor a token in
    the query.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"UpgradeRequest({self._describe('wss' if self.secure else 'ws')})"


def upgrade_request(
    base_url: str,
    path: str,
    query: Iterable[tuple[str, str]],
    *,
    api_key: ApiKey | None,
    headers: Mapping[str, str] | None = None,
) -> UpgradeRequest:
    """Build the upgrade for `base_url` + `path` + `query`.

    `base_url` may be http, https, ws or wss; trailing slashes are dropped [lk 1.8.9]. The query is
    form-encoded as both LiveKit clients do. `api_key` becomes `Authorization: Bearer KEY` and may be None
    for servers that want none. `headers` are added, and replace ours of the same name.
    Raises ValueError for a base that is not such a URL, holds credentials, a query or a fragment, and for
    header names or values that could break out of their line.
    """
    where = destination(base_url, path, query, api_key=api_key, headers=(headers or {},))
    return UpgradeRequest(
        host=where.host, port=where.port, secure=where.secure, target=where.target, headers=where.headers
    )


def destination(
    base_url: str,
    path: str,
    query: Iterable[tuple[str, str]],
    *,
    api_key: ApiKey | None,
    headers: Iterable[Mapping[str, str]],
) -> Destination:
    """What `upgrade_request` says; of several `headers` the later ones replace the earlier."""
    host, port, secure, prefix = split_base_url(base_url)
    pairs = urlencode(list(query))
    extra = [item for given in headers for item in given.items()]
    for name, value in extra:  # before the key is in reach of a traceback
        check_header(name, value)
    merged: dict[str, tuple[str, str]] = {}
    if api_key is not None:
        merged["authorization"] = ("Authorization", f"Bearer {api_key.reveal()}")
    merged["x-source"] = ("X-Source", SOURCE)
    merged |= {name.lower(): (name, value) for name, value in extra}
    target = f"{prefix}{path}" + (f"?{pairs}" if pairs else "")
    return Destination(host=host, port=port, secure=secure, target=target, headers=tuple(merged.values()))


def split_base_url(base_url: str) -> tuple[str, int, bool, str]:
    """Host, port, whether it is TLS, and the path without trailing slashes. Raises ValueError."""
    accepted = "expected http, https, ws or wss://HOST[:PORT][/PATH]"
    if not isinstance(base_url, str) or not re.fullmatch(r"[\x21-\x7e]+", base_url):
        raise ValueError(f"base_url is not a URL: {accepted}")
    if any(mark in base_url for mark in "@?#"):  # what follows them may be secret: it is not repeated
        raise ValueError("base_url holds credentials, a query or a fragment: " + accepted)
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise ValueError(f"base_url={base_url!r}: {accepted}") from None
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname or port == 0:
        raise ValueError(f"base_url={base_url!r}: {accepted}")
    secure = parts.scheme in ("https", "wss")
    host = parts.hostname.replace("%25", "%")  # the zone of an IPv6 address: RFC 6874
    return host, port or (443 if secure else 80), secure, parts.path.rstrip("/")


def check_header(name: str, value: str) -> None:
    """Raise ValueError unless this is a header that stays on its own line. The value is not repeated."""
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"headers: {name!r} is not a header name; expected letters, digits and - _ . only")
    if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
        raise ValueError(f"headers[{name!r}]: a value holds printable ASCII only, without line breaks")
