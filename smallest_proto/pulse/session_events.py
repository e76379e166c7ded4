"""What a `PulseSession` tells beyond the events of one connection. Times are seconds on the session's clock."""

from __future__ import annotations

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Event


class Reconnecting(Event, frozen=True, kw_only=True):
    """The connection is gone, and another will be dialled. Nothing has to be done; audio is taken as before.

    `attempt` counts from 1 since the last progress, `delay` is the wait in seconds before the dial (0.0 when
    one is under way already) and `error` says what happened.
    """

    attempt: int
    delay: float
    error: ProtocolError


class Resumed(Event, frozen=True, kw_only=True):
    """Another connection has taken over.

    `attempt` is that of the last `Reconnecting`, 0 for a planned change. `replayed` seconds of audio that no
    final had covered are sent to it first, from the time `start` on.
    """

    attempt: int
    replayed: float
    start: float


class AudioDropped(Event, frozen=True, kw_only=True):
    """The audio from `start` to `end` can no longer be replayed, and no final has covered it.

    What lies beyond the bounds of `ResumePolicy` is dropped, the oldest first, and so is what is left when
    the session fails. Spans never overlap, and adjacent ones share their edge exactly. A connection that was
    lost may have heard it, and silence gets no final: nothing need be missing from the transcript.
    """

    start: float
    end: float


class MigrationFailed(Event, frozen=True, kw_only=True):
    """`PulseSession.migrate` found no other connection; the one there is goes on. Call it again to retry."""

    error: ProtocolError
