"""TLS on every loop: whom it trusts, how it fails, and that it never keeps a caller waiting."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ssl import CERT_REQUIRED, SSLContext, SSLError, TLSVersion

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


@contextmanager
def one_handshake(context: SSLContext) -> Iterator[tuple[str, list[str]]]:
    """A server of one connection that stays until the client leaves; its URL, and why its handshake failed."""
    failed: list[str] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        accepted, _ = listener.accept()
        accepted.settimeout(10)
        with context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False) as secured:
            try:
                secured.do_handshake()
                secured.recv(1)
            except SSLError as error:
                failed.append(error.reason)
            while socket.socket.recv(
                secured, 65536
            ):  # unread bytes would reset the connection, alert and all
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}", failed
    finally:
        thread.join()
        listener.close()


@EVERY_LOOP
def test_a_server_is_told_that_its_certificate_is_refused(net: Net) -> None:
    with one_handshake(server_context("localhost")) as (url, failed):
        assert connecting(net, url).code == "tls"
    assert failed == ["TLSV1_ALERT_UNKNOWN_CA"]


@EVERY_LOOP
@pytest.mark.parametrize("version", [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_of_ours(net: Net, version: TLSVersion) -> None:
    context = server_context("localhost")
    context.verify_mode = CERT_REQUIRED
    context.minimum_version = context.maximum_version = version

    async def voices() -> None:
        await net.on.list_voices(base_url=url, api_key="k", ssl_context=contexts()[1])

    for over_http in (False, True):
        with one_handshake(context) as (url, failed):
            if over_http:
                with pytest.raises(ConnectFailed) as caught:
                    net.run(voices, within=30)
                error: ProtocolError = caught.value
            else:
                error = connecting(net, url, ssl_context=contexts()[1])
        assert failed == ["PEER_DID_NOT_RETURN_A_CERTIFICATE"]
        assert type(error) is ConnectFailed
        assert (error.code, error.retryable) == ("tls", False)
        assert str(error).startswith("TLS to localhost port ")
        assert "_ALERT_" in str(error)


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

    stream = TlsStream(Inner(), contexts()[1], "localhost", 443)  # type: ignore[arg-type]  # all of it that reading needs
    assert asyncio.run(stream.read(None)) is None
    assert deadlines == [None, AT_ONCE]  # not None again, which would wait for ever
