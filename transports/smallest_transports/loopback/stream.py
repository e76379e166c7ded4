"""An accepted connection: with TLS when it is asked for, and with what mischief can do to a socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from ssl import SSLContext, SSLError

from smallest_transports._asyncio_backend import AsyncioStream
from smallest_transports._backend import CLOSE_TIMEOUT

_NEVER = 1e9
"""Seconds, where asyncio would take None for a minute."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of no time: closing the socket resets it."""


class AcceptedStream(AsyncioStream):
    """A stream that reports itself once it is connected.

    With a `context` it is not read until `secure`, whose handshake so runs in a task of the server's and ends
    with it.
    """

    def __init__(self, context: SSLContext | None, on_connected: Callable[[AcceptedStream], object]) -> None:
        super().__init__()
        self._context = context
        self._on_connected = on_connected
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's call: the connection is up."""
        super().connection_made(transport)
        if self._context is not None and self._transport is not None:
            self._transport.pause_reading()
        self._on_connected(self)

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio's call: bytes arrived."""
        if not self._deaf:
            super().buffer_updated(nbytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's call: the connection is gone, well or badly."""
        # what is left unread in the socket is ciphertext, or not to be read
        super().connection_lost(None if self._context is not None or self._deaf else exc)

    async def secure(self, timeout: float | None) -> bool:
        """Do the TLS handshake within `timeout` seconds, if there is to be one; whether the stream is of use."""
        if self._context is None or self._transport is None:
            return True
        plain = self._transport
        try:
            secured = await asyncio.get_running_loop().start_tls(
                plain,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=_NEVER if timeout is None else timeout,
                ssl_shutdown_timeout=CLOSE_TIMEOUT,
            )
            assert secured is not None
            self._transport = secured
        except (SSLError, OSError, TimeoutError):  # a client that speaks no TLS, wants another, or has left
            return False
        finally:
            if self._transport is plain:
                plain.abort()
                self.connection_lost(None)  # it has another protocol now, and would tell us nothing
        return True

    def cut(self, *, reset: bool) -> None:
        """Close the socket once what is being said is written, or reset it then."""
        # whatever takes messages from a wire writes them in the same step of its task
        asyncio.get_running_loop().call_soon(self._reset if reset else self._hang_up)

    def stop_reading(self) -> None:
        """Read no more bytes; that the client has left may go unnoticed."""
        self._deaf = True
        self._unread.clear()
        self._unread_size = 0
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def _hang_up(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        if self._transport is not None:
            with suppress(OSError, AttributeError):  # closed meanwhile
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
