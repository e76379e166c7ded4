"""What keeps a stream from connecting: the network, timeouts, TLS, proxies, the session itself."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from typing import Any

import aiohttp
import pytest
import trustme

from canary import CANARY
from faults import silent
from smallest_proto.errors import ConnectFailed, DeadlineExceeded, LocalProtocolError, ProtocolError
from smallest_proto.pulse import StreamEnded
from smallest_transports.aiohttp import connect_pulse
from sockets import Peer, raw_server, run, transcript
from transports.over_aiohttp.clients import pulse_at


def connecting(url: str, **given: Any) -> ProtocolError:
    """What connecting to `url` raises."""

    async def main() -> None:
        async with pulse_at(url, api_key="k", **given):
            pass

    with pytest.raises(ProtocolError) as caught:
        run(main(), within=30)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def test_a_refused_connection() -> None:
    error = connecting("http://127.0.0.1:1")
    assert type(error) is ConnectFailed
    assert str(error) == "cannot connect to 127.0.0.1 port 1: Connection refused"


@pytest.mark.parametrize("host", ["a" * 64, "a..b"])
def test_a_name_that_no_host_can_have(host: str) -> None:
    error = connecting(f"http://{host}:80")
    assert type(error) is ConnectFailed
    assert host in str(error)


def test_the_sessions_own_timeout_to_connect() -> None:
    async def main() -> None:
        timeout = aiohttp.ClientTimeout(sock_connect=0.01)
        async with raw_server(silent) as url, aiohttp.ClientSession(timeout=timeout) as session:
            secure = url.replace("http:", "https:")  # TLS is part of it, and is never answered
            async with connect_pulse(session=session, base_url=secure, api_key="k", resume=False):
                pass

    with pytest.raises(DeadlineExceeded) as caught:
        run(main())
    assert caught.value.code == "connect"


def test_the_sessions_own_timeout_for_the_upgrade() -> None:
    async def main() -> None:
        timeout = aiohttp.ClientTimeout(total=0.1)
        async with (
            raw_server(silent) as url,
            aiohttp.ClientSession(timeout=timeout) as session,
            connect_pulse(session=session, base_url=url, api_key="k", resume=False),
        ):
            pass

    with pytest.raises(DeadlineExceeded) as caught:
        run(main())
    assert caught.value.code == "handshake"


def test_an_untrusted_certificate() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    async def main() -> None:
        async with raw_server(silent, ssl=context) as url, pulse_at(url, api_key="k"):
            pass

    with pytest.raises(ConnectFailed) as caught:
        run(main(), within=30)
    assert caught.value.code == "tls"
    assert not caught.value.retryable
    assert "issuer" in str(caught.value) or "certificate" in str(caught.value)


def test_a_trusted_certificate() -> None:
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trusting)

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("close_stream")
        peer.text(transcript("done", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave, ssl=context) as url:
            async with pulse_at(url, api_key="k", ssl_context=trusting) as stream:
                await stream.end_input()
                assert [e async for e in stream][-1] == StreamEnded(confirmed=True)
            await asyncio.sleep(0.1)  # TLS takes a turn or two more to close

    run(main())


def test_tls_to_a_plain_port() -> None:
    async def behave(peer: Peer) -> None:
        await peer.reader.read(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url.replace("http:", "https:"), api_key="k"):
            pass

    with pytest.raises(ConnectFailed, match="TLS to") as caught:
        run(main())
    assert caught.value.code == "tls"


def test_a_proxy_that_cannot_be_reached_or_refuses() -> None:
    async def main(proxy: str) -> None:
        async with (
            aiohttp.ClientSession(proxy=proxy) as session,
            connect_pulse(session=session, base_url="https://api.example", api_key="k", resume=False),
        ):
            pass

    async def refusing() -> None:
        async with raw_server(lambda peer: peer.refuse(407)) as url:
            await main(url)

    for case, status in ((main(f"http://{CANARY}:x@127.0.0.1:1"), None), (refusing(), 407)):
        with pytest.raises(ConnectFailed) as caught:
            run(case)
        assert caught.value.code == "proxy"
        assert caught.value.status == status
        assert CANARY not in str(caught.value)


def test_sessions_that_cannot_be_used() -> None:
    async def closed() -> None:
        session = aiohttp.ClientSession()
        await session.close()
        async with connect_pulse(session=session, api_key="k", resume=False):
            pass

    with pytest.raises(LocalProtocolError, match="session is closed"):
        run(closed())

    async def with_auth() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # newer versions want the header instead
            session = aiohttp.ClientSession(auth=aiohttp.BasicAuth("u", "p"))
        async with (
            session,
            connect_pulse(session=session, base_url="http://127.0.0.1:1", api_key="k", resume=False),
        ):
            pass

    with pytest.raises(LocalProtocolError, match="auth"):
        run(with_auth())


def test_options_that_are_the_sessions_are_refused() -> None:
    async def main() -> None:
        async with aiohttp.ClientSession() as session:
            with pytest.raises(TypeError, match="connect_timeout; expected session, api_key"):
                connect_pulse(session=session, api_key="k", connect_timeout=1, resume=False)  # type: ignore[call-arg]

    run(main())
