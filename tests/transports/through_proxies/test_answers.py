"""What a proxy answers: rubbish, too much, piece by piece, or less than all."""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Literal
from urllib.parse import urlsplit

import pytest

from canary import CANARY
from loops import Net
from smallest_proto.errors import ConnectFailed
from smallest_transports._tunnel import MAX_HEAD
from sockets import Peer, hosted, raw_server
from transports.through_proxies.ends import (
    ALL_LOOPS,
    ANSWERS,
    CREDENTIALS,
    PASSWORD,
    PLAIN_KINDS,
    TWO_LOOPS,
    failure,
    left,
    nobody,
    proxied,
    service,
    shown,
    voices,
)


def saying(
    data: bytes, *, endless: bool = False, then_wait: bool = True
) -> Callable[[Peer], Awaitable[None]]:
    async def behave(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(data)
        while endless:
            await peer.writer.drain()
            peer.send(data)
        if then_wait:
            await peer.until_gone()

    return behave


async def reset(peer: Peer) -> None:
    await peer.reader.read(1)
    peer.reset()


RUBBISH: dict[str, tuple[str, Callable[[Peer], Awaitable[None]]]] = {
    "not HTTP": ("http", saying(b"\x00\x01 what?\r\n\r\n")),
    "a binary blob": ("http", saying(bytes(range(256)) * 400)),
    "HTTP without a number": ("http", saying(b"HTTP/1.1 SECRET WORDS\r\n\r\n")),
    "a request": ("http", saying(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")),
    "headers without end": ("http", saying(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 65536, endless=True)),
    "a header too long, all at once": (
        "http",
        saying(b"HTTP/1.1 200 OK\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n"),
    ),
    "header lines without end": ("http", saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, endless=True)),
    "interim answers without end": ("http", saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 99, endless=True)),
    "an upgrade": ("http", saying(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n")),
    "a refusal with a body without end": (
        "http",
        saying(b"HTTP/1.1 403 No\r\n\r\n" + b"a" * 65536, endless=True),
    ),
    "half an answer": ("http", saying(b"HTTP/1.1 200 O", then_wait=False)),
    "nothing": ("http", saying(b"", then_wait=False)),
    "a reset": ("http", reset),
    "SOCKS4": ("socks5", saying(b"\x00\x5a" + bytes(6))),
    "HTTP to SOCKS5": ("socks5", saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "a method not offered": ("socks5", saying(b"\x05\x01")),
    "no such method": ("socks5", saying(b"\x05\x77")),
    "a later version": ("socks5", saying(b"\x05\x00\x06\x00\x00\x01" + bytes(6))),
    "no such reply": ("socks5", saying(b"\x05\x00\x05\x99\x00\x01" + bytes(6))),
    "a reserved byte": ("socks5", saying(b"\x05\x00\x05\x00\x01\x01" + bytes(6))),
    "no such kind of address": ("socks5", saying(b"\x05\x00\x05\x00\x00\x09" + bytes(99))),
    "a name that is no text": ("socks5", saying(b"\x05\x00\x05\x00\x00\x03\x02\xff\xfe\x00\x50")),
    "zeros without end": ("socks5", saying(bytes(65536), endless=True)),
    "nothing to SOCKS5": ("socks5", saying(b"", then_wait=False)),
    "a reset to SOCKS5": ("socks5", reset),
    "a reply too short": ("socks5", saying(b"\x05\x00\x05\x00", then_wait=False)),
}


@TWO_LOOPS
@pytest.mark.parametrize(("scheme", "behave"), RUBBISH.values(), ids=RUBBISH)
def test_a_proxy_that_is_none(net: Net, scheme: str, behave: Callable[[Peer], Awaitable[None]]) -> None:
    with hosted(raw_server(behave)) as url:
        port = urlsplit(url).port
        error = net.run(lambda: failure(net, f"{scheme}://{CREDENTIALS}@127.0.0.1:{port}"))
    assert isinstance(error, ConnectFailed)
    assert error.code == "proxy"
    assert f"proxy 127.0.0.1 port {port} " in str(error)
    text = shown(error)
    for secret in (PASSWORD, "SECRET", CANARY, b64encode(CREDENTIALS.encode()).decode()):
        assert secret not in text


@TWO_LOOPS
@pytest.mark.parametrize("before", [b"HTTP/1.1 100 x\r\nX: " + b"a" * 8192, b"HTTP/1.1 100 x\r\n\r\n" * 500])
def test_a_long_answer(net: Net, before: bytes) -> None:
    fits = before.removesuffix(b"\r\n\r\n") + b"\r\n\r\nHTTP/1.1 403 No\r\n\r\n"
    assert MAX_HEAD // 2 < len(fits) < MAX_HEAD
    with hosted(raw_server(saying(fits))) as url:
        assert net.run(lambda: failure(net, url)).status == 403


@ALL_LOOPS
@PLAIN_KINDS
def test_an_answer_byte_by_byte(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with (
        service(net, voices) as (url, connect),
        proxied(scheme, dribble=True, credentials=CREDENTIALS) as proxy,
    ):

        async def main() -> None:
            await net.on.list_voices(base_url=url, proxy=proxy.url, **connect)
            await left(proxy)

        net.run(main)
        assert proxy.answered == ANSWERS[scheme]


@TWO_LOOPS
@PLAIN_KINDS
def test_an_answer_cut_at_every_byte(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with service(net, nobody) as (url, connect), proxied(scheme, credentials=CREDENTIALS) as proxy:

        async def main() -> None:
            for cut in range(ANSWERS[scheme]):
                proxy.answered, proxy.behaviour.cut = 0, cut
                with pytest.raises(ConnectFailed) as caught:
                    await net.on.list_voices(base_url=url, proxy=proxy.url, **connect)
                assert str(caught.value).startswith(f"the proxy 127.0.0.1 port {proxy.port} hung up"), cut
                assert (caught.value.code, caught.value.retryable) == ("proxy", True)
                await left(proxy)

        net.run(main)
