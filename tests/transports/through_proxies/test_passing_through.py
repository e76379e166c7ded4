"""What passes through a proxy, and what the proxy sees of it."""

import logging
from base64 import b64encode
from typing import Literal
from urllib.parse import urlsplit

import pytest

from canary import CANARY
from loops import EVERY_NET, Net, contexts
from proxies import SERVICE
from smallest_proto import FinalTranscript
from smallest_proto.errors import ConnectFailed
from smallest_transports._proxy import parse_proxy
from smallest_transports._tunnel import connect_through
from sockets import Peer, hosted, raw_server, transcript
from transports.through_proxies.ends import (
    ALL_LOOPS,
    CREDENTIALS,
    EVERY_KIND,
    PASSWORD,
    PLAIN_KINDS,
    TWO_LOOPS,
    left,
    nobody,
    proxied,
    pulse,
    service,
    voices,
)


async def hello(peer: Peer) -> None:
    await peer.accept()
    await peer.until("close_stream")
    peer.text(transcript("hello", is_last=True))
    peer.close_frame(1000)
    await peer.until_gone()


@EVERY_NET
@EVERY_KIND
def test_a_stream_through_a_proxy(
    net: Net, scheme: Literal["http", "https", "socks5"], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with service(net, hello) as (url, connect), proxied(scheme, credentials=CREDENTIALS) as proxy:

        async def main() -> None:
            events = await pulse(net, base_url=url, proxy=proxy.url, **connect)
            assert [event.text for event in events if isinstance(event, FinalTranscript)] == ["hello"]
            await left(proxy)

        net.run(main)
        assert proxy.targets == [(SERVICE, urlsplit(url).port)]  # the name itself: looked up over there
        assert CANARY.encode() not in proxy.asked
        assert (CANARY.encode() in proxy.tunnelled) is (net.carrier == "tcp")
        assert SERVICE.encode() in proxy.tunnelled  # the Host header, or the name in the ClientHello
    for secret in (CANARY, PASSWORD, b64encode(CREDENTIALS.encode()).decode()):
        assert secret not in caplog.text + repr([record.__dict__ for record in caplog.records])


@ALL_LOOPS
@PLAIN_KINDS
def test_a_request_through_a_proxy(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with service(net, voices) as (url, connect), proxied(scheme) as proxy:

        async def main() -> None:
            assert await net.on.list_voices(base_url=url, proxy=proxy.url, **connect) == ()
            await left(proxy)

        net.run(main)
        assert CANARY.encode() not in proxy.asked


@TWO_LOOPS
@PLAIN_KINDS
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
def test_the_environment_is_enough(
    net: Net, scheme: Literal["http", "socks5"], variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(net, voices) as (url, connect), proxied(scheme, credentials=CREDENTIALS) as proxy:
        monkeypatch.setenv(variable, proxy.url)

        async def main() -> None:
            await net.on.list_voices(base_url=url, **connect)
            with pytest.raises(ConnectFailed) as caught:  # nobody else knows this host
                await net.on.list_voices(base_url=url, proxy="", **connect)
            assert caught.value.code == "connect"
            await left(proxy)

        net.run(main)
        assert len(proxy.targets) == 1


@TWO_LOOPS
@PLAIN_KINDS
def test_a_target_given_as_an_address(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with hosted(raw_server(voices)) as url, proxied(scheme) as proxy:
        port = urlsplit(url).port

        async def main() -> None:
            await net.on.list_voices(base_url=url, proxy=proxy.url)
            for host in ("[2001:db8::7]", "no-such-host.test"):
                with pytest.raises(ConnectFailed) as caught:
                    await net.on.list_voices(
                        base_url=f"http://{host}:{port}", proxy=proxy.url, api_key=CANARY
                    )
                assert caught.value.code == "proxy"
            await left(proxy)

        net.run(main)
        assert [host for host, _ in proxy.targets] in (
            ["127.0.0.1", "2001:db8::7", "no-such-host.test"],
            ["127.0.0.1", "2001:0db8:0000:0000:0000:0000:0000:0007", "no-such-host.test"],
        )
        assert scheme == "socks5" or f"CONNECT [2001:db8::7]:{port} HTTP/1.1\r\n".encode() in proxy.asked


@ALL_LOOPS
@EVERY_KIND
def test_a_certificate_is_the_targets(net: Net, scheme: Literal["http", "https", "socks5"]) -> None:
    net = Net(net.loop, "tls")
    with service(net, nobody) as (url, connect), proxied(scheme) as proxy:
        connect["ssl_context"] = contexts()[1]  # trusts the proxy that speaks TLS, not the service

        async def main() -> None:
            with pytest.raises(ConnectFailed, match=SERVICE) as caught:
                await pulse(net, base_url=url, proxy=proxy.url, **connect)
            assert caught.value.code == "tls"
            await left(proxy)

        net.run(main)


@TWO_LOOPS
@PLAIN_KINDS
def test_credentials_are_percent_decoded(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with service(net, voices) as (url, connect), proxied(scheme, credentials="a b:/:@%") as proxy:

        async def main() -> None:
            await net.on.list_voices(base_url=url, proxy=proxy.url_with("a%20b:%2F:%40%25"), **connect)
            await left(proxy)

        net.run(main)


@TWO_LOOPS
@EVERY_KIND
@pytest.mark.parametrize("early", [b"S", b"first" * 10_000])
def test_what_the_target_says_at_once(
    net: Net, scheme: Literal["http", "https", "socks5"], early: bytes
) -> None:
    async def speaks_first(peer: Peer) -> None:
        peer.send(b"then this")
        await peer.until_gone()

    with service(net, speaks_first) as (url, _), proxied(scheme, early=early) as proxy:
        found = parse_proxy(proxy.url, "proxy")
        port = urlsplit(url).port
        assert port is not None

        async def main() -> None:
            backend = net.on._backend
            stream = await connect_through(backend, found, SERVICE, port, timeout=5)
            heard = b""
            while len(heard) < len(early) + 9:
                data = await stream.read(backend.now() + 5)
                assert data
                heard += data
            assert heard == early + b"then this"
            assert not stream.clogged
            stream.wake()
            assert await stream.read(backend.now()) is None
            await stream.write(b"x", None)
            await stream.aclose()
            await left(proxy)

        net.run(main)
        assert proxy.tunnelled == b"x"
