"""The ways to run a transport test: five event loops, each over plain TCP and over TLS, against a server elsewhere.

Test bodies are written with anyio's task groups, scopes and events, which work on all of them. Servers run in a
thread of their own, so that a client's loop holds nothing but the client.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import stat
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar, cast

import anyio
import pytest
import trio
import trustme
import uvloop

from smallest_proto.pulse import PulseOptions, pulse_request
from smallest_transports import anyio as on_anyio
from smallest_transports import asyncio as on_asyncio
from smallest_transports import trio as on_trio
from smallest_transports._backend import Backend, Stream
from smallest_transports._connect import ConnectOptions, open_stream, settings
from smallest_transports._functions import Functions
from smallest_transports.loopback import serve
from smallest_transports.loopback.server import LoopbackServer
from sockets import WITHIN, Peer, hosted, raw_server

T = TypeVar("T")
Main = Callable[[], Awaitable[T]]


async def _quietly(main: Main[T]) -> T:
    """For asyncio: fails when a task is left, or when something was only said to the loop."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    before = asyncio.all_tasks()
    result = await main()
    for _ in range(5):  # a closed transport leaves the loop a turn or two later
        await asyncio.sleep(0)
    left = {task for task in asyncio.all_tasks() if not task.done()} - before
    assert not left, f"tasks left behind: {left}"
    assert not complaints, complaints
    return result


def _asyncio(main: Main[T], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    with asyncio.Runner(debug=new_loop is None, loop_factory=new_loop) as runner:
        runner.get_loop().slow_callback_duration = 60.0
        return runner.run(_quietly(main))


async def _alone(main: Main[T]) -> T:
    """For trio: fails when a task is left."""
    before = trio.lowlevel.current_statistics().tasks_living
    result = await main()
    left = trio.lowlevel.current_statistics().tasks_living - before
    assert not left, f"{left} tasks left behind"
    return result


def _trio(main: Main[T]) -> T:
    result: T = trio.run(_alone, main)
    return result


LOOPS: dict[str, tuple[Functions, Callable[[Main[Any]], Any]]] = {
    "asyncio": (on_asyncio._functions, _asyncio),
    "uvloop": (on_asyncio._functions, partial(_asyncio, new_loop=uvloop.new_event_loop)),
    "trio": (on_trio._functions, _trio),
    "anyio-asyncio": (on_anyio._functions, lambda main: anyio.run(_quietly, main, backend="asyncio")),
    "anyio-trio": (on_anyio._functions, lambda main: anyio.run(_alone, main, backend="trio")),
}
CARRIERS = ("tcp", "tls")
FDS = "/dev/fd"
KEY = "sk_of_these_tests"


@dataclass(frozen=True)
class Net:
    """One loop and one carrier: what runs the test's client, and what makes its servers."""

    loop: str
    carrier: str

    def __str__(self) -> str:
        return f"{self.loop}-{self.carrier}"

    def run(self, main: Main[T], within: float = WITHIN) -> T:
        """Run the client's side; fails when it hangs, complains, or leaves a task or a socket."""

        async def bounded() -> T:
            with anyio.fail_after(within):
                return await main()

        sockets_before = open_sockets()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result: T = LOOPS[self.loop][1](bounded)
            gc.collect()  # what was dropped unclosed complains now
        assert open_sockets() <= sockets_before, "sockets left behind"
        return result

    @property
    def on(self) -> Functions:
        """The functions of this loop: `net.on.connect_pulse(...)`. For TLS pass `**net.trust`."""
        return LOOPS[self.loop][0]

    @property
    def trust(self) -> dict[str, Any]:
        """Connect options with which a client trusts the servers made here."""
        return {"ssl_context": contexts()[1]} if self.carrier == "tls" else {}

    @property
    def backend(self) -> Backend:
        """This loop's clock, flags and sockets."""
        return self.on._backend

    def to(self, url: str, **connect: Any) -> dict[str, Any]:
        """Connect options for a server made here, and what else is given: `connect_pulse(**net.to(url))`."""
        return {"base_url": url, "api_key": KEY, **self.trust, **connect}

    async def stream_to(self, url: str) -> Stream:
        """A bare stream to a server made here."""
        where = pulse_request(PulseOptions(), api_key=None, base_url=url)
        return await open_stream(self.backend, where, settings(cast(ConnectOptions, self.to(url))))

    @contextmanager
    def raw(self, behave: Callable[[Peer], Awaitable[None]]) -> Iterator[str]:
        """A server that treats each client as `behave` says; its base URL."""
        with hosted(raw_server(behave, ssl=contexts()[0] if self.carrier == "tls" else None)) as url:
            yield url

    @contextmanager
    def server(self, **settings: Any) -> Iterator[LoopbackServer]:
        """The local server."""
        if self.carrier == "tls":
            settings["ssl_context"] = contexts()[0]
        with hosted(serve(**settings)) as server:
            yield server


NETS = [Net(loop, carrier) for loop in LOOPS for carrier in CARRIERS]
EVERY_NET = pytest.mark.parametrize("net", NETS, ids=str)
EVERY_LOOP = pytest.mark.parametrize("net", [net for net in NETS if net.carrier == "tcp"], ids=str)


def some(*wanted: str) -> pytest.MarkDecorator:
    """Some combinations, for what is slow and differs little: `some("asyncio-tcp", "trio-tls")`."""
    nets = {str(net): net for net in NETS}
    return pytest.mark.parametrize("net", [nets[name] for name in wanted], ids=wanted)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread or task brings about, and that nothing announces."""
    with anyio.fail_after(WITHIN):
        while not condition():  # noqa: ASYNC110  # a thread's doing sets no event of this loop
            await anyio.sleep(0.001)


async def stall(progress: Callable[[], int], most: int) -> None:
    """Wait until a count has begun to grow and grows no further; fails once it is beyond `most`."""
    before = 0
    while (now := progress()) != before or not now:
        assert now < most, "nothing held it back"
        before = now
        await anyio.sleep(0.2)  # enough for many megabytes, were nothing in the way


_authority = cache(trustme.CA)


def server_context(*names: str) -> ssl.SSLContext:
    """For a server with these names, and with the certificate of an authority that the client below trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert(*names).configure_cert(context)
    return context


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for localhost and 127.0.0.1, and a client's that trusts it."""
    client = ssl.create_default_context()
    _authority().configure_trust(client)
    return server_context("localhost", "127.0.0.1"), client


def open_sockets() -> set[int]:
    """The TCP sockets of this process that are no server's, as inodes; none where the system does not say.

    What a server accepted has a port that somebody here listens on.
    """
    ports: dict[int, int] = {}
    listening = set()
    for name in os.listdir(FDS) if os.path.isdir(FDS) else ():
        with suppress(OSError):  # closed meanwhile
            status = os.fstat(int(name))
            if not stat.S_ISSOCK(status.st_mode):
                continue
            with socket.socket(fileno=os.dup(int(name))) as sock:
                if sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM:
                    ports[status.st_ino] = sock.getsockname()[1]
                    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        listening.add(ports[status.st_ino])
    return {inode for inode, port in ports.items() if port not in listening}
