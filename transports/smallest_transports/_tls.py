"""TLS over any stream: the standard library's OpenSSL on memory buffers, so that every loop has the same one.

The ciphertext goes through `Stream.write`, which keeps what a cancelled call leaves unwritten: a record is never
cut short by a cancellation, as it is in the TLS streams of the loops themselves.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from ssl import (
    MemoryBIO,
    SSLCertVerificationError,
    SSLContext,
    SSLError,
    SSLWantReadError,
    create_default_context,
)

from smallest_proto.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from smallest_transports._backend import AT_ONCE, READ_SIZE, Backend, Stream


@cache
def default_context() -> SSLContext:
    """Verifies certificates and names against the machine's authorities. Loaded once: that takes milliseconds."""
    return create_default_context()


async def start_tls(
    backend: Backend, stream: Stream, context: SSLContext, host: str, port: int, deadline: float | None
) -> TlsStream:
    """Do the handshake as a client that expects `host`; afterwards use what this returns in place of `stream`.

    Raises ConnectFailed with code `tls`, or DeadlineExceeded with code `connect`; closing `stream` is the
    caller's.
    """
    try:
        tls = TlsStream(stream, context, host, port)
    except ValueError as error:  # a name that no certificate can have
        raise _refused(host, port, error) from None
    try:
        while not tls.shake_hands():
            await stream.write(tls.ciphertext(), deadline)
            data = await stream.read(deadline)
            if data is not None:
                tls.feed(data)
            elif deadline is not None and backend.now() >= deadline:
                raise DeadlineExceeded(f"no TLS with {host} port {port} in time", code="connect")
        await stream.write(tls.ciphertext(), deadline)
    except ConnectionLost:
        raise ConnectFailed(f"TLS to {host} port {port} failed: the server hung up", code="tls") from None
    except SSLError as error:
        with suppress(ConnectionLost):  # the server may know why: an alert says so
            await stream.write(tls.ciphertext(), AT_ONCE)
        raise _refused(host, port, error) from None
    return tls


def _refused(host: str, port: int, error: SSLError | ValueError) -> ConnectFailed:
    reason = error.verify_message if isinstance(error, SSLCertVerificationError) else None
    reason = reason or getattr(error, "reason", None) or "handshake failed"
    return ConnectFailed(f"TLS to {host} port {port} failed: {reason}", code="tls", retryable=False)


class TlsStream:
    """A `Stream` inside another; made by `start_tls`."""

    __slots__ = (
        "_closing",
        "_ended",
        "_goodbye",
        "_heard",
        "_incoming",
        "_outgoing",
        "_refusal",
        "_server",
        "_stream",
        "_tls",
        "_wakes",
    )

    def __init__(self, stream: Stream, context: SSLContext, host: str, port: int) -> None:
        self._stream = stream
        self._server = host, port
        self._incoming, self._outgoing = MemoryBIO(), MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._ended = False
        self._goodbye = False
        self._heard = False
        self._refusal: SSLError | None = None
        self._closing = False
        self._wakes = 0

    def shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done. Raises SSLError, and ConnectionLost at a sudden end."""
        try:
            self._tls.do_handshake()
        except SSLWantReadError:
            if self._ended:
                raise ConnectionLost("the connection ended during the handshake") from None
            return False
        return True

    def feed(self, data: bytes) -> None:
        """Take ciphertext; b"" is the end."""
        self._incoming.write(data)
        self._ended = self._ended or not data

    def ciphertext(self) -> bytes:
        """What is to be written."""
        return self._outgoing.read()

    @property
    def clogged(self) -> bool:
        """See `Stream.clogged`."""
        return self._stream.clogged

    @property
    def readable(self) -> bool:
        """See `Stream.readable`. What has come may hold nothing for the caller."""
        return self._ended or self._incoming.pending > 0 or self._stream.readable

    @property
    def broken(self) -> bool:
        """See `Stream.broken`."""
        return not self._goodbye

    async def read(self, deadline: float | None) -> bytes | None:
        """See `Stream.read`. Raises ConnectFailed when the server refuses us once our handshake is done."""
        wakes = self._wakes
        while not (plain := self._decrypt()):
            if self._refusal is not None:
                raise _refused(*self._server, self._refusal)
            if self._ended:
                return b""
            # woken with ciphertext that held nothing for the caller, whose deadline is out of date all the same
            data = await self._stream.read(deadline if wakes == self._wakes else AT_ONCE)
            if data is None:
                return None
            self.feed(data)
        return plain

    def _decrypt(self) -> bytes:
        plain = bytearray()
        try:
            while piece := self._tls.read(READ_SIZE):
                plain += piece
            self._ended = self._goodbye = True
        except SSLWantReadError:
            pass
        except SSLError as error:  # closed by the peer, or damaged: nothing sound can follow
            self._ended = True
            # in TLS 1.3 a server looks at our certificate after our part of the handshake: RFC 8446 section 4.4.2.4
            if not self._heard and not plain and "ALERT" in (error.reason or ""):
                self._refusal = error
        self._heard = self._heard or bool(plain)
        return bytes(plain)

    def wake(self) -> None:
        """See `Stream.wake`."""
        self._wakes += 1
        self._stream.wake()

    def send(self, data: bytes) -> None:
        """See `Stream.send`."""
        self._encrypt(data)
        self._stream.send(self.ciphertext())

    def _encrypt(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._tls.write(view) :]
        except SSLError:  # closed, or the peer wants a handshake in mid-stream, which TLS 1.3 has no more
            raise ConnectionLost("the connection is gone", status=1006) from None

    async def write(self, data: bytes, deadline: float | None) -> None:
        """See `Stream.write`."""
        self._encrypt(data)
        await self._stream.write(self.ciphertext(), deadline)

    async def aclose(self) -> None:
        """See `Stream.aclose`. The peer is told, and need not answer."""
        try:
            if not self._closing:
                self._closing = True
                with suppress(SSLError, ValueError, ConnectionLost):
                    self._say_goodbye()
                    await self._stream.write(self.ciphertext(), AT_ONCE)
        finally:
            await self._stream.aclose()

    def _say_goodbye(self) -> None:
        with suppress(SSLWantReadError):  # the peer's own goodbye, which is not waited for
            self._tls.unwrap()
