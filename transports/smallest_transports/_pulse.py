"""Pulse over any backend: the machine, what carries it, and the calls that people make."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self, cast, get_args

from smallest_proto import checks
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import ConnectionClosed, Event, ServerErrorReceived, UnknownMessage
from smallest_proto.pulse import (
    AudioDropped,
    CloseStream,
    Finalize,
    FinalTranscript,
    Flush,
    InterimTranscript,
    KeepAlive,
    MigrationFailed,
    PulseConnection,
    PulseOptions,
    PulseSession,
    Reconnecting,
    Resumed,
    ResumePolicy,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    Usage,
)
from smallest_proto.pulse.commands import ClientCommand
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectSettings, open_link
from smallest_transports._resuming import ResumingSession
from smallest_transports._session import Opener
from smallest_transports._session_links import request_for
from smallest_transports._single import SingleConnection

TranscriptEvent = (
    SpeechStarted
    | InterimTranscript
    | FinalTranscript
    | SpeechEnded
    | Usage
    | StreamEnded
    | ServerErrorReceived
    | UnknownMessage
    | Reconnecting
    | Resumed
    | AudioDropped
    | MigrationFailed
)
"""What iterating over a `PulseStream` yields."""

_POLICY = ResumePolicy()
_TOLD = frozenset(get_args(TranscriptEvent))


def check_resume(resume: object) -> None:
    """Raise ValueError for what is no answer to whether a stream outlives its connections."""
    if not isinstance(resume, bool | ResumePolicy):
        raise checks.refuse("resume", resume, "True, False or a ResumePolicy")


class PulseStream:
    """One Pulse stream; made by `connect_pulse`, used with `async with`.

    Send from one task and iterate in another, or in turns in one. Iterating is what reads the socket, answers
    pings, serves deadlines and connects anew: a stream that nobody iterates is closed by its server sooner or
    later. It ends after `StreamEnded`; when it fails, it raises what failed.

    `resume`: when the connection is lost, another takes over, and is sent the audio that no final has covered;
    `Reconnecting` and `Resumed` tell of it. True for the default `ResumePolicy`, where the encoding allows it:
    compressed audio cannot be cut by time, and its stream ends with its connection. False ends it, too.
    """

    __slots__ = ("__weakref__", "_carrier", "_ended", "_pulse")

    def __init__(
        self,
        backend: Backend,
        options: PulseOptions,
        settings: ConnectSettings,
        resume: bool | ResumePolicy = True,
        opener: Opener = open_link,
    ) -> None:
        request = request_for(options, settings)  # complains of what cannot be asked for
        check_resume(resume)
        self._carrier: SingleConnection | ResumingSession
        if isinstance(resume, ResumePolicy) or (resume and options.audio_format.sample_width):
            policy = resume if isinstance(resume, ResumePolicy) else _POLICY
            session = PulseSession(options, policy=policy, limits=settings.limits, random=random.random)
            self._pulse: PulseConnection | PulseSession = session
            self._carrier = ResumingSession(backend, session, settings, opener)
        else:
            self._pulse = connection = PulseConnection(options, limits=settings.limits)
            self._carrier = SingleConnection(backend, connection, request, settings, opener)
        self._ended = False

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectFailed, DeadlineExceeded, HandshakeRejected and the like."""
        await self._carrier.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close now, whatever is still under way. Bounded in time; harmless when repeated."""
        await self._carrier.aclose()

    @property
    def options(self) -> PulseOptions:
        """What was asked for."""
        return self._pulse.options

    @property
    def session_id(self) -> str:
        """The server's id for this stream, "" until its first message."""
        return self._pulse.session_id

    async def send(self, command: ClientCommand) -> None:
        """Send any command. Raises LocalProtocolError after `end_input`, or what ended the stream if it has ended."""
        await self._carrier.send(command)

    async def send_audio(self, pcm: bytes) -> None:
        """Send audio of any length made of whole samples; waits while the server reads too slowly.

        Raises LocalProtocolError for malformed audio or after `end_input`, and what ended the stream if it has
        ended. A cancelled call may have taken all of the audio, none, or (long audio) its beginning; what it took
        is sent once, and in order.
        """
        await self._carrier.send_audio(pcm)

    async def flush(self) -> None:
        """Send what is held back for a full packet, and ask for nothing. Raises as `send` does."""
        await self.send(Flush())

    async def finalize(self) -> None:
        """Flush, and force a final for what was sent so far. The stream stays open. Raises as `send` does."""
        await self.send(Finalize())

    async def keepalive(self) -> None:
        """Reset the server's idle timer; `PulseOptions.keepalive_interval` does so by itself. Raises as `send` does."""
        await self.send(KeepAlive())

    async def end_input(self) -> None:
        """No more audio will come: said once. Keep iterating until `StreamEnded`. Raises as `send` does."""
        await self.send(CloseStream())

    async def update_options(self, options: PulseOptions) -> None:
        """Go on with these options: finalise, connect anew, and send the rest there. Ends in `Resumed`.

        The same options change nothing. Raises LocalProtocolError for another encoding or sample rate, after
        `end_input`, and without `resume`.
        """
        session = self._resumable("update_options")
        await self._ask(partial(session.update_options, options))

    async def migrate(self) -> None:
        """Move to another connection while this one works: for servers that drain, and long calls.

        Ends in `Resumed` or `MigrationFailed`. Raises LocalProtocolError without `resume`.
        """
        await self._ask(self._resumable("migrate").migrate)

    async def next_event(self) -> Event | None:
        """The next event, whatever it is; None when there will be no more."""
        return await self._carrier.next_event()

    def __aiter__(self) -> Self:
        """Events until `StreamEnded`, which is the last. Only one task may iterate."""
        return self

    async def __anext__(self) -> TranscriptEvent:
        """The next event, waiting for it. Raises what ended the stream, if it ended early."""
        while not self._ended and (event := await self._carrier.next_event()) is not None:
            if isinstance(event, ConnectionClosed) and event.error is not None:
                raise event.error
            self._ended = isinstance(event, StreamEnded)
            if type(event) in _TOLD:
                return cast(TranscriptEvent, event)
        raise StopAsyncIteration

    def _resumable(self, call: str) -> PulseSession:
        if not isinstance(self._pulse, PulseSession):
            raise LocalProtocolError(f"{call} needs a stream that resumes: connect with resume=True")
        return self._pulse

    async def _ask(self, change: Callable[[float], None]) -> None:
        assert isinstance(self._carrier, ResumingSession)
        await self._carrier.ask(change)
