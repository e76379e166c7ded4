"""Warm Lightning connections: one synthesis on each at a time, and another connection when one fails."""

from __future__ import annotations

import os
import random
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

from smallest_proto import checks
from smallest_proto.errors import LocalProtocolError, ProtocolError
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextComplete,
    FinishContext,
    FlushText,
    LightningOptions,
    OpenContext,
    ResumableSpeech,
    SendText,
    Speak,
    SpeechResumed,
    WordTimestamp,
)
from smallest_proto.lightning.commands import ClientCommand
from smallest_proto.lightning.decode import Base64
from smallest_proto.lightning.resumption import SpeechCommand
from smallest_transports._backend import Backend
from smallest_transports._backend import Event as Flag
from smallest_transports._connect import ConnectSettings, open_link
from smallest_transports._lightning import LAST_EVENTS, LightningStream, SpeechContext
from smallest_transports._session import Opener
from smallest_transports._turns import Turns

PooledEvent: TypeAlias = AudioChunk | WordTimestamp | SpeechResumed | ContextComplete | ContextCancelled
"""What iterating over a `PooledSpeech` yields; the last two end it."""

MAX_AGE = 3600.0
"""Seconds after which a connection is not used again [lk 1.8.9]."""

DRAIN_TIMEOUT = 10.0
"""Seconds that speech under way has to end when the pool is closed."""


class _Kept(NamedTuple):
    """A connection, when it was opened, and whether it was there before it was asked for."""

    stream: LightningStream
    opened: float
    reused: bool = False


class LightningPool:
    """Speaks one text after the other over connections that stay open in between. Use it with `async with`.

    async with lightning_pool(LightningOptions(voice_id="meher"), api_key=key) as pool:
        async with pool.speak("Good morning.") as speech:
            async for event in speech: ...

    Leaving the block waits `DRAIN_TIMEOUT` for what is still being spoken, unless an exception leaves it. A
    connection that was idle for `options.heartbeat` seconds must answer a ping before it is used.

    All speeches have the options of the pool; for another voice call `update_options`, or have a pool for each.
    """

    def __init__(
        self,
        backend: Backend,
        options: LightningOptions,
        settings: ConnectSettings,
        max_connections: int,
        resume: bool,
        opener: Opener = open_link,
        base64: Base64 | None = None,
    ) -> None:
        checks.integer("max_connections", max_connections, 1)
        self.resume = resume
        self.backend = backend
        self._options = options
        self._most = max_connections
        self._settings = settings
        self._opener = opener
        self._base64 = base64
        self._turns = Turns(backend, max_connections)
        self._idle: list[_Kept] = []
        self._closed = False

    async def __aenter__(self) -> Self:
        """Connects nothing: see `prewarm`."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.aclose(drain=error is None)

    @property
    def options(self) -> LightningOptions:
        """What the next speech will have."""
        return self._options

    @property
    def idle(self) -> int:
        """Connections that wait for work."""
        return len(self._idle)

    def update_options(self, options: LightningOptions) -> None:
        """Have every speech that is made from here on use these. Connections with others are not used again."""
        self._options = options

    async def prewarm(self, connections: int = 1) -> None:
        """Connect ahead, until so many are open, idle or at work. Raises what connecting raises."""
        checks.integer("connections", connections, 0, self._most)
        while len(self._idle) + self._turns.taken < connections:
            await self._turns.take()
            try:
                kept = await self._connect(self._options)
            except BaseException:
                self._turns.give()
                raise
            await self.check_in(kept)

    def speech(self) -> PooledSpeech:
        """A synthesis whose text comes in pieces: use it with `async with`, which waits for a connection.

        Raises LocalProtocolError for `text_mode="segment"`, which takes whole texts: use `speak`.
        """
        if self._options.text_mode == "segment":
            raise LocalProtocolError("text_mode='segment' takes no text in pieces: use speak")
        return PooledSpeech(self)

    def speak(self, text: str) -> PooledSpeech:
        """The synthesis of a whole text: use it with `async with`. Raises LocalProtocolError for no text."""
        speech = PooledSpeech(self)
        if self._options.text_mode == "segment":
            speech.note(Speak(text, speech.id))
        else:
            speech.note(SendText(text, speech.id))
            speech.note(FinishContext(speech.id))
        return speech

    async def aclose(self, *, drain: bool = True) -> None:
        """Close what is idle, and let what is being spoken end first. Harmless when repeated.

        What is still spoken then keeps its connection until its own `async with` ends.
        """
        self._closed = True
        try:
            await self._turns.close(self.backend.now() + (DRAIN_TIMEOUT if drain else 0.0))
        finally:
            await self._close_idle()

    async def _close_idle(self) -> None:
        """Close them all, also when this is cancelled, and each then raises."""
        if self._idle:
            kept = self._idle.pop()
            try:
                await kept.stream.aclose()
            finally:
                await self._close_idle()

    # for `PooledSpeech`

    async def check_out(self, options: LightningOptions) -> _Kept:
        """Wait for a turn, then take a connection that is alive, or a new one. Give it back with `check_in`."""
        await self._turns.take()
        try:
            return await self._alive(options) or await self._connect(options)
        except BaseException:
            self._turns.give()
            raise

    async def replace(self, kept: _Kept) -> _Kept:
        """A new connection for one that failed, within the same turn."""
        await kept.stream.aclose()
        return await self._connect(kept.stream.options)

    async def check_in(self, kept: _Kept) -> None:
        """End the turn. The connection is kept if it can be used again, else closed."""
        try:
            if not self._closed and kept.stream.reusable and self._fits(kept, self._options):
                self._idle.append(_Kept(kept.stream, kept.opened, reused=True))
            else:
                await kept.stream.aclose()
        finally:
            self._turns.give()

    def _fits(self, kept: _Kept, options: LightningOptions) -> bool:
        return kept.stream.options == options and self.backend.now() - kept.opened <= MAX_AGE

    async def _alive(self, options: LightningOptions) -> _Kept | None:
        while self._idle:
            kept = self._idle.pop()
            alive = False
            try:
                # one that is about to be closed is still alive, and takes nothing
                alive = self._fits(kept, options) and await kept.stream.alive() and kept.stream.reusable
            finally:
                if not alive:
                    await kept.stream.aclose()
            if alive:
                return kept
        return None

    async def _connect(self, options: LightningOptions) -> _Kept:
        stream = LightningStream(self.backend, options, self._settings, self._opener, self._base64)
        await stream.__aenter__()
        return _Kept(stream, self.backend.now())


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
        self._kept: _Kept | None = None
        self._context: SpeechContext | None = None
        self._opening: tuple[OpenContext, ...] = ()
        self._sender = Turns(pool.backend, 1)
        self._entered = False
        self._is_cancelled = False
        self._stopped: Flag | None = None
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
                await self._kept.stream.send(CancelContext(self.id))

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
                else:
                    if self._opening or self._speech.waiting:  # of a call that was cancelled
                        await self._send()
                    self._speech.receive(await anext(context))
            except StopAsyncIteration:
                self._ended = True
            except ProtocolError as error:
                self._see_to(error)
        raise StopAsyncIteration

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
        elif (failure := self._speech.fail(error) if self._pool.resume else error) is not None:
            self._ended = True
            raise failure from None

    async def _go_on(self, kept: _Kept) -> None:
        """Over another connection, after a while if the first attempt at that failed too."""
        attempts = self._speech.attempts
        if attempts > 1:
            wait = random.uniform(0.0, 0.25 * 2**attempts)
            if not self._is_cancelled:
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
        await self._sender.take()
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
            self._sender.give()
