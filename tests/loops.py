"""The ways to run a transport test: five event loops, each over plain TCP and over TLS, against a server elsewhere.

Test bodies are written with anyio's task groups, scopes and events, which work on all of them. Servers run in a
thread of their own, so that a client's loop holds nothing but the client.
"""

from __future__ import annotations

import asyncio
import gc
import os
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, TypeVar

import anyio
import pytest
import trio
import trustme
import uvloop

from smallest_transports import anyio as on_anyio
from smallest_transports import asyncio as on_asyncio
from smallest_transports import trio as on_trio
from smallest_transports._functions import Functions
from smallest_transports.loopback import serve
from smallest_transports.loopback.server import LoopbackServer
from sockets import WITHIN, Peer, hosted, raw_server

T = TypeVar("T")
Main = Callable[[], Awaitable[T]]


def _asyncio(main: Main[T], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    async def quietly() -> T:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        result = await main()
        for _ in range(5):  # a closed transport leaves the loop a turn or two later
            await asyncio.sleep(0)
        left = {task for task in asyncio.all_tasks() if not task.done()} - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        assert not complaints, complaints
        return result

    with asyncio.Runner(debug=new_loop is None, loop_factory=new_loop) as runner:
        runner.get_loop().slow_callback_duration = 60.0
        return runner.run(quietly())


LOOPS: dict[str, tuple[Functions, Callable[[Main[Any]], Any]]] = {
    "asyncio": (on_asyncio._functions, _asyncio),
    "uvloop": (on_asyncio._functions, partial(_asyncio, new_loop=uvloop.new_event_loop)),
    "trio": (on_trio._functions, trio.run),
    "anyio-asyncio": (on_anyio._functions, partial(anyio.run, backend="asyncio")),
    "anyio-trio": (on_anyio._functions, partial(anyio.run, backend="trio")),
}
CARRIERS = ("tcp", "tls")
LISTENING = "0A"


@dataclass(frozen=True)
class Net:
    """One loop and one carrier: what runs the test's client, and what makes its servers."""

    loop: str
    carrier: str

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
EVERY_NET = pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.loop}-{net.carrier}")


@cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for localhost and 127.0.0.1, and a client's that trusts it."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def open_sockets() -> set[str]:
    """The TCP sockets of this process that are no server's, as inodes; none where the system does not say.

    What a server accepted has a port that somebody here listens on.
    """
    if not os.path.isdir("/proc/self/fd"):
        return set()
    own = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed meanwhile, or the listing's own
            own.add(os.readlink(f"/proc/self/fd/{name}").removeprefix("socket:[").removesuffix("]"))
    rows = []
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"/proc/self/net/{table}") as lines:
            rows += [row for row in map(str.split, lines) if row[9] in own]
    listening = {row[1].rpartition(":")[2] for row in rows if row[3] == LISTENING}
    return {row[9] for row in rows if row[1].rpartition(":")[2] not in listening}
