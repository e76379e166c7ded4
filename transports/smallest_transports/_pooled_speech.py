"""One synthesis over a pool's connections: as many as it takes, one after the other."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TypeAlias

from smallest_proto.errors import ConnectionLost, LocalProtocolError, ProtocolError
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextComplete,
    FinishContext,
    FlushText,
    OpenContext,
    ResumableSpeech,
    SendText,
    SpeechResumed,
    WordTimestamp,
)
from smallest_proto.lightning.commands import ClientCommand
from smallest_proto.lightning.resumption import SpeechCommand
from smallest_transports._backend import Event as Flag
from smallest_transports._lightning import LAST_EVENTS, LightningStream, SpeechContext
from smallest_transports._semaphore import Semaphore

if TYPE_CHECKING:
    from smallest_transports._pool import LightningPool

LONGEST_RETRY_AFTER = 60.0
"""Seconds: a server that asks for more ends the synthesis, as a `ResumePolicy` has it end a session."""

PooledEvent: TypeAlias = AudioChunk | WordTimestamp | SpeechResumed | ContextComplete | ContextCancelled
"""What iterating over a `PooledSpeech` yields; the last two end it."""


class Kept(NamedTuple):
    """A connection, when it was opened, and whether it was there before it was asked for."""

    stream: LightningStream
    opened: float
    reused: bool = False


class PooledSpeech:
    """One synthesis on a connection of a pool; made by `LightningPool`, used with `async with`.

    Send text and iterate, from two tasks or in turns; iterate to the end. Leaving early cancels it. When its
    connection fails it goes on over another one, unless `resume` is off: from the start if nothing was heard
    yet, else behind the last word heard, where word times tell. Otherwise it raises, `Truncated` after speech.
    """

    def __init__(self, pool: LightningPool) -> None:
        self._pool = pool
        self.options = pool.options
        self.id = os.urandom(6).hex()
        self.reused = False
        """Whether its connection was open before it was asked for."""
        self.waited = 0.0
        """Seconds until it had its connection: in line, and to connect."""
        self._speech = ResumableSpeech(self.options, self.id)
        self._kept: Kept | None = None
        self._context: SpeechContext | None = None
        self._opening: tuple[OpenContext, ...] = ()
        self._sender = Semaphore(pool.backend, 1)
        self._entered = False
        self._is_cancelled = False
        self._stopped: Flag | None = None
        self._retry_after = 0.0
        self._ended = False

    async def __aenter__(self) -> Self:
        """Wait for a connection. Raises what connecting raises."""
        if self._entered:
            raise LocalProtocolError("a PooledSpeech is entered once: make another")
        self._entered = True
        begun = self._pool.backend.now()
        self._kept = await self._pool.check_out(self.options)
        self.reused, self.waited = self._kept.reused, self._pool.backend.now() - begun
        try:
            try:
                await self._begin(self._kept.stream)
            except ProtocolError as error:
                self._see_to(error)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        await self.aclose()

    async def send_text(self, text: str) -> None:
        """Send a piece of text. Blanks at its edges matter: pieces are joined as they are.

        A cancelled call has taken the text, which then goes before what later calls bring.
        """
        self.note(SendText(text, self.id))
        await self._send()

    async def flush(self) -> None:
        """`text_mode="continue"` only: have what was sent so far spoken now."""
        self.note(FlushText(self.id))
        await self._send()

    async def finish(self) -> None:
        """No more text will come. Keep iterating to the end."""
        self.note(FinishContext(self.id))
        await self._send()

    async def cancel(self) -> None:
        """Stop speaking, as when the user interrupts; iterating then ends in `ContextCancelled`."""
        self._is_cancelled = True
        self._stop_waiting()
        if self._context is not None and self._kept is not None:
            # it has ended, or its connection has: whoever iterates learns which
            with suppress(ProtocolError):
                await self._kept.stream.send_at_once(CancelContext(self.id))

    async def aclose(self) -> None:
        """Give the connection back, closed if the synthesis has not ended. Harmless when repeated."""
        kept, self._kept = self._kept, None
        self._context, self._ended = None, True
        self._stop_waiting()
        if kept is not None:
            await self._pool.check_in(kept)

    def __aiter__(self) -> Self:
        """Audio and word times as they come; `ContextComplete` or `ContextCancelled` is the last."""
        return self

    async def __anext__(self) -> PooledEvent:
        """The next event, waiting for it. Raises what the synthesis failed with; audio before that is sound."""
        while not self._ended:
            if (event := self._speech.next_event()) is not None:
                self._ended = isinstance(event, LAST_EVENTS)
                return event
            if self._kept is None:
                raise LocalProtocolError("not connected: use the PooledSpeech with `async with`")
            try:
                if (context := self._context) is None:
                    await self._go_on(self._kept)
                elif (self._opening or self._speech.waiting) and not self._sender.taken:
                    await self._send_and_hear(context)
                else:
                    self._speech.receive(await anext(context))
            except StopAsyncIteration:
                self._see_to(ConnectionLost("the connection ended before the synthesis did", status=1006))
            except ProtocolError as error:
                self._see_to(error)
        raise StopAsyncIteration

    async def _send_and_hear(self, context: SpeechContext) -> None:
        """Send what a call that was cancelled has left; the peer may have to be heard first before it takes that."""
        failures: list[Exception] = []

        async def hear() -> None:
            try:
                self._speech.receive(await anext(context))
            except Exception as error:  # which a race would wrap in a group
                failures.append(error)

        await self._pool.backend.race(self._send, hear)
        if failures:
            raise failures[0]

    def note(self, command: SpeechCommand) -> None:
        """For the pool: ask for this once there is a connection. Raises LocalProtocolError if malformed."""
        self._speech.ask(command)

    def _see_to(self, error: ProtocolError) -> None:
        """Raise what ends the synthesis; return to go on over another connection."""
        if isinstance(error, LocalProtocolError):
            raise error
        self._context = None
        if self._is_cancelled:
            self._speech.receive(ContextCancelled(context_id=self.id))
            return
        self._retry_after = error.retry_after or 0.0
        resumes = self._pool.resume and self._retry_after <= LONGEST_RETRY_AFTER
        if (failure := self._speech.fail(error) if resumes else error) is not None:
            self._ended = True
            raise failure from None

    async def _go_on(self, kept: Kept) -> None:
        """Over another connection, after a while if the first attempt at that failed too, or the server asks for it."""
        attempts = self._speech.attempts
        wait = max(random.uniform(0.0, 0.25 * 2**attempts) if attempts > 1 else 0.0, self._retry_after)
        if wait and not self._is_cancelled:
            self._stopped = self._pool.backend.event()
            await self._pool.backend.wait(self._stopped, self._pool.backend.now() + wait)
        if not self._is_cancelled and self._kept is kept:
            fresh = await self._pool.replace(kept)
            if self._kept is not kept:  # it was closed meanwhile, and so is the turn
                await fresh.stream.aclose()
                return
            self._kept = fresh
        if self._kept is not None:
            await self._begin(self._kept.stream)

    def _stop_waiting(self) -> None:
        if self._stopped is not None:
            self._stopped.set()

    async def _begin(self, stream: LightningStream) -> None:
        if self._is_cancelled:
            self._speech.receive(ContextCancelled(context_id=self.id))
            return
        self._context = stream.begun(self.id)
        self._opening = () if self.options.text_mode == "segment" else (OpenContext(self.id),)
        await self._send()

    async def _send(self) -> None:
        """Send what was asked for and is not sent yet. One task at a time does; others wait for their turn."""
        await self._sender.acquire()
        try:
            while (context := self._context) is not None and self._kept is not None:
                if not (self._opening or self._speech.waiting):
                    return
                stream = self._kept.stream
                await stream.room()
                if context is not self._context:
                    continue
                # from here on nothing waits until the commands are taken, so none is lost by a cancellation
                commands: list[ClientCommand] = [*self._opening]
                self._opening = ()
                while (command := self._speech.next_command()) is not None:
                    commands.append(command)
                try:
                    await stream.send(*commands)
                except ProtocolError:  # the connection failed: whoever iterates sees to it
                    if context is self._context:
                        return
        finally:
            self._sender.release()
