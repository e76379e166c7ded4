"""Where the Lightning connections of a `TTS` come from and go to: kept between segments, or opened ahead."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import NamedTuple

import aiohttp

from livekit.plugins.smallest.headers import HEADERS
from livekit.plugins.smallest.sockets import LightningStream, connect_lightning
from smallest_proto.endpoints import ApiKey
from smallest_proto.errors import DeadlineExceeded, ProtocolError
from smallest_proto.lightning import LightningOptions
from smallest_proto.limits import Limits

CLOSING = 1.0
"""Seconds a server has to answer our close; what [lk 1.8.9] gives a cancel message."""


class SpeechServer(NamedTuple):
    """Where speech comes from, and through which session if not through sockets of our own."""

    base_url: str
    ws_base_url: str
    api_key: ApiKey | None
    http_session: aiohttp.ClientSession | None

    @property
    def key(self) -> str | None:
        """The key itself, for what connects."""
        return None if self.api_key is None else self.api_key.reveal()

    def connect(self, options: LightningOptions) -> LightningStream:
        """A connection to enter, however long that takes."""
        limits = Limits(handshake_timeout=None, close_timeout=CLOSING)
        if self.http_session is None:
            return connect_lightning(
                options,
                api_key=self.key,
                base_url=self.ws_base_url,
                headers=HEADERS,
                limits=limits,
                connect_timeout=None,
            )
        from smallest_transports import aiohttp as over_session

        return over_session.connect_lightning(
            options,
            session=self.http_session,
            api_key=self.key,
            base_url=self.ws_base_url,
            headers=HEADERS,
            limits=limits,
        )


class _Ahead(NamedTuple):
    """A connection that is being opened before anybody needs it."""

    options: LightningOptions
    opening: asyncio.Task[None]


class SpeechConnections:
    """Opens connections, takes them back, and keeps those that can speak again. `aclose` closes them all.

    One that cannot is closed behind the caller's back: neither the end of a segment nor an interruption waits
    for the server's answer.
    """

    def __init__(self, server: SpeechServer) -> None:
        self._server = server
        self._idle: list[LightningStream] = []
        self._ahead: _Ahead | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def acquire(self, options: LightningOptions, timeout: float) -> tuple[LightningStream, bool]:
        """A connection with these options, and whether it was there already; return it with `give_back`.

        Raises DeadlineExceeded (`connect`) after `timeout` seconds, ConnectFailed, HandshakeRejected and so on.
        """
        try:
            async with asyncio.timeout(timeout):
                if self._ahead is not None and self._ahead.options == options:
                    await asyncio.wait([self._ahead.opening])  # which others may wait for, too
                if (stream := await self._take(options)) is not None:
                    return stream, True
                return await self._server.connect(options).__aenter__(), False
        except TimeoutError:
            raise DeadlineExceeded(f"no connection within {timeout} s", code="connect") from None

    def give_back(self, stream: LightningStream) -> None:
        """Keep it for the next segment if it can speak again; else close it, which cancels what it speaks."""
        if stream.reusable:
            self._idle.append(stream)
        else:
            self._close_behind(stream)

    def prewarm(self, options: LightningOptions, timeout: float) -> None:
        """Open a connection in the background, unless there is one. If that fails, the next stream tries anew."""
        if self._ahead is None and not any(stream.options == options for stream in self._idle):
            opening = self._open_ahead(options, timeout)
            self._ahead = _Ahead(options, asyncio.create_task(opening, name="smallest: opening a connection"))

    async def aclose(self) -> None:
        """Close what is open. Bounded in time; harmless when repeated."""
        if self._ahead is not None:
            self._ahead.opening.cancel()
            await asyncio.wait([self._ahead.opening])
        while self._idle:
            await _close(self._idle.pop())
        while self._closing:
            await asyncio.wait(self._closing)

    async def _take(self, options: LightningOptions) -> LightningStream | None:
        """A connection that waits for work, has these options, and whose server is still there."""
        while self._idle:
            stream = self._idle.pop()
            try:
                # one that is about to be closed is still alive, and takes nothing
                if stream.options == options and await stream.alive() and stream.reusable:
                    return stream
            except BaseException:
                await stream.aclose()
                raise
            self._close_behind(stream)
        return None

    def _close_behind(self, stream: LightningStream) -> None:
        closing = asyncio.create_task(_close(stream), name="smallest: closing a connection")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _open_ahead(self, options: LightningOptions, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                self._idle.append(await self._server.connect(options).__aenter__())
        except (ProtocolError, TimeoutError):
            pass  # shows when the connection is needed
        finally:
            self._ahead = None


async def _close(stream: LightningStream) -> None:
    with suppress(ProtocolError):
        await stream.aclose()
