"""A Pulse session that outlives its sockets, over any backend: what its callers do with it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.pulse import Audio, PulseSession
from smallest_proto.pulse.audio_input import checked_audio
from smallest_proto.pulse.commands import ClientCommand
from smallest_transports._backend import AT_ONCE, Backend
from smallest_transports._connect import ConnectSettings
from smallest_transports._session import MOST_BYTES, Opener
from smallest_transports._session_links import SessionLinks

SLICE = 5000
"""Milliseconds of audio taken at once: so long may a connection be gone before a sender notices."""


class ResumingSession:
    """What `Session` is to one connection, for a `PulseSession` and as many as it takes."""

    __slots__ = (
        "_backend",
        "_entered",
        "_gathered",
        "_gathered_size",
        "_iterated",
        "_links",
        "_slice",
        "_width",
        "session",
    )

    def __init__(
        self, backend: Backend, session: PulseSession, settings: ConnectSettings, opener: Opener
    ) -> None:
        self.session = session
        self._backend = backend
        self._links = SessionLinks(backend, session, settings, opener)
        self._slice = session.options.audio_format.packet_bytes(SLICE)
        self._width = session.options.audio_format.sample_width
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._entered = False
        self._iterated = False

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectFailed, DeadlineExceeded, HandshakeRejected and the like."""
        if self._entered:
            raise LocalProtocolError("a PulseStream is entered once: make another")
        self._entered = True
        try:
            while not self._links.any and self.session.closed is None:
                await self._links.advance()
            self._check_alive()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def next_event(self) -> Event | None:
        """The session's next event, whatever it is; None when there will be no more."""
        self._check_entered()
        if self._iterated:
            raise LocalProtocolError("another task iterates over this connection: only one may")
        self._iterated = True
        try:
            while (event := self._links.take()) is NEED_DATA:
                if self.session.closed is not None:
                    return None
                await self._links.advance()
            return event
        finally:
            self._iterated = False

    async def ask(self, change: Callable[[float], None]) -> None:
        """Have the session change something; `change` is given the time."""
        self._check_entered()
        self._check_alive()
        self._pour(self._backend.now())
        change(self._backend.now())
        await self._links.flush()
        self._links.wake()

    async def aclose(self) -> None:
        """Close now, whatever is still under way. Bounded in time; harmless when repeated."""
        self._pour(self._backend.now())
        self.session.close(self._backend.now())
        await self._links.aclose()

    async def send(self, command: ClientCommand) -> None:
        """Send any command. Raises LocalProtocolError, or what ended the session if it has ended."""
        self._check_entered()
        if isinstance(command, Audio):
            await self.send_audio(command.pcm)
            return
        await self._unclog()
        await self.ask(partial(self.session.send, command))
        await self._unclog()
        self._check_alive()

    async def send_audio(self, pcm: bytes) -> None:
        """As `send`, of `Audio`.

        It leaves at the end of the loop's turn, with all that came in it: a call of the system costs more than
        everything that is done for a packet here, and of many streams that are due in one turn none keeps the others
        waiting for it.
        """
        size = len(pcm) if isinstance(pcm, bytes) else 0
        if not 0 < size < MOST_BYTES or size % self._width:
            await self._send_slices(pcm)
        elif self._gathered:
            self._gathered.append(pcm)
            self._gathered_size += size
            if self._gathered_size < MOST_BYTES:
                return
            self._pour(self._backend.now())
            await self._links.flush()
            await self._unclog()
        elif not self.session.is_heard or (link := self._links.only) is None or link.clogged:
            await self._send_slices(pcm)
        elif link.soon(self._pour, now := self._backend.now()):
            self._gathered.append(pcm)
            self._gathered_size = size
        else:  # nothing leaves this link without waiting, as over aiohttp
            self.session.send(Audio(pcm), now)
            self._links.tell_poured()
            await link.write(AT_ONCE)
        if self.session.closed is not None:
            self._check_alive()

    def _pour(self, now: float) -> None:
        """Give the session what was gathered. Its caller has that written."""
        if not self._gathered:
            return
        audio = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_size = 0
        if self.session.takes_input:  # or it has failed in this very turn
            self.session.send(Audio(audio), now)
            self._links.tell_poured()

    async def _take(self, audio: Audio) -> None:
        self.session.send(audio, self._backend.now())
        await self._links.flush()
        self._links.tell()
        await self._unclog()

    async def _send_slices(self, pcm: bytes) -> None:
        """Between them the sender notices what has happened."""
        self._check_entered()
        rest = memoryview(checked_audio(pcm, self.session.options.audio_format))
        self._pour(self._backend.now())
        while rest:
            size = await self._room()
            await self._take(Audio(bytes(rest[:size])))
            rest = rest[size:]

    async def _room(self) -> int:
        """Wait until audio can be taken without giving up any that is kept; how many bytes to take then."""
        while True:
            await self._unclog()
            self._check_alive()
            room = self.session.room
            if room != 0 or self.session.closed is not None:  # which refuses it
                return min(self._slice, room or self._slice)
            await self._links.advance()

    async def _unclog(self) -> None:
        """Wait until what hears the audio has taken what was sent: calls that are cancelled must not pile it up."""
        while (link := self._links.clogged()) is not None:
            await link.room()

    def _check_entered(self) -> None:
        if not self._entered:
            raise LocalProtocolError("not connected: use the PulseStream with `async with`")

    def _check_alive(self) -> None:
        if (closed := self.session.closed) is not None and closed.error is not None:
            raise closed.error.with_traceback(None)
