"""From what the user gave to an open connection: the key, TLS, the upgrade."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ssl import SSLContext
from typing import TypedDict

import msgspec

from smallest_proto import checks
from smallest_proto.endpoints import (
    API_KEY_VARIABLE,
    BASE_URL,
    ApiKey,
    Destination,
    UpgradeRequest,
    split_base_url,
)
from smallest_proto.errors import ConnectionLost
from smallest_proto.events import ConnectionClosed
from smallest_proto.limits import Limits
from smallest_proto.message_layer import MessageLayer
from smallest_proto.wire import HandshakeCompleted, Mask, WebSocketWire
from smallest_transports._backend import AT_ONCE, Backend, Stream
from smallest_transports._link import Link
from smallest_transports._proxy import Proxy, find_proxy
from smallest_transports._tls import default_context, start_tls
from smallest_transports._tunnel import connect_through

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


class ConnectOptions(TypedDict, total=False):
    """Where and how to connect: keyword arguments of every function that does.

    api_key: the key; SMALLEST_API_KEY in the environment unless given. Plain HTTP on this machine needs none.
    base_url: the service; the vendor's own unless given.
    headers: further headers for the request.
    ssl_context: instead of `ssl.create_default_context()`, which verifies.
    connect_timeout: seconds for name look-up, TCP, proxy and TLS together; 10 unless given, None for no limit.
    proxy: [http|https|socks5|socks5h://][USER:PASSWORD@]HOST[:PORT], whatever the service's host, whose name the proxy
        looks up; "" for none. Unless given, HTTPS_PROXY (HTTP_PROXY for plain HTTP) or ALL_PROXY in the environment,
        but none for hosts in NO_PROXY or on this machine. SOCKS5 needs `pip install 'smallest-proto[proxy]'`.
    limits: sizes and the other waiting times.
    """

    api_key: str | None
    base_url: str | None
    headers: Mapping[str, str] | None
    ssl_context: SSLContext | None
    connect_timeout: float | None
    proxy: str | None
    limits: Limits | None


class ConnectSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`ConnectOptions`, checked and filled in."""

    api_key: ApiKey | None
    base_url: str
    headers: Mapping[str, str]
    ssl_context: SSLContext | None
    connect_timeout: float | None
    proxy: Proxy | None
    limits: Limits

    def __repr__(self) -> str:
        return f"ConnectSettings(base_url={self.base_url!r})"


_KINDS: dict[str, tuple[type, str]] = {
    "headers": (Mapping, "a"),
    "ssl_context": (SSLContext, "an"),
    "limits": (Limits, "a"),
}
_LIMITS = Limits()
_NO_HEADERS: Mapping[str, str] = {}


def settings(given: ConnectOptions) -> ConnectSettings:
    """Check and fill in what the user gave. Raises ValueError naming the field, or the missing key's variable.

    The key and the proxy are taken out of `given`: whoever awaits with it in his frame shows them in no traceback.
    """
    key = None if given.get("api_key") is None else ApiKey(given.pop("api_key") or "")
    base_url = given.get("base_url")
    base_url = BASE_URL if base_url is None else base_url
    proxy = find_proxy(given.pop("proxy", None), *split_base_url(base_url)[:3])
    if unknown := given.keys() - ConnectOptions.__annotations__.keys():
        raise TypeError(
            f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(ConnectOptions.__annotations__)}"
        )
    for name, (kind, article) in _KINDS.items():
        if (value := given.get(name)) is not None and not isinstance(value, kind):
            raise checks.refuse(name, value, f"{article} {kind.__name__}, or None")
    if (timeout := given.get("connect_timeout")) is not None:
        checks.positive("connect_timeout", timeout)
    return ConnectSettings(
        api_key=key or find_key(None, base_url),
        base_url=base_url,
        headers=dict(headers) if (headers := given.get("headers")) else _NO_HEADERS,
        ssl_context=given.get("ssl_context"),
        connect_timeout=given.get("connect_timeout", 10.0),
        proxy=proxy,
        limits=given.get("limits") or _LIMITS,
    )


def find_key(api_key: str | None, base_url: str) -> ApiKey | None:
    """The key given, else the one in the environment; none is needed for plain HTTP on this machine.

    Raises ValueError when there is none.
    """
    if api_key is not None:
        return ApiKey(api_key)
    host, _, secure, _ = split_base_url(base_url)
    if value := os.environ.get(API_KEY_VARIABLE, "").strip():
        return ApiKey(value)
    if host in LOOPBACK_HOSTS and not secure:
        return None
    raise ValueError(f"no API key: give api_key, or set {API_KEY_VARIABLE} in the environment")


async def open_stream(backend: Backend, where: Destination, given: ConnectSettings) -> Stream:
    """Connect, with TLS if it is asked for. Raises ConnectFailed, or DeadlineExceeded with code `connect`."""
    timeout = given.connect_timeout
    deadline = None if timeout is None else backend.now() + timeout
    if given.proxy is None:
        stream = await backend.connect(where.host, where.port, timeout=timeout)
    else:
        stream = await connect_through(backend, given.proxy, where.host, where.port, timeout=timeout)
    if not where.secure:
        return stream
    context = given.ssl_context or default_context()
    try:
        return await start_tls(backend, stream, context, where.host, where.port, deadline)
    except BaseException:
        await stream.aclose()
        raise


async def open_link(
    backend: Backend,
    conn: MessageLayer,
    request: UpgradeRequest,
    given: ConnectSettings,
    *,
    mask: Mask | None = None,
) -> Link:
    """Connect, upgrade, and return the link once the server has accepted.

    `mask` takes the place of the wire's own.
    Raises ConnectFailed, DeadlineExceeded (`connect`, `handshake`), HandshakeRejected, RemoteProtocolError or
    ConnectionLost; nothing is left open then, nor after a cancellation.
    """
    wire = WebSocketWire(conn, request, limits=given.limits, mask=mask)
    stream = await open_stream(backend, request, given)
    link = Link(backend, stream, wire)
    try:
        wire.connect(backend.now())
        await link.flush(AT_ONCE)  # the rest while the answer is awaited, under its deadline
        event = await link.next_event()
        if isinstance(event, HandshakeCompleted):
            return link
        while event is not None and not isinstance(event, ConnectionClosed):
            event = await link.next_event()
        error = event.error if event is not None else None
        raise error or ConnectionLost("the connection ended before the upgrade was complete", status=1006)
    except BaseException:
        await stream.aclose()
        raise
