"""TLS on every loop: whom it trusts, how it fails, and that it never keeps a caller waiting."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from faults import silent
from loops import EVERY_LOOP, KEY, NETS, Net, contexts, server_context
from smallest_proto.errors import ConnectFailed, DeadlineExceeded, ProtocolError
from smallest_proto.pulse import FinalTranscript
from smallest_transports._backend import AT_ONCE
from smallest_transports._tls import TlsStream
from sockets import Peer, hosted, raw_server

SECURE = {net.loop: net for net in NETS if net.carrier == "tls"}


def connecting(net: Net, url: str, **connect: object) -> ProtocolError:
    """What connecting to `url` raises, with the machine's own authorities unless a context is given."""

    async def main() -> None:
        async with net.on.connect_pulse(base_url=url, api_key="k", **connect):  # type: ignore[arg-type]  # as given
            pass

    with pytest.raises(ProtocolError) as caught:
        net.run(main, within=30)
    assert caught.value.__cause__ is None
    return caught.value


@EVERY_LOOP
def test_trusted_tls_works_from_end_to_end(net: Net) -> None:
    net = SECURE[net.loop]

    async def main() -> None:
        assert server.url.startswith("https://localhost:")
        async with net.on.connect_pulse(**net.to(server.url)) as stream:
            for _ in range(10):
                await stream.send_audio(bytes(32000))
            await stream.end_input()
            finals = [event.text async for event in stream if isinstance(event, FinalTranscript)]
            assert "heard 10.0 seconds" in finals

    with net.server(api_key=KEY) as server:
        net.run(main)


@EVERY_LOOP
def test_an_untrusted_certificate_is_refused(net: Net) -> None:
    with SECURE[net.loop].raw(silent) as url:
        error = connecting(net, url)
    assert type(error) is ConnectFailed
    assert (error.code, error.retryable) == ("tls", False)
    assert "certificate" in str(error) or "issuer" in str(error)


@EVERY_LOOP
def test_a_certificate_for_another_name_is_refused(net: Net) -> None:
    with hosted(raw_server(silent, ssl=server_context("elsewhere.example"))) as url:
        error = connecting(net, url, ssl_context=contexts()[1])
    assert type(error) is ConnectFailed
    assert (error.code, error.retryable) == ("tls", False)
    assert "localhost" in str(error)


@EVERY_LOOP
def test_the_server_is_told_whom_we_want(net: Net) -> None:
    asked: list[str | None] = []
    server_side = server_context("localhost")
    server_side.sni_callback = lambda _, name, __: asked.append(name)
    with hosted(raw_server(silent, ssl=server_side)) as url:
        connecting(net, url, connect_timeout=5.0)
    assert asked == ["localhost"]


async def hang_up_at_once(peer: Peer) -> None:
    await peer.reader.read(1)


async def answer_in_plain(peer: Peer) -> None:
    await peer.reader.read(1)
    peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await peer.until_gone()


@EVERY_LOOP
@pytest.mark.parametrize("behave", [hang_up_at_once, answer_in_plain])
def test_tls_to_a_plain_port(net: Net, behave: Callable[[Peer], Awaitable[None]]) -> None:
    with net.raw(behave) as url:
        error = connecting(net, url.replace("http:", "https:"))
    assert type(error) is ConnectFailed
    assert error.code == "tls"
    assert str(error).startswith("TLS to 127.0.0.1 port ")
    assert error.retryable == (behave is hang_up_at_once)


@EVERY_LOOP
def test_tls_that_is_never_answered_is_part_of_the_connect_timeout(net: Net) -> None:
    with net.raw(silent) as url:
        error = connecting(net, url.replace("http:", "https:"), connect_timeout=0.2)
    assert type(error) is DeadlineExceeded
    assert error.code == "connect"


def test_a_wake_is_not_lost_with_ciphertext_that_holds_nothing_yet() -> None:
    deadlines: list[float | None] = []

    class Inner:
        """Brings the beginning of a record, in the moment in which somebody wakes the reader."""

        async def read(self, deadline: float | None) -> bytes | None:
            deadlines.append(deadline)
            if len(deadlines) > 1:
                return None
            stream.wake()
            return b"\x17\x03\x03"

        def wake(self) -> None:
            pass

    stream = TlsStream(Inner(), contexts()[1], "localhost")  # type: ignore[arg-type]  # all of it that reading needs
    assert asyncio.run(stream.read(None)) is None
    assert deadlines == [None, AT_ONCE]  # not None again, which would wait for ever
