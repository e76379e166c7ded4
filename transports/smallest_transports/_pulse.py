"""Pulse over any backend: the machine, a link, and the calls that people make."""

from __future__ import annotations

from typing import Self

from smallest_proto.events import ConnectionClosed, ServerErrorReceived, UnknownMessage
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    FinalTranscript,
    Flush,
    InterimTranscript,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    Usage,
    pulse_request,
)
from smallest_proto.pulse.commands import ClientCommand
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectSettings
from smallest_transports._session import Session

TranscriptEvent = (
    SpeechStarted
    | InterimTranscript
    | FinalTranscript
    | SpeechEnded
    | Usage
    | StreamEnded
    | ServerErrorReceived
    | UnknownMessage
)
"""What iterating over a `PulseStream` yields."""


class PulseStream(Session[ClientCommand]):
    """One Pulse stream; made by `connect_pulse`, used with `async with`.

    Send from one task and iterate in another, or in turns in one. Iterating is what reads the socket, answers
    pings and serves deadlines: a stream that nobody iterates is closed by its server sooner or later. It ends
    after `StreamEnded`; when the connection fails, it raises what failed.
    """

    def __init__(self, backend: Backend, options: PulseOptions, settings: ConnectSettings) -> None:
        request = pulse_request(
            options, api_key=settings.api_key, base_url=settings.base_url, headers=settings.headers
        )
        self._pulse = PulseConnection(options, limits=settings.limits)
        super().__init__(backend, self._pulse, request, settings)
        self._ended = False

    @property
    def options(self) -> PulseOptions:
        """What was asked for."""
        return self._pulse.options

    @property
    def session_id(self) -> str:
        """The server's id for this stream, "" until its first message."""
        return self._pulse.session_id

    async def send_audio(self, pcm: bytes) -> None:
        """Send audio of any length made of whole samples; waits while the server reads too slowly.

        Raises LocalProtocolError for malformed audio or after `end_input`, and what ended the connection if it
        has ended. Audio whose sending is cancelled is sent nevertheless, or the connection ends.
        """
        await self.send(Audio(pcm))

    async def flush(self) -> None:
        """Send what is held back for a full packet, and ask for nothing."""
        await self.send(Flush())

    async def finalize(self) -> None:
        """Flush, and force a final for what was sent so far. The stream stays open."""
        await self.send(Finalize())

    async def keepalive(self) -> None:
        """Reset the server's idle timer. Seldom needed: see `PulseOptions.keepalive_interval`."""
        await self.send(KeepAlive())

    async def end_input(self) -> None:
        """No more audio will come. Keep iterating until `StreamEnded`."""
        await self.send(CloseStream())

    def __aiter__(self) -> Self:
        """Events until `StreamEnded`, which is the last. Only one task may iterate."""
        return self

    async def __anext__(self) -> TranscriptEvent:
        """The next event, waiting for it. Raises what ended the connection, if it ended early."""
        while not self._ended and (event := await self.next_event()) is not None:
            if isinstance(event, ConnectionClosed) and event.error is not None:
                raise event.error
            self._ended = isinstance(event, StreamEnded)
            if isinstance(event, TranscriptEvent):
                return event
        raise StopAsyncIteration
