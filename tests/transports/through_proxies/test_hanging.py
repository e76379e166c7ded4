"""A proxy or a target that hangs ends by a deadline or by cancellation, with nothing left open."""

from typing import Literal

import anyio
import pytest

from canary import CANARY
from loops import Net
from proxies import SERVICE
from smallest_proto.errors import DeadlineExceeded
from transports.through_proxies.ends import (
    ALL_LOOPS,
    ANSWERS,
    CREDENTIALS,
    EVERY_KIND,
    PASSWORD,
    PLAIN_KINDS,
    TWO_LOOPS,
    left,
    nobody,
    proxied,
    service,
    shown,
)


@ALL_LOOPS
@PLAIN_KINDS
def test_cancelled_at_every_byte_of_the_answer(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with service(net, nobody) as (url, connect), proxied(scheme, credentials=CREDENTIALS, hang=True) as proxy:

        async def main() -> None:
            for cut in range(ANSWERS[scheme]):
                proxy.answered, proxy.behaviour.cut = 0, cut
                asked = len(proxy.asked)
                async with anyio.create_task_group() as tasks:

                    async def attempt() -> None:
                        await net.on.list_voices(base_url=url, proxy=proxy.url, **connect)

                    tasks.start_soon(attempt)
                    while proxy.answered < cut or len(proxy.asked) == asked:  # noqa: ASYNC110
                        await anyio.sleep(0.001)
                    assert proxy.open
                    tasks.cancel_scope.cancel()
                await left(proxy)

        net.run(main)


@TWO_LOOPS
@EVERY_KIND
@pytest.mark.parametrize("cut", [0, 5])
def test_a_proxy_that_hangs(net: Net, scheme: Literal["http", "https", "socks5"], cut: int) -> None:
    with proxied(scheme, cut=cut, hang=True, credentials=CREDENTIALS, refuse=5) as proxy:

        async def main() -> None:
            with pytest.raises(DeadlineExceeded) as caught:
                await net.on.list_voices(
                    base_url=f"http://{SERVICE}", proxy=proxy.url, api_key=CANARY, connect_timeout=0.15
                )
            assert caught.value.code == "connect"
            assert PASSWORD not in shown(caught.value)
            await left(proxy)

        net.run(main)


@TWO_LOOPS
@PLAIN_KINDS
def test_a_target_that_hangs_in_the_tunnel(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with service(net, nobody) as (url, _), proxied(scheme) as proxy:

        async def main() -> None:
            with pytest.raises(DeadlineExceeded) as caught:  # no TLS ever comes of it
                await net.on.list_voices(
                    base_url=url.replace("http:", "https:"),
                    proxy=proxy.url,
                    api_key=CANARY,
                    connect_timeout=0.3,
                )
            assert caught.value.code == "connect"
            await left(proxy)

        net.run(main)
