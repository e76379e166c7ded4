"""Proxies for tests, on 127.0.0.1: HTTP CONNECT and SOCKS5 (RFC 1928, 1929), which keep what passes through them."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Literal

SERVICE = "service.test"
"""A host that no machine knows but these proxies, which connect to 127.0.0.1 instead."""


@dataclass
class Behaviour:
    """How a proxy serves its clients.

    credentials: USER:PASSWORD to insist on, None to ask for none.
    refuse: an HTTP status, or a reply of SOCKS5, in place of a tunnel.
    cut: bytes of its answers after which it writes no more; it then hangs up, or with `hang` leaves the client waiting.
    dribble: write byte after byte.
    early: the target's first bytes, written together with the answer.
    """

    credentials: str | None = None
    refuse: int | None = None
    cut: int | None = None
    hang: bool = False
    dribble: bool = False
    early: bytes = b""


@dataclass
class ProxyServer:
    """A proxy that runs.

    Attributes: `targets` it was asked for; `asked`, bytes clients wrote before they had a tunnel, and `tunnelled`,
    those after; `answered`, bytes of its own answers; `open`, clients that have not hung up.
    """

    scheme: Literal["http", "https", "socks5"]
    behaviour: Behaviour
    port: int = 0
    targets: list[tuple[str, int]] = field(default_factory=list)
    asked: bytearray = field(default_factory=bytearray)
    tunnelled: bytearray = field(default_factory=bytearray)
    answered: int = 0
    open: int = 0

    @property
    def host(self) -> str:
        """What a client connects to."""
        return "localhost" if self.scheme == "https" else "127.0.0.1"

    @property
    def url(self) -> str:
        """What a client is given, with the credentials that are right."""
        return self.url_with(self.behaviour.credentials)

    def url_with(self, credentials: str | None) -> str:
        """As `url`, with others."""
        at = f"{credentials}@" if credentials else ""
        return f"{self.scheme}://{at}{self.host}:{self.port}"


class _Client:
    """One client of a proxy."""

    def __init__(
        self, server: ProxyServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def read(self, count: int) -> bytes:
        data = await self.reader.readexactly(count)
        self.server.asked += data
        return data

    async def read_head(self) -> str:
        data = await self.reader.readuntil(b"\r\n\r\n")
        self.server.asked += data
        return data.decode()

    async def answer(self, data: bytes, early: bytes = b"") -> None:
        """Write, as the behaviour allows. Raises EOFError once it allows no more."""
        how = self.server.behaviour
        allowed = data if how.cut is None else data[: max(0, how.cut - self.server.answered)]
        for piece in [bytes([byte]) for byte in allowed] if how.dribble else [allowed]:
            self.writer.write(piece + (early if len(piece) == len(data) else b""))
            await self.writer.drain()
            await asyncio.sleep(0.002 if how.dribble else 0)  # lets each byte travel alone
        self.server.answered += len(allowed)
        if how.cut is not None and self.server.answered >= how.cut:
            if how.hang:
                await self.until_gone()
            raise EOFError

    async def until_gone(self) -> None:
        with suppress(ConnectionError):
            while data := await self.reader.read(65536):
                self.server.asked += data

    async def tunnel(self, host: str, port: int, granted: bytes) -> None:
        """Connect, say so, and carry bytes both ways until either end has had enough."""
        self.server.targets.append((host, port))
        if host not in (SERVICE, "localhost", "127.0.0.1"):
            raise EOFError
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await self.answer(granted, self.server.behaviour.early)
            ways = [
                asyncio.create_task(_copy(self.reader, writer, self.server.tunnelled.extend)),
                asyncio.create_task(_copy(reader, self.writer, lambda data: None)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], object]
) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            note(data)
            writer.write(data)
            await writer.drain()


async def _serve_http(client: _Client) -> None:
    head = await client.read_head()
    request, *lines = head.split("\r\n")
    method, target, _ = request.split()
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    how = client.server.behaviour
    if how.credentials is not None:
        right = "Basic " + b64encode(how.credentials.encode()).decode()
        if headers.get("proxy-authorization") != right:
            return await client.answer(b"HTTP/1.1 407 Go away\r\nProxy-Authenticate: Basic\r\n\r\n")
    if how.refuse is not None or method != "CONNECT":
        return await client.answer(f"HTTP/1.1 {how.refuse or 405} SECRET WORDS\r\n\r\n".encode())
    host, _, port = target.rpartition(":")
    return await client.tunnel(host.strip("[]"), int(port), b"HTTP/1.1 200 Connected\r\nVia: me\r\n\r\n")


async def _serve_socks(client: _Client) -> None:
    how = client.server.behaviour
    version, count = await client.read(2)
    methods = await client.read(count)
    wanted = 2 if how.credentials else 0
    if version != 5 or wanted not in methods:
        return await client.answer(b"\x05\xff")
    await client.answer(bytes([5, wanted]))
    if how.credentials:
        user = await client.read((await client.read(2))[1])
        password = await client.read((await client.read(1))[0])
        if b":".join((user, password)) != how.credentials.encode():
            return await client.answer(b"\x01\x01")
        await client.answer(b"\x01\x00")
    _, _, _, kind = await client.read(4)
    if kind == 3:
        host = (await client.read((await client.read(1))[0])).decode()
    elif kind == 1:
        host = ".".join(map(str, await client.read(4)))
    else:
        host = (await client.read(16)).hex(":", 2)
    port = int.from_bytes(await client.read(2))
    if how.refuse is not None:
        return await client.answer(bytes([5, how.refuse, 0, 1]) + bytes(6))
    return await client.tunnel(host, port, b"\x05\x00\x00\x01" + bytes(6))


@asynccontextmanager
async def proxy_server(
    scheme: Literal["http", "https", "socks5"],
    behaviour: Behaviour | None = None,
    *,
    ssl: SSLContext | None = None,
) -> AsyncIterator[ProxyServer]:
    """Run a proxy; `https` needs a server's context for localhost."""
    proxy = ProxyServer(scheme, behaviour or Behaviour())
    serve = _serve_socks if scheme == "socks5" else _serve_http
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        proxy.open += 1
        try:
            await serve(_Client(proxy, reader, writer))
        except (ConnectionError, EOFError):  # IncompleteReadError is one
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            proxy.open -= 1

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=ssl)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
