"""A byte stream to a host through a proxy. What the proxy writes stays out of every error."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import h11

from smallest_proto.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from smallest_proto.wire.http_head import HeadReader, HeadTooLongError
from smallest_transports._backend import Backend, Stream
from smallest_transports._connect_errors import cannot_connect
from smallest_transports._proxy import Proxy, check_target
from smallest_transports._tls import default_context, start_tls

MAX_HEAD = 16 * 1024
"""Bytes of a proxy's answer, and of the ones of the 1xx kind before it; a longer one is refused."""


async def connect_through(
    backend: Backend, proxy: Proxy, host: str, port: int, *, timeout: float | None
) -> Stream:
    """Have `proxy` connect to `host`, whose name it looks up itself, within `timeout` seconds.

    What comes back carries the target's bytes as a direct connection would; TLS with the target is still to be done.
    Raises ConnectFailed with code `proxy`, or DeadlineExceeded with code `connect`. Nothing is left open then, nor
    after a cancellation.
    """
    try:
        check_target(host)
    except UnicodeError as error:
        raise cannot_connect(host, port, error) from None
    if proxy.scheme == "socks5":
        return await backend.connect(host, port, timeout=timeout, socks=proxy)
    deadline = None if timeout is None else backend.now() + timeout
    with _naming_the_proxy():
        stream = await backend.connect(proxy.host, proxy.port, timeout=timeout)
    try:
        if proxy.scheme == "https":
            with _naming_the_proxy():
                stream = await start_tls(backend, stream, default_context(), proxy.host, proxy.port, deadline)
        answer = await _ask(backend, stream, proxy, host, port, deadline)
        if isinstance(answer, ConnectFailed):
            raise answer  # here, where no exception that quotes the proxy becomes its context
    except ConnectionLost:
        await stream.aclose()
        raise proxy.failed("hung up") from None
    except BaseException:
        await stream.aclose()
        raise
    return _Ahead(stream, answer) if answer else stream


@contextmanager
def _naming_the_proxy() -> Iterator[None]:
    try:
        yield
    except ConnectFailed as error:
        raise ConnectFailed(f"proxy: {error}", code="proxy", retryable=error.retryable) from None
    except DeadlineExceeded as error:
        raise DeadlineExceeded(f"proxy: {error}", code=error.code) from None


async def _ask(
    backend: Backend, stream: Stream, proxy: Proxy, host: str, port: int, deadline: float | None
) -> bytes | ConnectFailed:
    """Ask with CONNECT (RFC 9110, 9.3.6). Returns what the target has said already, or why there is no tunnel."""
    conn = h11.Connection(h11.CLIENT)
    head = HeadReader(conn, MAX_HEAD)
    await stream.write(_request(conn, proxy, host, port), deadline)
    rest = b""
    while True:
        try:
            event, rest = head.receive(rest)
        except (h11.RemoteProtocolError, HeadTooLongError):
            return proxy.failed("does not answer as an HTTP proxy does")
        if isinstance(event, h11.Response):
            return rest if 200 <= event.status_code < 300 else _refusal(proxy, event.status_code)
        if rest:
            continue
        data = await stream.read(deadline)
        if data == b"":
            return proxy.failed("hung up")
        if data is not None:
            rest = data
        elif deadline is not None and backend.now() >= deadline:
            raise DeadlineExceeded(
                f"the proxy {proxy.host} port {proxy.port} did not answer in time", code="connect"
            )


def _request(conn: h11.Connection, proxy: Proxy, host: str, port: int) -> bytes:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = [("Host", authority)]
    if proxy.credentials is not None:
        token = b64encode(b":".join(proxy.credentials)).decode()
        headers.append(("Proxy-Authorization", f"Basic {token}"))
    head = conn.send(h11.Request(method="CONNECT", target=authority, headers=headers))
    rest = conn.send(h11.EndOfMessage())
    return (head or b"") + (rest or b"")


def _refusal(proxy: Proxy, status: int) -> ConnectFailed:
    if status == 407:
        return proxy.wants_other_credentials(status)
    retryable = status >= 500 or status in (408, 429)
    return proxy.failed(f"refused to connect: HTTP {status}", status=status, retryable=retryable)


class _Ahead:
    """A `Stream` of which something was read already."""

    def __init__(self, stream: Stream, data: bytes) -> None:
        self._stream = stream
        self._data = data

    @property
    def clogged(self) -> bool:
        return self._stream.clogged

    @property
    def readable(self) -> bool:
        return bool(self._data) or self._stream.readable

    @property
    def broken(self) -> bool:
        return self._stream.broken

    async def read(self, deadline: float | None) -> bytes | None:
        if not self._data:
            return await self._stream.read(deadline)
        data, self._data = self._data, b""
        return data

    def wake(self) -> None:
        self._stream.wake()

    def send(self, data: bytes) -> None:
        self._stream.send(data)

    async def write(self, data: bytes, deadline: float | None) -> None:
        await self._stream.write(data, deadline)

    async def aclose(self) -> None:
        await self._stream.aclose()
