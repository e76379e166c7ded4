"""Warm Lightning connections: one synthesis on each at a time, and another connection when one fails."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from smallest_proto import checks
from smallest_proto.errors import LocalProtocolError
from smallest_proto.lightning import FinishContext, LightningOptions, SendText, Speak
from smallest_proto.lightning.decode import Base64
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectSettings, open_link
from smallest_transports._lightning import LightningStream
from smallest_transports._pooled_speech import Kept, PooledSpeech
from smallest_transports._semaphore import Semaphore
from smallest_transports._session import Opener

MAX_AGE = 3600.0
"""Seconds after which a connection is not used again [lk 1.8.9]."""

DRAIN_TIMEOUT = 10.0
"""Seconds that speech under way has to end when the pool is closed."""


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
        checks.boolean("resume", resume)
        self.resume = resume
        self.backend = backend
        self.update_options(options)
        self._most = max_connections
        self._settings = settings
        self._opener = opener
        self._base64 = base64
        self._places = Semaphore(backend, max_connections)
        self._idle: list[Kept] = []
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
        """Have every speech that is made from here on use these. Connections with others are not used again.

        Raises ValueError for what are no `LightningOptions`.
        """
        if not isinstance(options, LightningOptions):
            raise checks.refuse("options", options, "LightningOptions")
        self._options = options

    async def prewarm(self, connections: int = 1) -> None:
        """Connect ahead, until so many are open, idle or at work. Raises what connecting raises."""
        checks.integer("connections", connections, 0, self._most)
        while stale := next((kept for kept in self._idle if not self._fits(kept, self._options)), None):
            self._idle.remove(stale)
            await stale.stream.aclose()
        while len(self._idle) + self._places.taken < connections:
            await self._places.acquire()
            try:
                kept = await self._connect(self._options)
            except BaseException:
                self._places.release()
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
            await self._places.close(self.backend.now() + (DRAIN_TIMEOUT if drain else 0.0))
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

    async def check_out(self, options: LightningOptions) -> Kept:
        """Wait for a turn, then take a connection that is alive, or a new one. Give it back with `check_in`."""
        await self._places.acquire()
        try:
            return await self._alive(options) or await self._connect(options)
        except BaseException:
            self._places.release()
            raise

    async def replace(self, kept: Kept) -> Kept:
        """A new connection for one that failed, within the same turn."""
        await kept.stream.aclose()
        return await self._connect(kept.stream.options)

    async def check_in(self, kept: Kept) -> None:
        """End the turn. The connection is kept if it can be used again, else closed."""
        try:
            if not self._closed and kept.stream.reusable and self._fits(kept, self._options):
                self._idle.append(Kept(kept.stream, kept.opened, reused=True))
            else:
                await kept.stream.aclose()
        finally:
            self._places.release()

    def _fits(self, kept: Kept, options: LightningOptions) -> bool:
        return kept.stream.options == options and self.backend.now() - kept.opened <= MAX_AGE

    async def _alive(self, options: LightningOptions) -> Kept | None:
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

    async def _connect(self, options: LightningOptions) -> Kept:
        stream = LightningStream(self.backend, options, self._settings, self._opener, self._base64)
        await stream.__aenter__()
        return Kept(stream, self.backend.now())
