"""The client end of a Lightning connection: carries out what the rows of its table say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import ConnectionLost, DeadlineExceeded, ProtocolError, ServerError
from smallest_proto.events import ConnectionClosed, ServerErrorReceived, UnknownMessage
from smallest_proto.json_text import unknown
from smallest_proto.lightning.asking import Asked, check
from smallest_proto.lightning.completion import Verdict
from smallest_proto.lightning.contexts import Context, LatestIds
from smallest_proto.lightning.decode import Base64, Chunk, Complete, Parsed, TimedWord, parse
from smallest_proto.lightning.events import (
    INVALID_AUDIO,
    AudioChunk,
    ContextCancelled,
    ContextComplete,
    ContextFailed,
    WordTimestamp,
)
from smallest_proto.lightning.messages import ClientMessages
from smallest_proto.lightning.options import LightningOptions
from smallest_proto.lightning.states import CLIENT, CLIENT_EXTERNAL, ClientAction, ClientInput, State
from smallest_proto.lightning.word_clock import WordClock
from smallest_proto.machine import Machine, Row
from smallest_proto.message_layer import QueuedLayer

CLEAN_CLOSES = (1000, 1005)
_IDLE_TIMEOUT = re.compile(r"timed out after .{1,20} seconds? of inactivity", re.IGNORECASE)
# at most one of these is armed at any time
_LINGER_OVER, _SILENCE_OVER = ClientInput.LINGER_OVER.value, ClientInput.SILENCE_OVER.value
_FIRST_AUDIO_OVER = ClientInput.FIRST_AUDIO_OVER.value
_KEEP_ALIVE_DUE = ClientInput.KEEP_ALIVE_DUE.value
_VERDICTS = {
    Verdict.RELEASE: ClientInput.RELEASE,
    Verdict.PROBABLE: ClientInput.PROBABLE_END,
    Verdict.CERTAIN: ClientInput.CERTAIN_END,
}
_CHUNK, _EMPTY_CHUNK = ClientInput.CHUNK, ClientInput.EMPTY_CHUNK


class _Cause(msgspec.Struct, frozen=True):
    """What set a row off, for its actions to work on."""

    now: float
    asked: Asked | None = None
    frame: Parsed | None = None
    data: str | bytes = b""
    error: ProtocolError | None = None
    closed: ConnectionClosed | None = None


class ClientEnd:
    """Works on the queues and timers of its `LightningConnection`, which documents every method."""

    __slots__ = (
        "_awaited",
        "_base64",
        "_clock",
        "_context",
        "_ended",
        "_keep_alives",
        "_machine",
        "_messages",
        "_opened",
        "_options",
        "_to",
        "_used",
    )

    _do: ClassVar[Mapping[ClientAction, Callable[[ClientEnd, _Cause], None]]]

    def __init__(self, connection: QueuedLayer, options: LightningOptions, base64: Base64 | None) -> None:
        self._to = connection
        self._base64 = base64
        self._options = options
        self._messages = ClientMessages(options)
        self._machine = Machine(CLIENT, State.IDLE, CLIENT_EXTERNAL)
        self._clock = WordClock(2 * options.sample_rate)
        self._context: Context | None = None
        self._used = LatestIds()
        self._ended = LatestIds()
        """Requests of contexts that are over: their late frames must not be heard in the next one.

        Frames without an id cannot be told apart.
        """
        self._keep_alives = 0
        self._awaited = ""
        self._opened = False

    @property
    def reusable(self) -> bool:
        """See `LightningConnection`."""
        return self._machine.state is State.IDLE

    @property
    def context_id(self) -> str | None:
        """See `LightningConnection`."""
        return self._context.context_id if self._context else None

    @property
    def _active(self) -> Context:
        assert self._context is not None  # no row needs a context where there is none
        return self._context

    def send(self, command: object, now: float) -> None:
        """See `LightningConnection`."""
        asked = check(command, self._options, self._messages, self._context, self._used)
        self._perform(self._machine.check(asked.given), _Cause(now, asked=asked))

    def receive_open(self, now: float) -> None:
        """See `LightningConnection`."""
        self._opened = True
        self._arm_keep_alive(now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """See `LightningConnection`."""
        self._opened = True
        frame = parse(message, self._base64)
        given, error = self._classify(frame)
        cause = _Cause(now, frame=frame, data=message, error=error)
        for action in self._machine.step(given):
            self._do[action](self, cause)

    def receive_close(self, code: int, reason: str, now: float, error: ProtocolError | None) -> None:
        """See `LightningConnection`."""
        given = ClientInput.CLEAN_CLOSE if code in CLEAN_CLOSES else ClientInput.BROKEN_CLOSE
        if error is not None and not (self._opened and isinstance(error, ConnectionLost)):
            given = ClientInput.FAULT  # a socket that merely ended is a close, whoever reports it
        closed = ConnectionClosed(
            code=code, reason=reason, expected=False, error=error or error_for_close(code, reason)
        )
        self._perform(self._machine.check(given), _Cause(now, error=closed.error, closed=closed))

    def close(self, now: float) -> None:
        """See `LightningConnection`."""
        context = self._context
        message = self._messages.cancel(context.context_id) if context else None
        asked = Asked(ClientInput.ABANDON, context, message=message)
        self._perform(self._machine.check(asked.given), _Cause(now, asked=asked))

    def handle_timeout(self, now: float) -> None:
        """See `LightningConnection`."""
        error = DeadlineExceeded("no audio came for the text", code="first_audio")
        for name in self._to.timers.pop_expired(now):
            self._perform(self._machine.check(ClientInput(name)), _Cause(now, error=error))

    def _perform(self, row: Row[State, ClientAction], cause: _Cause) -> None:
        for action in self._machine.commit(row):
            self._do[action](self, cause)

    def _classify(self, frame: Parsed) -> tuple[ClientInput, ProtocolError | None]:
        """Which input of the table a frame is, and the error that it stands for."""
        if isinstance(frame, UnknownMessage):
            return ClientInput.UNKNOWN, None
        context, request_id = self._context, frame.request_id or ""
        if request_id in self._ended:
            return ClientInput.STRAY, None
        if isinstance(frame, ServerError):
            timed_out = _IDLE_TIMEOUT.search(frame.message)
            return ClientInput.IDLE_ERROR if timed_out else ClientInput.ERROR, frame
        if self._keep_alives and isinstance(frame, Complete) and self._answers_keep_alive(request_id):
            return ClientInput.KEEP_ALIVE_ANSWER, None
        if context is not None:
            context.policy.frame(request_id)
            self._clock.frame(request_id)
        if isinstance(frame, Chunk):
            return _CHUNK if frame.audio else _EMPTY_CHUNK, None
        if isinstance(frame, Complete):
            return _VERDICTS[context.policy.verdict(request_id)] if context else ClientInput.RELEASE, None
        if isinstance(frame, TimedWord):
            return ClientInput.WORD, None
        # a BadChunk is left
        error = ServerError(
            "a chunk of audio is not base64",
            code=INVALID_AUDIO,
            request_id=request_id or None,
            retryable=True,
        )
        return ClientInput.BAD_CHUNK, error

    # sending

    def _open(self, cause: _Cause) -> None:
        assert cause.asked is not None
        self._context = cause.asked.context
        self._used.add(self._active.context_id)
        self._clock.begin_context()

    def _hold(self, cause: _Cause) -> None:
        assert cause.asked is not None
        self._active.blanks += cause.asked.text

    def _send_text(self, cause: _Cause) -> None:
        self._active.blanks = ""
        self._active.policy.text_sent()
        self._send(cause)

    def _send_flush(self, cause: _Cause) -> None:
        self._active.policy.flush_sent()
        self._send(cause)

    def _send(self, cause: _Cause) -> None:
        if cause.asked is not None and cause.asked.message is not None:
            self._queue(cause.asked.message, cause.now)

    def _send_keep_alive(self, cause: _Cause) -> None:
        self._keep_alives += 1
        self._queue(self._messages.keep_alive(), cause.now)

    def _queue(self, message: str, now: float) -> None:
        self._to.outbox.append(message)
        self._arm_keep_alive(now)

    def _arm_keep_alive(self, now: float) -> None:
        over = self._to.close_requested is not None or self._to.closed is not None
        if self._options.keepalive_interval is not None and not over:
            self._to.timers.set(_KEEP_ALIVE_DUE, now + self._options.keepalive_interval)

    # receiving

    def _answers_keep_alive(self, request_id: str) -> bool:
        """A keep-alive may bring a `complete` without audio; it must not end a synthesis [pipecat 1.14]."""
        if self._context is not None and self._context.policy.knows(request_id):
            return False
        self._keep_alives -= 1
        return True

    def _audio(self, cause: _Cause) -> None:
        frame, context = cause.frame, self._context
        assert isinstance(frame, Chunk)
        assert context is not None
        context.heard = True
        pcm = context.samples.push(frame.audio, frame.request_id)
        self._clock.audio(len(pcm))
        if pcm:
            self._to.events.append(
                AudioChunk(pcm=pcm, context_id=context.context_id, request_id=frame.request_id)
            )

    def _word(self, cause: _Cause) -> None:
        frame = cause.frame
        assert isinstance(frame, TimedWord)
        start, end = self._clock.place(frame.start, frame.end)
        self._to.events.append(
            WordTimestamp(
                word=frame.word,
                start=start,
                end=end,
                index=frame.index,
                context_id=self._active.context_id,
                request_id=frame.request_id,
            )
        )

    def _note_release(self, cause: _Cause) -> None:
        self._active.policy.released(_request_id(cause.frame))

    def _note_complete(self, cause: _Cause) -> None:
        self._active.policy.completed(_request_id(cause.frame))

    def _report_stray(self, cause: _Cause) -> None:
        request_id = _request_id(cause.frame)
        late = request_id in self._ended or self._machine.state is State.SPENT
        self._ended.add(request_id)
        reason = "late frame: its context has ended" if late else "frame while nothing is being synthesised"
        self._to.events.append(unknown(reason, cause.data))

    def _report_unknown(self, cause: _Cause) -> None:
        assert isinstance(cause.frame, UnknownMessage)
        self._to.events.append(cause.frame)

    def _report_error(self, cause: _Cause) -> None:
        assert isinstance(cause.error, ServerError)
        self._to.events.append(ServerErrorReceived(error=cause.error))

    # ending

    def _await_frame(self, cause: _Cause) -> None:
        context = self._context
        assert context is not None
        if context.heard:
            self._wait(_SILENCE_OVER, cause.now + self._options.silence_limit)
        else:
            self._wait(_FIRST_AUDIO_OVER, cause.now + self._options.first_audio_timeout)

    def _wait(self, over: str, until: float) -> None:
        if over is not self._awaited:
            self._to.timers.clear(self._awaited)
            self._awaited = over
        self._to.timers.set(over, until)

    def _linger(self, cause: _Cause) -> None:
        self._wait(_LINGER_OVER, cause.now + self._options.linger)

    def _complete(self, _: _Cause) -> None:
        self._to.events.append(ContextComplete(context_id=self._end_context(), confirmed=True))

    def _complete_unconfirmed(self, _: _Cause) -> None:
        self._to.events.append(ContextComplete(context_id=self._end_context(), confirmed=False))

    def _cancelled(self, _: _Cause) -> None:
        self._to.events.append(ContextCancelled(context_id=self._end_context()))

    def _fail(self, cause: _Cause) -> None:
        assert cause.error is not None
        self._to.events.append(ContextFailed(context_id=self._end_context(), error=cause.error))

    def _end_context(self) -> str:
        context, self._context = self._active, None
        self._ended.add(*context.policy.requests)
        self._to.timers.clear(self._awaited)
        return context.context_id

    def _retire(self, _: _Cause) -> None:
        self._to.timers.clear()
        self._to.request_close()

    def _closed_as_expected(self, cause: _Cause) -> None:
        assert cause.closed is not None
        self._to.finish(msgspec.structs.replace(cause.closed, expected=True, error=None))

    def _closed_early(self, cause: _Cause) -> None:
        assert cause.closed is not None
        self._to.finish(cause.closed)


ClientEnd._do = {
    ClientAction.OPEN: ClientEnd._open,
    ClientAction.HOLD: ClientEnd._hold,
    ClientAction.SEND_TEXT: ClientEnd._send_text,
    ClientAction.SEND_FLUSH: ClientEnd._send_flush,
    ClientAction.SEND: ClientEnd._send,
    ClientAction.SEND_KEEP_ALIVE: ClientEnd._send_keep_alive,
    ClientAction.AUDIO: ClientEnd._audio,
    ClientAction.WORD: ClientEnd._word,
    ClientAction.NOTE_RELEASE: ClientEnd._note_release,
    ClientAction.NOTE_COMPLETE: ClientEnd._note_complete,
    ClientAction.AWAIT: ClientEnd._await_frame,
    ClientAction.LINGER: ClientEnd._linger,
    ClientAction.COMPLETE: ClientEnd._complete,
    ClientAction.COMPLETE_UNCONFIRMED: ClientEnd._complete_unconfirmed,
    ClientAction.CANCELLED: ClientEnd._cancelled,
    ClientAction.FAIL: ClientEnd._fail,
    ClientAction.REPORT_STRAY: ClientEnd._report_stray,
    ClientAction.REPORT_UNKNOWN: ClientEnd._report_unknown,
    ClientAction.REPORT_ERROR: ClientEnd._report_error,
    ClientAction.RETIRE: ClientEnd._retire,
    ClientAction.CLOSED_AS_EXPECTED: ClientEnd._closed_as_expected,
    ClientAction.CLOSED_EARLY: ClientEnd._closed_early,
}


def _request_id(frame: Parsed | None) -> str:
    return "" if frame is None or isinstance(frame, UnknownMessage) else frame.request_id or ""
