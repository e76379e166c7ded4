"""The connections of a Pulse session: dialled when it says so, read and written in turn, closed with it.

Runs in the tasks of whoever sends or iterates, as everything here, but for a dial, which has one of its own. What is
to be done and when is the machine's.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal

from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.errors import ConnectionLost, LocalProtocolError, ProtocolError
from smallest_proto.events import NEED_DATA, Event, Need
from smallest_proto.pulse import PulseOptions, PulseSession, pulse_request
from smallest_proto.pulse.session_connection import SessionConnection
from smallest_transports._backend import AT_ONCE, Backend, Running
from smallest_transports._backend import Event as Flag
from smallest_transports._connect import ConnectSettings
from smallest_transports._session import Opener, SessionLink


class SessionLinks:
    """Carries out what the session asks for: `advance` while `take` has no event, `flush` after each call to it."""

    __slots__ = (
        "_advancing",
        "_changed",
        "_dials",
        "_event",
        "_fault",
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
        self._dials: dict[SessionConnection, Running] = {}
        self._fault: Exception | None = None
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
            if not self._dial_ended():
                await self._exchange()
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
        if not self._links:
            deadline = self.session.next_deadline()
            if self.session.closed is None:
                await self.backend.wait(self._change(), math.inf if deadline is None else deadline)
            self.session.handle_timeout(self.backend.now())
            return
        self._unflushed = True
        if len(self._links) == 1:
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

    def _dial_ended(self) -> bool:
        """Begin the dial that is due, and cancel what nobody wants any more. Raises what one of them stumbled over.

        Returns whether the one that was due has ended already, as an eager task may.
        """
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault
        for connection, dial in self._dials.items():
            if _is_given_up(connection):
                dial.cancel()
        due = self._undialled or self.session.next_connection()
        self._undialled = None
        if due is None or _is_given_up(due):
            return False
        dial = self.backend.begin(partial(self._dial, due))
        if not dial.done:
            self._dials[due] = dial
        return dial.done

    async def _dial(self, connection: SessionConnection) -> None:
        """Beside whatever the stream does meanwhile: what its last connection hears must not wait for the next one."""
        try:
            request = request_for(connection.options, self._settings)
            link = await self._open(self.backend, connection, request, self._settings)
        except Exception as error:
            if isinstance(error, ProtocolError) and not isinstance(error, LocalProtocolError):
                connection.receive_close(1006, "", self.backend.now(), error=error)
            else:
                self._undialled, self._fault = connection, error
        except BaseException:
            gone = ConnectionLost("the connection was given up while it was opened", status=1006)
            connection.receive_close(1006, "", self.backend.now(), error=gone)
            raise
        else:
            self._links[link] = connection
            self._unflushed = True
        finally:
            self._dials.pop(connection, None)
            self.wake()

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
        dials = tuple(self._dials.values())
        for dial in dials:
            dial.cancel()
        try:
            for dial in dials:
                await dial.ended()
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
