"""A Pulse stream that ends with its connection, over any backend."""

from __future__ import annotations

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.pulse import Audio, PulseConnection
from smallest_proto.pulse.commands import ClientCommand
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectSettings
from smallest_transports._session import MOST_BYTES, MOST_PIECES, Opener, Session


class SingleConnection(Session[ClientCommand]):
    """What `ResumingSession` is to a session, for one connection."""

    __slots__ = ("_unwritten", "_unwritten_bytes")

    def __init__(
        self,
        backend: Backend,
        conn: PulseConnection,
        request: UpgradeRequest,
        settings: ConnectSettings,
        opener: Opener,
    ) -> None:
        super().__init__(backend, conn, request, settings, opener)
        self._unwritten = 0
        self._unwritten_bytes = 0

    async def send_audio(self, pcm: bytes) -> None:
        """As `send`, of `Audio`; written at the end of the loop's turn, with all that came in it."""
        link = self._opened()
        if link.clogged:
            await self.room()
        self._check_alive()
        now = link.backend.now()
        self._conn.send(Audio(pcm), now)
        link.tell()
        if self._unwritten or link.soon(self._written, now):
            self._unwritten += 1
            self._unwritten_bytes += len(pcm)
            if self._unwritten >= MOST_PIECES or self._unwritten_bytes >= MOST_BYTES:
                self._unwritten, self._unwritten_bytes = 1, 0  # the end of the turn is still to come
                await link.write()
        else:
            await link.write()
        self._check_alive()

    def _written(self, now: float) -> None:
        self._unwritten = self._unwritten_bytes = 0
