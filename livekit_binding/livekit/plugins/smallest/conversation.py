"""What goes on over one `PulseStream`: sending and receiving at once, until either, or new options, end it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from livekit.agents import stt

from livekit.plugins.smallest.audio_input import AudioInput
from livekit.plugins.smallest.frame_gathering import GatheredAudio
from livekit.plugins.smallest.log import logger
from livekit.plugins.smallest.speech_events import SpeechEvents
from livekit.plugins.smallest.usage_once import UsageOnce
from smallest_proto.errors import DeadlineExceeded, LocalProtocolError, ProtocolError, ServerError
from smallest_proto.events import ServerErrorReceived, UnknownMessage
from smallest_proto.pulse import (
    AudioDropped,
    FinalTranscript,
    InterimTranscript,
    Reconnecting,
    Resumed,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    Usage,
)
from smallest_transports._pulse import PulseStream

if TYPE_CHECKING:
    from livekit.plugins.smallest.speech_stream import SpeechStream

LAST_WORDS_TIMEOUT = 1.0
"""Seconds that a connection has for its last finals when options change. Ours: people go on talking meanwhile."""

FAREWELL_TIMEOUT = 5.0
"""Seconds in which a connection that takes no more audio has to say why. It has ended, so this is never long."""

_SPEECH = (InterimTranscript, FinalTranscript, SpeechStarted, SpeechEnded)


class Ending(Enum):
    """Why a conversation was over without an error."""

    ALL_SENT = "the input has ended, and the server has said its last"
    NEW_OPTIONS = "the options have changed"
    SERVER_ENDED = "the server ended it after a transcript, although there may be more input"
    SERVER_REFUSED = "the server ended it before any transcript"


class Conversation:
    """One `PulseStream`'s share of a `SpeechStream`: as many connections as that resumes with, or one.

    all_sent: the input has ended and every byte of it was handed over. `offset` seconds are added to the times
    that are told.
    """

    def __init__(
        self,
        stream: SpeechStream,
        pulse: PulseStream,
        audio: AudioInput,
        events: SpeechEvents,
        offset: float,
    ) -> None:
        self.all_sent = False
        self._fruitful = False
        self._stream = stream
        self._pulse = pulse
        self._events = events
        self._offset = offset
        self._audio = audio
        self._usage = UsageOnce()
        self._dialling_since: float | None = None
        self._tasks: tuple[asyncio.Task[object], ...] = ()

    async def run(self, first: GatheredAudio | None) -> Ending:
        """Send `first`, then the stream's input, and tell what comes back. Raises ProtocolError for a failure."""
        receiving = asyncio.create_task(self._receive(), name="smallest.SpeechStream.receive")
        sending = asyncio.create_task(self._send(first), name="smallest.SpeechStream.send")
        self._tasks = (receiving, sending)
        while True:
            ends: list[asyncio.Future[Any]] = [receiving, sending, self._stream.options_changed]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if receiving.done() or sending.done():
                break
            if not self._can_change():
                await _end(sending)
                await self._take_leave(receiving)
                return Ending.NEW_OPTIONS
            self._stream.forget_change()
            with suppress(LocalProtocolError):  # the input has just ended: nothing would be heard under them
                await self._pulse.update_options(self._stream.options.pulse)
        if sending.done():
            if (refusal := sending.result()) is not None:
                await asyncio.wait((receiving,), timeout=FAREWELL_TIMEOUT)
                if not receiving.done():
                    raise refusal
            await receiving
        receiving.result()
        if self.all_sent:
            return Ending.ALL_SENT
        return Ending.SERVER_ENDED if self._fruitful else Ending.SERVER_REFUSED

    async def aclose(self) -> None:
        """Stop, and tell what is still to be told: audio that no report has covered, the end of the turn."""
        await _end(*self._tasks)
        self._events.session_id = self._pulse.session_id or self._events.session_id
        if self._dialling_since is None:  # or what is not reported was not sent either
            self._report(self._usage.rest(self._audio.sent_seconds))
        self._emit(self._events.end_turn())

    async def _send(self, first: GatheredAudio | None) -> ProtocolError | None:
        """Send until the input ends; the error, if the connection takes no more."""
        try:
            if first is not None:
                await self._send_audio(self._audio.push(first))
                first = None
            given = self._stream.input
            async for item in given:
                if isinstance(item, GatheredAudio):
                    self._stream.gathering.taken(item)
                    await self._send_audio(self._audio.push(item, more=given.waiting))
                else:
                    await self._send_flush()
                del item  # a second of audio, perhaps, and the next may be long in coming
            await self._send_audio(self._audio.flush())
            self.all_sent = True
            await self._pulse.end_input()
        except ProtocolError as error:
            return error
        return None

    async def _send_audio(self, data: bytes) -> None:
        if not data:
            return
        try:
            await self._pulse.send_audio(data)
        except LocalProtocolError:
            self._audio.take_back(data)
            raise

    async def _send_flush(self) -> None:
        await self._send_audio(self._audio.flush())
        if self._stream.options.finalize_on_flush:
            await self._pulse.finalize()
        else:
            await self._pulse.flush()

    def _can_change(self) -> bool:
        """Whether this stream can go on with the new options: what is kept for a replay must fit them."""
        wanted = self._stream.options.pulse.audio_format
        return bool(self._stream.resume) and wanted == self._pulse.options.audio_format

    async def _take_leave(self, receiving: asyncio.Task[None]) -> None:
        """Get the finals for all that was sent, as far as the server gives them in time."""
        if not self._audio.sent_bytes and not self._audio.waiting:
            return
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT):
                await self._send_audio(self._audio.flush())
                await self._pulse.finalize()
                await self._pulse.end_input()
                await receiving
        except (TimeoutError, ProtocolError) as error:
            logger.warning(
                "the last words before a change of options may be missing: %s", type(error).__name__
            )

    async def _receive(self) -> None:
        async for event in self._pulse:
            if isinstance(event, _SPEECH):  # first, as nearly all are
                self._fruitful = self._fruitful or isinstance(event, FinalTranscript)
                self._emit(self._events.translate(event, self._pulse.options, self._offset))
            elif isinstance(event, ServerErrorReceived):
                logger.error(
                    "Smallest AI reported an error", extra={"lk.pii.error_message": event.error.message}
                )
                raise event.error
            elif isinstance(event, UnknownMessage):
                logger.warning(
                    "ignored a message from Smallest AI: %s",
                    event.reason,
                    extra={"lk.pii.message": event.data},
                )
            elif isinstance(event, StreamEnded):
                self._check_end(event)
            elif isinstance(event, Usage):
                self._report(self._usage.sent(event.audio_seconds))
            elif isinstance(event, Reconnecting | Resumed | AudioDropped):
                self._note(event)

    def _note(self, event: Reconnecting | Resumed | AudioDropped) -> None:
        """What resuming is about: nothing that the framework has an event for."""
        if isinstance(event, AudioDropped):
            logger.warning("%.2f s of audio may be missing from the transcript", event.end - event.start)
        elif isinstance(event, Reconnecting):
            logger.info(
                "lost the connection to Smallest AI (%s), trying again in %.2f s (attempt %d)",
                type(event.error).__name__,
                event.delay,
                event.attempt,
                extra={"lk.pii.error_message": _words_of(event.error)},
            )
            if self._dialling_since is None:  # the connection had sent all that it was given
                self._report(self._usage.rest(self._audio.sent_seconds))
            self._dialling_since = time.perf_counter() + event.delay
        else:
            logger.info("connected to Smallest AI again, sending %.2f s of audio once more", event.replayed)
            self._usage.resumed(event.start)
            if self._dialling_since is not None:
                self._stream.report_connected(max(0.0, time.perf_counter() - self._dialling_since))
                self._dialling_since = None

    def _check_end(self, ended: StreamEnded) -> None:
        if ended.reason == "drain_timeout":
            raise DeadlineExceeded("the server fell silent before its last transcript", code="drain")
        if not ended.confirmed:
            logger.warning("Smallest AI closed the connection without marking its last message")

    def _report(self, seconds: float) -> None:
        if seconds:
            self._emit(self._events.usage(seconds))

    def _emit(self, events: list[stt.SpeechEvent]) -> None:
        for event in events:
            self._stream.tell(event)


async def _end(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _words_of(error: ProtocolError) -> str:
    """What the server said, which is not for every log."""
    return error.message if isinstance(error, ServerError) else str(error)
