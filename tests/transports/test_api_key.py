"""Where the key comes from, and that it goes nowhere but into the request."""

import logging
import pickle
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from canary import CANARY, told
from faults import FAULTS
from loops import EVERY_LOOP, EVERY_NET, Net
from smallest_proto.endpoints import API_KEY_VARIABLE
from smallest_proto.errors import ProtocolError
from smallest_proto.events import ServerErrorReceived
from smallest_transports._connect import find_key, settings
from smallest_transports.asyncio import connect_lightning, connect_pulse
from snapshots import attributes
from sockets import CLOSE, QUICK, Peer, frame

CONNECTORS = pytest.mark.parametrize("connect", [connect_pulse, connect_lightning])


@CONNECTORS
def test_a_missing_key_is_named(connect: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "  "):
        if value is None:
            monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
        else:
            monkeypatch.setenv(API_KEY_VARIABLE, value)
        with pytest.raises(ValueError, match=API_KEY_VARIABLE):
            connect()


@CONNECTORS
@pytest.mark.parametrize("key", ["", "  ", "two\nlines", "schlüssel"])
def test_a_key_that_cannot_be_one_is_refused(connect: Callable[..., object], key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as caught:
        connect(api_key=key)
    assert not key.strip() or key not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "ws://localhost:1/x", "http://[::1]:1"])
def test_plain_http_on_this_machine_needs_no_key(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    assert find_key(None, url) is None
    connect_pulse(base_url=url, resume=False)


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1:1", "http://127.0.0.1.example.com", "http://10.0.0.1", "https://api.smallest.ai"],
)
def test_all_else_does(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    with pytest.raises(ValueError, match=API_KEY_VARIABLE):
        connect_pulse(base_url=url, resume=False)


@pytest.mark.parametrize(
    "url", ["", "api.smallest.ai", "ftp://x", "http://", "http://x:99999", "http://u@x", "http://x?y"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        connect_pulse(base_url=url, api_key="k", resume=False)


@EVERY_LOOP
def test_the_argument_goes_before_the_environment(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[str] = []

    async def behave(peer: Peer) -> None:
        await peer.refuse(401)
        requests.append(peer.request)

    async def main() -> None:
        for api_key in (None, "given"):
            with pytest.raises(ProtocolError):
                await net.on.connect_pulse(**net.to(url, api_key=api_key), resume=False).__aenter__()

    monkeypatch.setenv(API_KEY_VARIABLE, " from-the-environment ")
    with net.raw(behave) as url:
        net.run(main)
    found = [line for text in requests for line in text.split("\r\n") if line.startswith("Authorization")]
    assert found == ["Authorization: Bearer from-the-environment", "Authorization: Bearer given"]


def test_settings_do_not_show_it() -> None:
    given = settings(
        {
            "api_key": CANARY,
            "base_url": None,
            "headers": {"X-Mine": CANARY},
            "ssl_context": None,
            "connect_timeout": None,
            "limits": None,
        }
    )
    assert CANARY not in repr(given) + str(given) + f"{given}" + repr(
        attributes(connect_pulse(api_key=CANARY, resume=False))
    )
    with pytest.raises(TypeError):
        pickle.dumps(given)


@CONNECTORS
@pytest.mark.parametrize(
    "bad",
    [
        {"base_url": "api.smallest.ai"},
        {"base_url": "https://h", "headers": {"two words": "x"}},
        {"headers": 7},
        {"connect_timeout": -1},
        {"limits": "few"},
        {"proxy": "nonsense://p"},
        {"api_key": f"{CANARY}é"},
        {"no_such_option": 1},
    ],
    ids=lambda bad: next(reversed(bad)),
)
def test_a_refused_argument_does_not_show_it(connect: Callable[..., object], bad: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        connect(**{"api_key": CANARY, **bad})
    for text in told(caught.value):
        assert CANARY not in text


def echo_in_refusal(peer: Peer) -> tuple[bytes, dict[str, str]]:
    return f'{{"error":"bad key {CANARY}"}}'.encode(), {"X_Request_Id": CANARY, "X_Echo": f"Bearer {CANARY}"}


async def refused_with_an_echo(peer: Peer) -> None:
    body, headers = echo_in_refusal(peer)
    await peer.refuse(401, body, **headers)


async def closed_with_an_echo(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.send(frame(CLOSE, b"\x03\xf0" + f"key {CANARY} is over its quota".encode()))
    await peer.until_gone()


async def told_with_an_echo(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.text({"type": "error", "status": "error", "message": f"key {CANARY} is bad", "error_code": CANARY})
    await peer.until_gone()


async def named_in_a_header(peer: Peer) -> None:
    request = await peer.read_request()
    assert CANARY in request  # or this test tests nothing
    peer.send(f"HTTP/1.1 {CANARY}\r\nX: {CANARY}\r\n\r\n".encode())
    await peer.until_gone()


ECHOES = {
    "refusal": refused_with_an_echo,
    "close reason": closed_with_an_echo,
    "error message": told_with_an_echo,
    "broken answer": named_in_a_header,
}


async def pulse(net: Net, url: str) -> None:
    async with net.on.connect_pulse(**net.to(url, api_key=CANARY, limits=QUICK), resume=False) as stream:
        await stream.send_audio(bytes(32000))
        async for event in stream:
            assert CANARY not in repr(event) + str(event)
            if isinstance(event, ServerErrorReceived):
                assert CANARY not in str(event.error)


async def lightning(net: Net, url: str) -> None:
    async with net.on.connect_lightning(**net.to(url, api_key=CANARY, limits=QUICK)) as stream:
        async for event in await stream.speak("Good morning."):
            assert CANARY not in repr(event) + str(event)


Client: TypeAlias = Callable[[Net, str], Awaitable[None]]


def does_not_show_the_key(
    net: Net,
    behave: Callable[[Peer], Awaitable[None]],
    client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with net.raw(behave) as url, pytest.raises(ProtocolError) as caught:
        net.run(lambda: client(net, url), within=30)
    for text in (*told(caught.value), caplog.text, repr([record.__dict__ for record in caplog.records])):
        assert CANARY not in text
    assert CANARY.encode() not in pickle.dumps(caught.value)


@EVERY_NET
@pytest.mark.parametrize("client", [pulse, lightning])
@pytest.mark.parametrize("behave", ECHOES.values(), ids=ECHOES)
def test_no_echo_shows_it(
    net: Net,
    behave: Callable[[Peer], Awaitable[None]],
    client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    does_not_show_the_key(net, behave, client, caplog)


@EVERY_LOOP
@pytest.mark.parametrize("client", [pulse, lightning])
@pytest.mark.parametrize("name", FAULTS)
def test_no_failure_shows_it(net: Net, name: str, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    does_not_show_the_key(net, FAULTS[name].behave, client, caplog)


@EVERY_NET
def test_the_local_servers_log_does_not_show_it(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def refused() -> None:
        with pytest.raises(ProtocolError):
            await net.on.connect_pulse(**net.to(server.url, api_key=CANARY), resume=False).__aenter__()

    async def served() -> None:
        async with net.on.connect_pulse(**net.to(server.url, api_key=CANARY), resume=False) as stream:
            await stream.end_input()
            async for _ in stream:
                pass

    with net.server(api_key="another") as server:
        net.run(refused)
    with net.server(api_key=CANARY) as server:
        assert CANARY not in repr(server)
        net.run(served)
    assert CANARY not in caplog.text
