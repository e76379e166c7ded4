"""Through proxies that are real, on every loop: what passes, what they see, and what comes of their faults."""

import io
import logging
import pickle
import ssl
import subprocess
import sys
import traceback
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from loops import EVERY_NET, LOOPS, Net, contexts
from proxies import SERVICE, Behaviour, ProxyServer, proxy_server
from smallest_proto import FinalTranscript
from smallest_proto.errors import ConnectFailed, DeadlineExceeded
from smallest_transports import _proxy, _tunnel
from smallest_transports._connect import ConnectOptions, settings
from smallest_transports._proxy import find_proxy, parse_proxy
from smallest_transports._tunnel import MAX_HEAD, connect_through
from sockets import Peer, hosted, raw_server, transcript

CANARY = "sk_canary_5dc2a6"
CREDENTIALS = "me:p-4nary-ss"
PASSWORD = "p-4nary-ss"

KINDS: tuple[Literal["http", "https", "socks5"], ...] = ("http", "https", "socks5")
EVERY_KIND = pytest.mark.parametrize("scheme", KINDS)
PLAIN_KINDS = pytest.mark.parametrize("scheme", ["http", "socks5"])
TWO_LOOPS = pytest.mark.parametrize("net", [Net(loop, "tcp") for loop in ("asyncio", "trio")], ids=repr)
ALL_LOOPS = pytest.mark.parametrize("net", [Net(loop, "tcp") for loop in LOOPS], ids=repr)
ANSWERS = {"http": len(b"HTTP/1.1 200 Connected\r\nVia: me\r\n\r\n"), "socks5": 2 + 2 + 10}
"""Bytes that a proxy with credentials answers in all."""


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(_tunnel, "default_context", lambda: contexts()[1])  # for the proxies that speak TLS


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


async def hello(peer: Peer) -> None:
    await peer.accept()
    await peer.until("close_stream")
    peer.text(transcript("hello", is_last=True))
    peer.close_frame(1000)
    await peer.until_gone()


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


def is_ours(path: str) -> bool:
    """Not the test's own frames, nor those of the functions that are called with the secrets in the clear."""
    return ("smallest_" in path or "python_socks" in path) and not path.endswith("_functions.py")


def shown(error: BaseException, *more: object) -> str:
    """All that a log, a traceback or a report could show of an error, locals included."""
    text = io.StringIO()
    chained: BaseException | None = error
    while chained is not None:
        text.write(f"{chained} {chained!r} {chained.args} ")
        report = traceback.TracebackException.from_exception(chained, capture_locals=True)
        report.stack[:] = [frame for frame in report.stack if is_ours(frame.filename)]
        text.write("".join(report.format(chain=False)))
        chained = chained.__cause__ or chained.__context__
    return text.getvalue() + "".join(map(repr, more))


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


async def failure(net: Net, proxy: str, **connect: Any) -> ConnectFailed | DeadlineExceeded:
    try:
        async with net.on.connect_pulse(
            base_url=f"http://{SERVICE}:1", api_key=CANARY, proxy=proxy, **connect
        ):
            raise AssertionError("connected")
    except (ConnectFailed, DeadlineExceeded) as error:
        return error


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


@TWO_LOOPS
@PLAIN_KINDS
def test_credentials_are_percent_decoded(net: Net, scheme: Literal["http", "socks5"]) -> None:
    with service(net, voices) as (url, connect), proxied(scheme, credentials="a b:/:@%") as proxy:

        async def main() -> None:
            await net.on.list_voices(base_url=url, proxy=proxy.url_with("a%20b:%2F:%40%25"), **connect)
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
def test_the_longest_answer(net: Net) -> None:
    fits = b"HTTP/1.1 403 No\r\nX: " + b"a" * (MAX_HEAD // 2) + b"\r\n\r\n"
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


BAD = {
    "": None,
    "http://": "not the URL",
    "://x": "not the URL",
    "http://x:99999": "not the URL",
    "http://x:0": "not the URL",
    "http://x:y": "not the URL",
    "http://x/path": "not the URL",
    "http://x?q": "not the URL",
    "http://x#f": "not the URL",
    "http://me:p-4n/ary@x": "not the URL",
    "http://me:p-4n ary@x": "not the URL",
    "http://me:p-4näry@x": "not the URL",
    "http://[::1": "not the URL",
    "ftp://me:p-4nary-ss@x": "not supported",
    "socks4://me:p-4nary-ss@x": "not supported",
    "socks5://me@x": "1 to 255",
    "socks5://:p-4nary-ss@x": "1 to 255",
    "socks5://me:p-4n%C3%A4ry@x": "1 to 255",
    f"socks5://me:{'p' * 256}@x": "1 to 255",
    "http://m%3Ae:p-4nary-ss@x": "colon",
    "http://me:p-4n%0D%0Aary@x": "control character",
}


@pytest.mark.parametrize("url", [url for url, words in BAD.items() if words])
@pytest.mark.parametrize("name", ["proxy", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_what_cannot_be_a_proxy(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base_url = f"{'http' if name == 'http_proxy' else 'https'}://{SERVICE}"
    options: ConnectOptions = {"api_key": CANARY, "base_url": base_url}
    if name == "proxy":
        options["proxy"] = url
    monkeypatch.setenv(name, url)
    with pytest.raises(ValueError, match=f"^{name}.*{BAD[url]}") as caught:
        settings(**options)
    assert url not in str(caught.value)
    assert "p-4n" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_proxy_that_is_no_text() -> None:
    with pytest.raises(ValueError, match=r"^proxy is not the URL"):
        settings(api_key=CANARY, proxy=7)  # type: ignore[arg-type]  # which is the point


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://p", ("http", "p", 80)),
        ("p:3128", ("http", "p", 3128)),
        ("me:pw@p", ("http", "p", 80)),
        ("https://p", ("https", "p", 443)),
        ("HTTP://P:1/", ("http", "p", 1)),
        ("socks5://[::1]", ("socks5", "::1", 1080)),
        ("socks5h://p:9", ("socks5", "p", 9)),
    ],
)
def test_what_can(url: str, expected: tuple[str, str, int]) -> None:
    proxy = parse_proxy(url, "proxy")
    assert (proxy.scheme, proxy.host, proxy.port) == expected


@given(st.text(max_size=20), st.sampled_from(["", "http://", "socks5://", "https://me:p@", "socks5://a:b@["]))
def test_any_text_is_a_proxy_or_a_value_error(text: str, start: str) -> None:
    try:
        proxy = parse_proxy(start + text, "proxy")
    except ValueError as error:
        told = str(error)
        assert told.startswith("proxy")
    else:
        assert proxy.host
        assert 0 < proxy.port < 65536


def test_credentials_do_not_show() -> None:
    proxy = parse_proxy(f"http://{CREDENTIALS}@p", "proxy")
    given = settings(api_key=CANARY, proxy=f"http://{CREDENTIALS}@p")
    assert proxy.credentials == (b"me", PASSWORD.encode())
    assert PASSWORD not in repr(proxy) + str(proxy) + f"{proxy}" + repr(given)
    with pytest.raises(TypeError):
        pickle.dumps(proxy)


def chosen(host: str, *, secure: bool = True, port: int = 443) -> str | None:
    found = find_proxy(None, host, port, secure)
    return None if found is None else found.host


def test_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(SERVICE) is None
    monkeypatch.setenv("ALL_PROXY", "http://for-all")
    assert [chosen(SERVICE, secure=secure) for secure in (True, False)] == ["for-all", "for-all"]
    monkeypatch.setenv("HTTPS_PROXY", "http://for-tls")
    monkeypatch.setenv("HTTP_PROXY", "http://for-plain")
    assert [chosen(SERVICE, secure=secure) for secure in (True, False)] == ["for-tls", "for-plain"]
    monkeypatch.setenv("https_proxy", "http://lower")
    assert chosen(SERVICE) == "lower"
    monkeypatch.setenv("https_proxy", "")  # an empty one takes it back
    assert chosen(SERVICE) == "for-all"
    monkeypatch.setenv("REQUEST_METHOD", "GET")  # in a CGI script HTTP_PROXY is a header of the client's
    assert chosen(SERVICE, secure=False) == "for-all"
    monkeypatch.setenv("http_proxy", "http://mine")
    assert chosen(SERVICE, secure=False) == "mine"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_never_for_this_machine_unless_asked(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://")  # not even looked at
    assert chosen(host) is None
    named = find_proxy("http://p", host, 443, True)
    assert named is not None
    assert named.host == "p"


@pytest.mark.parametrize(
    ("no_proxy", "host", "bypassed"),
    [
        ("service.test", SERVICE, True),
        ("x, SERVICE.test", SERVICE, True),
        ("test", SERVICE, True),
        (".test", SERVICE, True),
        ("ice.test", SERVICE, False),
        ("service.test:443", SERVICE, True),
        ("service.test:80", SERVICE, False),
        ("*", SERVICE, True),
        ("", SERVICE, False),
        (",,", SERVICE, False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.1.0.1/16", "10.1.2.3", True),
        ("11.0.0.0/8", "10.1.2.3", False),
        ("10.0.0.0/8", SERVICE, False),
        ("fd00::/8", "fd00::7", True),
        ("fd00::7", "fd00::7", True),
        ("[fd00::7]", "fd00::7", True),
        ("fd00::/8", "10.1.2.3", False),
        ("10.0.0.0/99, 10.1.2.3", "10.1.2.3", True),
    ],
)
def test_no_proxy(no_proxy: str, host: str, bypassed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://p")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert chosen(host) == (None if bypassed else "p")
    assert find_proxy("http://named", host, 443, True) is not None  # the option stands above it
    assert find_proxy("", SERVICE, 443, True) is None


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_proxy, "find_spec", lambda name: None)
    for name in ("socks5", "socks5h"):
        with pytest.raises(ValueError, match=r"pip install 'smallest-proto\[proxy\]'") as caught:
            settings(api_key=CANARY, proxy=f"{name}://{CREDENTIALS}@p")
        assert PASSWORD not in str(caught.value)
    settings(api_key=CANARY, proxy=f"http://{CREDENTIALS}@p")  # needs none


def test_python_socks_is_loaded_only_for_socks() -> None:
    code = (
        "import sys, smallest_transports.asyncio as a, smallest_transports.trio;"
        "a.connect_pulse(api_key='k', proxy='http://p'); a.connect_pulse(api_key='k', proxy='socks5://p');"
        "sys.exit('python_socks' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
