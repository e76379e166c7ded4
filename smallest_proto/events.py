"""Events and sentinels that both protocols share."""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal

import msgspec

from smallest_proto.errors import ProtocolError, ServerError


class Role(Enum):
    """Which end of the connection a machine plays."""

    CLIENT = "client"
    SERVER = "server"


class Need(Enum):
    """The type of `NEED_DATA`; an enum member, so that type checkers narrow on it."""

    DATA = "NEED_DATA"

    def __repr__(self) -> str:
        return self.value


NEED_DATA: Final[Literal[Need.DATA]] = Need.DATA
"""What `next_event` returns when it has nothing: feed more bytes, or wait for the next deadline."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every event."""


class ServerErrorReceived(Event, frozen=True, kw_only=True):
    """The server reported an error in a message. Pulse closes next: wait for `ConnectionClosed`."""

    error: ServerError


class UnknownMessage(Event, frozen=True, kw_only=True):
    """A message that means nothing to us: nothing changed, and nothing has to be done.

    `reason` says why in our own words; `data` is the message as it came, cut to 2,000 characters or bytes. The repr
    shows only its size: it may hold what people said.
    """

    reason: str
    data: str | bytes = b""

    def __repr__(self) -> str:
        unit = "characters" if isinstance(self.data, str) else "bytes"
        return f"UnknownMessage(reason={self.reason!r}, data of {len(self.data)} {unit})"


class ConnectionClosed(Event, frozen=True, kw_only=True):
    """The last event of every connection.

    `code` is the WebSocket close code (1006 when there was no close frame) and `reason` its text. `expected`
    says whether the work was done or the close was asked for; when it was not, `error` says what happened.
    """

    code: int
    reason: str = ""
    expected: bool
    error: ProtocolError | None = None
