"""What goes with an input of the state table: the bytes, event, close code or error that its actions use."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Event
from smallest_proto.wire.states import Input

NO_CLOSE_FRAME = 1006
"""The close code of a connection that ended without a close frame; never sent."""


class Detail(NamedTuple):
    """Prepared before the step, used by its actions; each action reads only its own fields."""

    code: int = NO_CLOSE_FRAME
    reason: str = ""
    error: ProtocolError | None = None
    data: bytes = b""
    event: Event | None = None


NOTHING = Detail()
"""For an input whose actions need nothing."""

Happening: TypeAlias = tuple[Input, Detail]
"""One input with its detail, as the handshakes report them."""
