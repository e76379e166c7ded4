"""Lightning over any backend: the machine, a link, and the calls that people make."""

from __future__ import annotations

import secrets
from typing import Self

from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import ProtocolError
from smallest_proto.events import ConnectionClosed, ServerErrorReceived
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextComplete,
    ContextFailed,
    FinishContext,
    FlushText,
    KeepAlive,
    LightningConnection,
    LightningOptions,
    OpenContext,
    SendText,
    Speak,
    WordTimestamp,
    lightning_request,
)
from smallest_proto.lightning.asking import well_formed
from smallest_proto.lightning.commands import ClientCommand
from smallest_proto.lightning.decode import Base64
from smallest_transports._backend import Backend
from smallest_transports._connect import ConnectSettings, open_link
from smallest_transports._session import Opener, Session, SessionLink

SpeechEvent = AudioChunk | WordTimestamp | ContextComplete | ContextCancelled
"""What iterating over a `SpeechContext` yields; the last two end it."""

# as tuples: a union is made anew wherever it is written, and every message asks
LAST_EVENTS = (ContextComplete, ContextCancelled)
_OF_A_CONTEXT = (AudioChunk, WordTimestamp, *LAST_EVENTS, ContextFailed)
_WITH_ERROR = (ServerErrorReceived, ConnectionClosed)


class LightningStream(Session[ClientCommand]):
    """One Lightning connection; made by `connect_lightning`, used with `async with`.

    It speaks one text at a time: open a context, send text, finish it, iterate over it to the end. Iterating is
    what reads the socket. `reusable` says whether another context may follow on this connection.
    """

    __slots__ = ("_context", "_lightning")

    def __init__(
        self,
        backend: Backend,
        options: LightningOptions,
        settings: ConnectSettings,
        opener: Opener = open_link,
        base64: Base64 | None = None,
    ) -> None:
        request = lightning_request(
            options, api_key=settings.api_key, base_url=settings.base_url, headers=settings.headers
        )
        self._lightning = LightningConnection(options, base64=base64)
        super().__init__(backend, self._lightning, request, settings, opener)
        self._context: SpeechContext | None = None

    async def __aenter__(self) -> Self:
        """Connect. Raises ConnectFailed, DeadlineExceeded, HandshakeRejected and the like.

        A server may accept the upgrade only to say why it closes: that is raised, too.
        """
        await super().__aenter__()
        if not self.reusable:
            try:
                raise await self._why_not_reusable()
            finally:
                await self.aclose()
        return self

    async def _why_not_reusable(self) -> ProtocolError:
        while (event := await self.next_event()) is not None:
            if isinstance(event, _WITH_ERROR) and event.error is not None:
                return event.error
        closed = self._lightning.closed
        assert closed is not None  # there are no more events
        return error_for_close(closed.code, closed.reason)

    @property
    def options(self) -> LightningOptions:
        """What was asked for."""
        return self._lightning.options

    @property
    def reusable(self) -> bool:
        """Whether a context may be opened now."""
        return self._lightning.reusable

    async def open_context(self, context_id: str | None = None) -> SpeechContext:
        """Begin a synthesis: send its text through what this returns.

        `context_id` is 8 to 64 ASCII letters and digits; a random one unless given. Raises LocalProtocolError
        while another context is active, or when the connection is spent.
        """
        context_id = context_id or secrets.token_hex(6)
        await self.send(OpenContext(context_id))
        return self.begun(context_id)

    async def speak(self, text: str) -> SpeechContext:
        """Synthesise a whole text: iterate over what this returns."""
        context_id = secrets.token_hex(6)
        if self.options.text_mode == "segment":
            await self.send(Speak(text, context_id))
            return self.begun(context_id)
        well_formed(SendText(text, context_id), self.options)  # before a context is open
        await self.send(OpenContext(context_id), SendText(text, context_id), FinishContext(context_id))
        return self.begun(context_id)

    async def keepalive(self) -> None:
        """Reset the server's idle timer."""
        await self.send(KeepAlive())

    def begun(self, context_id: str) -> SpeechContext:
        """For the pool: what to iterate over, of a synthesis that a command of its own begins."""
        if self._context is not None:
            self._context.left()
        self._context = SpeechContext(self, self._opened(), context_id)
        return self._context


class SpeechContext:
    """One synthesis. Send text and iterate, from two tasks or in turns; iterate until it ends."""

    __slots__ = ("__weakref__", "_ended", "_link", "_stream", "id")

    def __init__(self, stream: LightningStream, link: SessionLink, context_id: str) -> None:
        self._stream = stream
        self._link = link
        self._ended = False
        self.id = context_id

    def left(self) -> None:
        """For the stream: another context has begun, so this one is over, read to its end or not."""
        self._ended = True

    async def send_text(self, text: str) -> None:
        """Send a piece of text. Blanks at its edges matter: pieces are joined as they are."""
        await self._stream.send(SendText(text, self.id))

    async def flush(self) -> None:
        """`text_mode="continue"` only: have what was sent so far spoken now."""
        await self._stream.send(FlushText(self.id))

    async def finish(self) -> None:
        """No more text will come. Keep iterating to the end."""
        await self._stream.send(FinishContext(self.id))

    async def cancel(self) -> None:
        """Stop speaking, as when the user interrupts. The connection is then spent: close it."""
        await self._stream.send_at_once(CancelContext(self.id))

    def __aiter__(self) -> Self:
        """Audio and word times as they come; `ContextComplete` or `ContextCancelled` is the last."""
        return self

    async def __anext__(self) -> SpeechEvent:
        """The next event, waiting for it. Raises what the synthesis failed with; audio before that is sound."""
        while not self._ended and (event := await self._link.next_event()) is not None:
            if isinstance(event, _OF_A_CONTEXT):
                if event.context_id != self.id:
                    continue  # of a context before this one, which was not read to its end
                if isinstance(event, ContextFailed):
                    self._ended = True
                    raise event.error
                self._ended = isinstance(event, LAST_EVENTS)
                return event
            if isinstance(event, _WITH_ERROR) and event.error is not None:
                self._ended = True
                raise event.error
        raise StopAsyncIteration
