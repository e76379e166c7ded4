"""The service behind a proxy, the proxy, and what a client makes of them."""

import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import pytest
import trustme

from canary import CANARY, told
from loops import LOOPS, Net, contexts
from proxies import SERVICE, Behaviour, ProxyServer, proxy_server
from smallest_proto.errors import ConnectFailed, DeadlineExceeded
from sockets import Peer, hosted, raw_server

CREDENTIALS = "me:p-4nary-ss"
PASSWORD = "p-4nary-ss"

KINDS: tuple[Literal["http", "https", "socks5"], ...] = ("http", "https", "socks5")
EVERY_KIND = pytest.mark.parametrize("scheme", KINDS)
PLAIN_KINDS = pytest.mark.parametrize("scheme", ["http", "socks5"])
TWO_LOOPS = pytest.mark.parametrize("net", [Net(loop, "tcp") for loop in ("asyncio", "trio")], ids=repr)
ALL_LOOPS = pytest.mark.parametrize("net", [Net(loop, "tcp") for loop in LOOPS], ids=repr)
ANSWERS = {"http": len(b"HTTP/1.1 200 Connected\r\nVia: me\r\n\r\n"), "socks5": 2 + 2 + 10}
"""Bytes that a proxy with credentials answers in all."""


@cache
def certified() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for the service alone, and a client's that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert(SERVICE).configure_cert(server)
    authority.configure_trust(client)
    return server, client


@contextmanager
def service(net: Net, behave: Callable[[Peer], Awaitable[None]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server that only proxies can reach by its name: its base URL, and connect options that trust it."""
    secure = net.carrier == "tls"
    with hosted(raw_server(behave, ssl=certified()[0] if secure else None)) as url:
        port = urlsplit(url).port
        yield (
            f"{'https' if secure else 'http'}://{SERVICE}:{port}",
            {"api_key": CANARY, "ssl_context": certified()[1] if secure else None},
        )


@contextmanager
def proxied(scheme: Literal["http", "https", "socks5"], **behaviour: Any) -> Iterator[ProxyServer]:
    tls = contexts()[0] if scheme == "https" else None
    with hosted(proxy_server(scheme, Behaviour(**behaviour), ssl=tls)) as proxy:
        yield proxy


async def left(proxy: ProxyServer) -> None:
    """Wait until every client has hung up: what is forgotten open ends the test by its deadline."""
    while proxy.open:  # noqa: ASYNC110  # another thread's doing
        await anyio.sleep(0.001)


async def voices(peer: Peer) -> None:
    await peer.read_request()
    body = b'{"voices":[]}'
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
    peer.send(body)
    await peer.until_gone()


async def nobody(peer: Peer) -> None:
    await peer.until_gone()


async def pulse(net: Net, **connect: Any) -> list[object]:
    events: list[object] = []
    async with net.on.connect_pulse(**connect) as stream:
        await stream.send_audio(bytes(6400))
        await stream.end_input()
        async for event in stream:
            events.append(event)
    return events


def shown(error: BaseException, *more: object) -> str:
    """All that a log, a traceback or a report could show of an error, locals included."""
    return "".join((*told(error), *map(repr, more)))


async def failure(net: Net, proxy: str, **connect: Any) -> ConnectFailed | DeadlineExceeded:
    try:
        async with net.on.connect_pulse(
            base_url=f"http://{SERVICE}:1", api_key=CANARY, proxy=proxy, **connect
        ):
            raise AssertionError("connected")
    except (ConnectFailed, DeadlineExceeded) as error:
        return error
