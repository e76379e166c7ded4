"""The hands of mischief on one connection: its socket, and its pongs."""

from __future__ import annotations

from smallest_proto.wire import WebSocketServerWire
from smallest_transports.loopback.stream import AcceptedStream


class SocketLevers:
    """`Levers` of a connection; `wire` is None for HTTP, which has no pings."""

    def __init__(self, stream: AcceptedStream, wire: WebSocketServerWire | None = None) -> None:
        self._stream = stream
        self._wire = wire

    def cut(self, *, reset: bool) -> None:
        """See `Levers`."""
        self._stream.cut(reset=reset)

    def stop_reading(self) -> None:
        """See `Levers`."""
        self._stream.stop_reading()

    def stop_pongs(self) -> None:
        """See `Levers`."""
        if self._wire is not None:
            self._wire.answers_pings = False
