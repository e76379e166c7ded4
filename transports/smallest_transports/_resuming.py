"""A Pulse session that outlives its sockets, over any backend: dials when it is told to, and carries messages.

Runs in the tasks of whoever sends or iterates, as everything here. What is to be done and when is the machine's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Literal, Self

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import ConnectionLost, LocalProtocolError, ProtocolError
from smallest_proto.events import NEED_DATA, Event, Need
from smallest_proto.pulse import Audio, PulseOptions, PulseSession, pulse_request
from smallest_proto.pulse.audio_input import checked_audio
from smallest_proto.pulse.commands import ClientCommand
from smallest_proto.pulse.session_connection import SessionConnection
from smallest_transports._backend import AT_ONCE, Backend
from smallest_transports._backend import Event as Flag
from smallest_transports._connect import ConnectSettings
from smallest_transports._session import Opener, SessionLink

SLICE = 5000
"""Milliseconds of audio taken at once: so long may a connection be gone before a sender notices."""

MOST_BYTES, MOST_PIECES = 64 * 1024, 50
"""Audio that waits for the end of the loop's turn."""


class ResumingSession:
    """What `Session` is to one connection, for a `PulseSession` and as many as it takes."""

    def __init__(
        self,
        backend: Backend,
        session: PulseSession,
        settings: ConnectSettings,
        opener: Opener,
    ) -> None:
        self.session = session
        self._backend = backend
        self._settings = settings
        self._open = opener
        self._slice = session.options.audio_format.packet_bytes(SLICE)
        self._width = session.options.audio_format.sample_width
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._entered = False
        self._links: dict[SessionLink, SessionConnection] = {}
        self._undialled: SessionConnection | None = None
        self._dialling = False
        self._unflushed = False
        """Whether a connection may have something to say that another one caused, or a call that was cancelled."""
        self._iterated = False
        self._advancing = False
        self._changed: Flag | None = None
        self._event: Event | Literal[Need.DATA] = NEED_DATA

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectFailed, DeadlineExceeded, HandshakeRejected and the like."""
        if self._entered:
            raise LocalProtocolError("a PulseStream is entered once: make another")
        self._entered = True
        try:
            while not self._links and self.session.closed is None:
                await self._advance()
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

    async def send(self, command: ClientCommand) -> None:
        """Send any command. Raises LocalProtocolError, or what ended the session if it has ended."""
        self._check_entered()
        if not isinstance(command, Audio):
            await self._unclog()
            self._check_alive()
            await self.ask(partial(self.session.send, command))
        elif (link := self._flows(command.pcm)) is None:
            await self._send_slices(command)
        elif self._gathered or link.soon(self._pour):
            await self._gather(command.pcm)
        else:
            await self._take(command)
        self._check_alive()

    async def _send_slices(self, command: Audio) -> None:
        """Between them the sender notices what has happened."""
        pcm = memoryview(checked_audio(command.pcm, self.session.options.audio_format))
        self._pour()
        while pcm:
            size = await self._room()
            await self._take(Audio(bytes(pcm[:size])))
            pcm = pcm[size:]

    def _flows(self, pcm: object) -> SessionLink | None:
        """The only connection, if it takes this audio as it is, and without waiting for anything."""
        if (
            len(self._links) != 1
            or not isinstance(pcm, bytes)
            or not 0 < len(pcm) <= self._slice
            or len(pcm) % self._width
            or self.session.room is not None
        ):
            return None
        link = next(iter(self._links))
        return None if link.clogged else link

    async def _gather(self, pcm: bytes) -> None:
        """Take audio, to be sent at the end of this turn of the loop, or now if it is much.

        A call of the system costs more than everything that is done for a packet here.
        """
        self._gathered.append(pcm)
        self._gathered_size += len(pcm)
        if self._gathered_size > MOST_BYTES or len(self._gathered) > MOST_PIECES:
            self._pour()
            await self._flush()

    def _pour(self) -> None:
        """Send what was gathered, as far as the connection: writing it is for whoever calls."""
        if not self._gathered:
            return
        audio = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
        self._gathered.clear()
        self._gathered_size = 0
        if self.session.closed is not None:  # in this very turn
            return
        self.session.send(Audio(audio), self._backend.now())
        if len(self._links) != 1:  # another connection may be to hear it since
            self._unflushed = True
            self._wake()
        elif self._peek() is not NEED_DATA:
            self._wake()

    async def _take(self, audio: Audio) -> None:
        self.session.send(audio, self._backend.now())
        await self._flush()
        if not self._links or self._peek() is not NEED_DATA:
            self._wake()

    async def _room(self) -> int:
        """Wait until audio can be taken without giving up any that is kept; how many bytes to take then."""
        while True:
            await self._unclog()
            self._check_alive()
            room = self.session.room
            if room != 0 or self.session.closed is not None:  # which refuses it
                return min(self._slice, room or self._slice)
            await self._advance()

    async def _unclog(self) -> None:
        """Wait until what hears the audio has taken what was sent: calls that are cancelled must not pile it up."""
        while (link := self._clogged()) is not None:
            await link.room()

    def _clogged(self) -> SessionLink | None:
        for link, connection in self._links.items():
            if link.clogged and not link.finished and connection.closed_by is None:
                return link
        return None

    async def ask(self, change: Callable[[float], None]) -> None:
        """Have the session change something; `change` is given the time."""
        self._check_entered()
        self._check_alive()
        self._pour()
        change(self._backend.now())
        await self._flush()
        self._wake()

    async def next_event(self) -> Event | None:
        """The session's next event, whatever it is; None when there will be no more."""
        self._check_entered()
        if self._iterated:
            raise LocalProtocolError("another task iterates over this connection: only one may")
        self._iterated = True
        try:
            while self._peek() is NEED_DATA:
                if self.session.closed is not None:
                    return None
                await self._advance()
            event, self._event = self._event, NEED_DATA
            return event if event is not NEED_DATA else None
        finally:
            self._iterated = False

    async def aclose(self) -> None:
        """Close now, whatever is still under way. Bounded in time; harmless when repeated."""
        self._pour()
        self.session.close(self._backend.now())
        self._wake()
        try:
            await self._close_links()
            while self._dialling:  # in another task, which gives it up now
                await self._change().wait()
        finally:
            await self._close_links()

    async def _close_links(self) -> None:
        """Close them all, also when this is cancelled, and each then raises."""
        if self._links:
            link, _ = self._links.popitem()
            try:
                await link.aclose()
            finally:
                await self._close_links()

    async def _advance(self) -> None:
        """Let something happen. One task at a time does; others wait until it has."""
        if self._advancing:
            await self._change().wait()
            return
        self._advancing = True
        try:
            await self._step()
        finally:
            self._advancing = False
            self._tell_changed()

    async def _step(self) -> None:
        self._undialled = self._undialled or self.session.next_connection()
        if self._undialled is None:
            await self._exchange()
        elif not _is_given_up(self._undialled):
            await self._dial(self._undialled)
        else:
            self._undialled = None

    async def _exchange(self) -> None:
        """Wait until a connection has something, or the session's deadline has come, and act on that."""
        if (finished := self._finished()) is not None:
            del self._links[finished]
            await finished.aclose()
            return
        if self._unflushed:
            await self._flush()
            return
        self._unflushed = True
        if not self._links:
            deadline = self.session.next_deadline()
            if self.session.closed is None:
                await self._backend.wait(self._change(), math.inf if deadline is None else deadline)
        elif len(self._links) == 1:
            await next(iter(self._links)).exchange()
        else:
            await self._backend.race(*[link.exchange for link in self._links])
        if len(self._links) == 1:  # and it has written what it has to say, and kept the session's deadline
            self._unflushed = False
        else:
            self.session.handle_timeout(self._backend.now())
            await self._flush()

    def _finished(self) -> SessionLink | None:
        for link in self._links:
            if link.finished:
                return link
        return None

    async def _dial(self, connection: SessionConnection) -> None:
        """Dial, and keep what there is going meanwhile. A dial that is cancelled is begun again."""
        request = request_for(connection.options, self._settings)
        failures: list[Exception] = []

        async def dial() -> None:
            try:
                await self._open_link(connection, request)
            except Exception as error:  # which a race would wrap in a group
                failures.append(error)

        async def keep_going() -> None:
            while not _is_given_up(connection):
                await self._exchange()

        self._dialling = True
        try:
            await self._backend.race(dial, keep_going)
            if failures:
                raise failures[0]
        finally:
            self._dialling = False
            if self.session.closed is not None:  # by another task, perhaps, which had no link to close
                await self._close_links()

    async def _open_link(self, connection: SessionConnection, request: UpgradeRequest) -> None:
        try:
            link = await self._open(self._backend, connection, request, self._settings)
        except LocalProtocolError:
            raise
        except ProtocolError as error:
            connection.receive_close(1006, "", self._backend.now(), error=error)
            self._undialled = None
        except BaseException:
            if connection.opened_at is not None:  # cancelled: what it was sent is lost with its socket
                gone = ConnectionLost("the connection was given up while it was opened", status=1006)
                connection.receive_close(1006, "", self._backend.now(), error=gone)
            raise
        else:
            self._links[link] = connection
            self._undialled = None
            self._unflushed = True

    async def _flush(self) -> None:
        """Write what there is to say, and wait for nothing: what one connection tells may have another speak."""
        for link in tuple(self._links):
            await link.flush(AT_ONCE)
        self._unflushed = False

    def _peek(self) -> Event | Literal[Need.DATA]:
        if self._event is NEED_DATA:
            self._event = self.session.next_event()
        return self._event

    def _wake(self) -> None:
        """Have whoever advances look at the session again."""
        self._tell_changed()
        for link in self._links:
            link.wake()

    def _tell_changed(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def _change(self) -> Flag:
        """What the next change raises."""
        if self._changed is None:
            self._changed = self._backend.event()
        return self._changed

    def _check_entered(self) -> None:
        if not self._entered:
            raise LocalProtocolError("not connected: use the PulseStream with `async with`")

    def _check_alive(self) -> None:
        if (closed := self.session.closed) is not None and closed.error is not None:
            raise closed.error.with_traceback(None)


def request_for(options: PulseOptions, settings: ConnectSettings) -> UpgradeRequest:
    """What a connection with these options asks for. Raises ValueError."""
    return pulse_request(
        options, api_key=settings.api_key, base_url=settings.base_url, headers=settings.headers
    )


def _is_given_up(connection: SessionConnection) -> bool:
    """Whether the session wants it no more, or has it behind itself."""
    return connection.close_requested is not None or connection.closed is not None
