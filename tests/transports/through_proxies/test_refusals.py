"""A proxy that refuses, cannot be reached, or is not trusted."""

import logging
import pickle
from base64 import b64encode
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

import pytest

from canary import CANARY
from loops import Net
from smallest_proto.errors import ConnectFailed, DeadlineExceeded
from smallest_transports import _tunnel
from sockets import hosted, raw_server
from transports.through_proxies.ends import (
    ALL_LOOPS,
    CREDENTIALS,
    EVERY_KIND,
    PASSWORD,
    PLAIN_KINDS,
    TWO_LOOPS,
    certified,
    failure,
    left,
    nobody,
    proxied,
    shown,
)


@TWO_LOOPS
@EVERY_KIND
def test_credentials_that_are_not_taken(
    net: Net, scheme: Literal["http", "https", "socks5"], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with proxied(scheme, credentials=CREDENTIALS) as proxy:

        async def main() -> None:
            for given in (None, "me:wr0ng-pw", "other:p-4nary-ss", "m%20e:%2Fp%40"):
                error = await failure(net, proxy.url_with(given))
                assert isinstance(error, ConnectFailed)
                assert (error.code, error.retryable) == ("proxy", False)
                assert error.status == (None if scheme == "socks5" else 407)
                wanted = "other credentials" if given else "credentials: USER:PASSWORD@ in its URL"
                assert str(error) == f"the proxy {proxy.host} port {proxy.port} wants {wanted}"
                text = shown(error, pickle.dumps(error), caplog.text, [r.__dict__ for r in caplog.records])
                for secret in ("wr0ng-pw", PASSWORD, "/p@", CANARY, b64encode(b"me:wr0ng-pw").decode()):
                    assert secret not in text
                assert "Go away" not in text
            await left(proxy)

        net.run(main)


REFUSALS: dict[str, dict[int, bool]] = {
    "http": {
        **dict.fromkeys((408, 429, 500, 502, 503, 504), True),
        **dict.fromkeys((301, 400, 403, 404, 405), False),
    },
    "socks5": {reply: reply not in (2, 7, 8) for reply in range(1, 9)},
}
"""Answers in place of a tunnel, and whether another attempt may help."""


@TWO_LOOPS
@PLAIN_KINDS
def test_a_refusal(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with proxied(scheme) as proxy:

        async def main() -> None:
            for answer, retryable in REFUSALS[scheme].items():
                proxy.behaviour.refuse = answer
                error = await failure(net, proxy.url)
                assert isinstance(error, ConnectFailed)
                assert (error.code, error.retryable) == ("proxy", retryable), answer
                assert error.status == (answer if scheme == "http" else None)
                assert str(error).startswith(f"the proxy 127.0.0.1 port {proxy.port} ")
                assert "SECRET WORDS" not in shown(error)
            await left(proxy)

        net.run(main)


@ALL_LOOPS
@PLAIN_KINDS
def test_nobody_listens(net: Net, scheme: str) -> None:
    with hosted(raw_server(nobody)) as url:
        port = urlsplit(url).port
    error = net.run(lambda: failure(net, f"{scheme}://{CREDENTIALS}@127.0.0.1:{port}"))
    assert isinstance(error, ConnectFailed)
    assert (error.code, error.retryable) == ("proxy", True)
    assert f"proxy: cannot connect to 127.0.0.1 port {port}: Connection refused" in str(error)
    assert PASSWORD not in shown(error)


@TWO_LOOPS
@PLAIN_KINDS
def test_a_proxy_whose_name_is_unknown(net: Net, scheme: str) -> None:
    for name in ("nowhere.invalid", "x" * 64 + ".test"):
        proxy = f"{scheme}://{name}:1"
        error = net.run(partial(failure, net, proxy))
        assert isinstance(error, ConnectFailed)
        assert error.code == "proxy"
        assert str(error).startswith(f"proxy: cannot connect to {name} port 1: ")


@TWO_LOOPS
@PLAIN_KINDS
def test_a_target_that_cannot_be_named(net: Net, scheme: str) -> None:
    async def refused(host: str) -> None:
        with pytest.raises(ConnectFailed, match="no host can have this name") as caught:
            await net.on.list_voices(
                base_url=f"http://{host}", proxy=f"{scheme}://127.0.0.1:1", api_key=CANARY
            )
        assert not caught.value.retryable

    async def main() -> None:
        for host in ("x..test", "x" * 64, "1.2.3.04", "1.2.3.4.5", ".".join(["x" * 60] * 5)):
            await refused(host)

    net.run(main)


@TWO_LOOPS
def test_tls_with_the_proxy_itself(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tunnel, "default_context", lambda: certified()[1])  # does not trust it
    with proxied("https") as proxy, hosted(raw_server(nobody)) as silent:

        async def main() -> None:
            error = await failure(net, proxy.url)
            assert (error.code, error.retryable) == ("proxy", False)
            assert str(error).startswith(f"proxy: TLS to localhost port {proxy.port} failed: ")
            late = await failure(net, silent.replace("http:", "https:"), connect_timeout=0.15)
            assert isinstance(late, DeadlineExceeded)
            assert late.code == "connect"
            assert str(late).startswith("proxy: no TLS with 127.0.0.1 ")
            await left(proxy)

        net.run(main)
