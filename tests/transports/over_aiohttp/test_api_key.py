"""No failure, log or repr shows the API key."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Awaitable, Callable

import pytest

from canary import CANARY, told
from faults import FAULTS
from smallest_proto.errors import ProtocolError
from smallest_transports._session import Session
from smallest_transports.loopback import serve
from snapshots import attributes
from sockets import Peer, raw_server, run, until
from transports.over_aiohttp.clients import OTHERWISE, hear, pulse_at, speak

Behave = Callable[[Peer], Awaitable[None]]


async def refused_with_an_echo(peer: Peer) -> None:
    await peer.refuse(401, CANARY.encode(), X_Request_Id=CANARY, X_Echo=f"Bearer {CANARY}")


async def closed_with_an_echo(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.close_frame(1008, f"key {CANARY} is over its quota")
    await peer.until_gone()


async def told_with_an_echo(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.text({"type": "error", "status": "error", "message": f"key {CANARY} is bad", "error_code": CANARY})
    await peer.until_gone()


async def named_in_a_header(peer: Peer) -> None:
    assert CANARY in await peer.read_request()  # or this test tests nothing
    peer.send(f"HTTP/1.1 {CANARY}\r\nX: {CANARY}\r\n\r\n".encode())
    await peer.until_gone()


async def redirected(peer: Peer) -> None:
    await peer.refuse(307, Location=f"ftp://{CANARY}/")


SHOWS: list[Behave] = [
    refused_with_an_echo,
    closed_with_an_echo,
    told_with_an_echo,
    named_in_a_header,
    redirected,
    *(fault.behave for name, fault in FAULTS.items() if OTHERWISE.get(name, True)),
]


@pytest.mark.parametrize("client", [hear, speak])
@pytest.mark.parametrize("behave", SHOWS)
def test_no_failure_shows_the_key(
    behave: Behave, client: Callable[[str, str], Awaitable[object]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with raw_server(behave) as url:
            await client(url, CANARY)

    with pytest.raises(ProtocolError) as caught:
        run(main(), within=30)
    for text in (*told(caught.value), caplog.text, repr([record.__dict__ for record in caplog.records])):
        assert CANARY not in text
    assert CANARY.encode() not in pickle.dumps(caught.value)


def test_a_stream_does_not_show_the_key() -> None:
    async def main() -> None:
        async with serve() as server, pulse_at(server.url, api_key=CANARY) as stream:
            carrier = stream._carrier
            assert isinstance(carrier, Session)
            for part in (stream, carrier, carrier._link):
                assert CANARY not in repr(part) + repr(attributes(part))
            await until(lambda: True)

    run(main())
