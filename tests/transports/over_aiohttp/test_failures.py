"""What a server does wrong is the documented error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from canary import CANARY
from faults import FAULTS
from smallest_proto.errors import HandshakeRejected, RemoteProtocolError
from sockets import Peer, raw_server, run
from transports.over_aiohttp.clients import OTHERWISE, hear, pulse_at, speak


@pytest.mark.parametrize("client", [hear, speak])
@pytest.mark.parametrize("name", [name for name in FAULTS if OTHERWISE.get(name, True)])
def test_a_fault_is_the_documented_error(name: str, client: Callable[[str], Awaitable[object]]) -> None:
    fault = OTHERWISE.get(name) or FAULTS[name]

    async def main() -> None:
        async with raw_server(fault.behave) as url:
            await client(url)

    with pytest.raises(fault.error) as caught:
        run(main(), within=30)
    assert {field: getattr(caught.value, field) for field in fault.fields} == fault.fields
    assert type(caught.value) is fault.error
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("status", [301, 307, 308])
@pytest.mark.parametrize("ending", ["open", "refused", "unreachable", "nowhere", "endless"])
def test_a_redirect_is_an_error_wherever_it_leads(status: int, ending: str) -> None:
    keys: list[bool] = []

    async def other(peer: Peer) -> None:
        if ending == "open":
            await peer.accept()
            await peer.until_gone()
        else:
            await peer.refuse(403)
        keys.append(CANARY in peer.request)

    async def main() -> None:
        async with raw_server(other) as elsewhere:
            targets = {"unreachable": "http://127.0.0.1:1/", "nowhere": "ftp://x/", "endless": "/again"}
            target = targets.get(ending, elsewhere)
            async with (
                raw_server(lambda peer: peer.refuse(status, Location=target, Connection="close")) as url,
                pulse_at(url, api_key=CANARY),
            ):
                pass

    known = ending not in ("unreachable", "nowhere")
    with pytest.raises(HandshakeRejected if known else RemoteProtocolError) as caught:
        run(main())
    assert "base_url must name the server itself" in str(caught.value)
    assert not caught.value.retryable
    assert caught.value.status == (status if known else None)
    assert not any(keys)


def test_a_101_that_is_no_upgrade() -> None:
    async def behave(peer: Peer) -> None:
        await peer.read_request()
        peer.send(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, pulse_at(url):
            pass

    with pytest.raises(RemoteProtocolError, match="no WebSocket upgrade"):
        run(main())
