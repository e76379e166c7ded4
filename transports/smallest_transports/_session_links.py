"""The connections of a Pulse session: dialled when it says so, read and written in turn, closed with it.

Runs in the tasks of whoever sends or iterates, as everything here. What is to be done and when is the machine's.
"""

from __future__ import annotations

import math
from typing import Literal

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import ConnectionLost, LocalProtocolError, ProtocolError
from smallest_proto.events import NEED_DATA, Event, Need
from smallest_proto.pulse import PulseOptions, PulseSession, pulse_request
from smallest_proto.pulse.session_connection import SessionConnection
from smallest_transports._backend import AT_ONCE, Backend
from smallest_transports._backend import Event as Flag
from smallest_transports._connect import ConnectSettings
from smallest_transports._session import Opener, SessionLink


class SessionLinks:
    """Carries out what the session asks for: `advance` while `take` has no event, `flush` after each call to it."""

    __slots__ = (
        "_advancing",
        "_changed",
        "_dialling",
        "_event",
        "_links",
        "_open",
        "_settings",
        "_undialled",
        "_unflushed",
        "backend",
        "session",
    )

    def __init__(
        self, backend: Backend, session: PulseSession, settings: ConnectSettings, opener: Opener
    ) -> None:
        self.backend = backend
        self.session = session
        self._settings = settings
        self._open = opener
        self._links: dict[SessionLink, SessionConnection] = {}
        self._undialled: SessionConnection | None = None
        self._dialling = False
        self._unflushed = False
        """Whether a connection may have something to say that another one caused, or a call that was cancelled."""
        self._advancing = False
        self._changed: Flag | None = None
        self._event: Event | Literal[Need.DATA] = NEED_DATA

    @property
    def any(self) -> bool:
        """Whether there is a connection."""
        return bool(self._links)

    @property
    def only(self) -> SessionLink | None:
        """The connection, when there is one and no other."""
        if len(self._links) == 1:
            for link in self._links:
                return link
        return None

    def peek(self) -> Event | Literal[Need.DATA]:
        """The event that `take` would return."""
        if self._event is NEED_DATA:
            self._event = self.session.next_event()
        return self._event

    def take(self) -> Event | Literal[Need.DATA]:
        """The session's next event."""
        if self._event is NEED_DATA:
            return self.session.next_event()
        event, self._event = self._event, NEED_DATA
        return event

    def clogged(self) -> SessionLink | None:
        """A connection that is to hear audio, and has not written all that it was sent."""
        for link, connection in self._links.items():
            if link.clogged and not link.finished and connection.closed_by is None:
                return link
        return None

    async def advance(self) -> None:
        """Let something happen. One task at a time does; others wait until it has."""
        if self._advancing:
            await self._change().wait()
            return
        self._advancing = True
        try:
            self._undialled = self._undialled or self.session.next_connection()
            if self._undialled is None:
                await self._exchange()
            elif not _is_given_up(self._undialled):
                await self._dial(self._undialled)
            else:
                self._undialled = None
        finally:
            self._advancing = False
            self._tell_changed()

    async def _exchange(self) -> None:
        """Wait until a connection has something, or the session's deadline has come, and act on that."""
        if (finished := self._finished()) is not None:
            del self._links[finished]
            await finished.aclose()
            return
        if self._unflushed:
            await self.flush()
            return
        self._unflushed = True
        if not self._links:
            deadline = self.session.next_deadline()
            if self.session.closed is None:
                await self.backend.wait(self._change(), math.inf if deadline is None else deadline)
        elif len(self._links) == 1:
            await next(iter(self._links)).exchange()
        else:
            await self.backend.race(*[link.exchange for link in self._links])
        if len(self._links) == 1:  # and it has written what it has to say, and kept the session's deadline
            self._unflushed = False
        else:
            self.session.handle_timeout(self.backend.now())
            await self.flush()

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
            await self.backend.race(dial, keep_going)
            if failures:
                raise failures[0]
        finally:
            self._dialling = False
            if self.session.closed is not None:  # by another task, perhaps, which had no link to close
                await self._close_links()

    async def _open_link(self, connection: SessionConnection, request: UpgradeRequest) -> None:
        try:
            link = await self._open(self.backend, connection, request, self._settings)
        except LocalProtocolError:
            raise
        except ProtocolError as error:
            connection.receive_close(1006, "", self.backend.now(), error=error)
            self._undialled = None
        except BaseException:
            if connection.opened_at is not None:  # cancelled: what it was sent is lost with its socket
                gone = ConnectionLost("the connection was given up while it was opened", status=1006)
                connection.receive_close(1006, "", self.backend.now(), error=gone)
            raise
        else:
            self._links[link] = connection
            self._undialled = None
            self._unflushed = True

    async def flush(self) -> None:
        """Write what there is to say, and wait for nothing: what one connection tells may have another speak."""
        for link in tuple(self._links):
            await link.flush(AT_ONCE)
        self._unflushed = False

    def tell(self) -> None:
        """After audio, which changes no deadline: wake whoever advances if there is something for him to do."""
        if not self._links or self.peek() is not NEED_DATA:
            self.wake()

    def tell_poured(self) -> None:
        """The same for audio that only one connection is going to write: by now another may be to hear it."""
        if len(self._links) != 1:
            self._unflushed = True
            self.wake()
        elif self.peek() is not NEED_DATA:
            self.wake()

    def wake(self) -> None:
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
            self._changed = self.backend.event()
        return self._changed

    async def aclose(self) -> None:
        """Close what there is, once the session is closed. Bounded in time; harmless when repeated."""
        self.wake()
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


def request_for(options: PulseOptions, settings: ConnectSettings) -> UpgradeRequest:
    """What a connection with these options asks for. Raises ValueError."""
    return pulse_request(
        options, api_key=settings.api_key, base_url=settings.base_url, headers=settings.headers
    )


def _is_given_up(connection: SessionConnection) -> bool:
    """Whether the session wants it no more, or has it behind itself."""
    return connection.close_requested is not None or connection.closed is not None
