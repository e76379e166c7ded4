"""The client end of a Pulse stream: carries out what the rows of its table say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import msgspec

from smallest_proto.chunker import Chunker
from smallest_proto.endpoints import US_BASE_URL
from smallest_proto.error_shapes import error_for_close
from smallest_proto.errors import LocalProtocolError, ProtocolError, ServerError
from smallest_proto.events import ConnectionClosed, ServerErrorReceived, UnknownMessage
from smallest_proto.json_text import load_object, unknown
from smallest_proto.limits import Limits
from smallest_proto.machine import Machine, Row
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.pulse import messages
from smallest_proto.pulse.audio_input import audio_of
from smallest_proto.pulse.commands import Audio, CloseStream, Finalize, Flush, KeepAlive
from smallest_proto.pulse.decode import Parsed, parse
from smallest_proto.pulse.events import EndReason, StreamEnded, Usage
from smallest_proto.pulse.messages import PongMessage, TranscriptMessage, VadMessage
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.speech import SpeechInference
from smallest_proto.pulse.speech_tables import Turn
from smallest_proto.pulse.states import (
    CLIENT,
    CLIENT_CLOCK,
    CLIENT_EXTERNAL,
    ClientAction,
    ClientInput,
    State,
)
from smallest_proto.pulse.usage import UsageMeter
from smallest_proto.vendor import US_ONLY_LANGUAGES

CLEAN_CLOSES = (1000, 1005)
REGION_CODE = "LANGUAGE_NOT_ENABLED_IN_REGION"

_COMMANDS: dict[type, ClientInput] = {
    Audio: ClientInput.AUDIO,
    Flush: ClientInput.FLUSH,
    Finalize: ClientInput.FINALIZE,
    KeepAlive: ClientInput.KEEPALIVE,
    CloseStream: ClientInput.CLOSE_STREAM,
}
_MESSAGES: dict[type, ClientInput] = {
    VadMessage: ClientInput.VAD,
    PongMessage: ClientInput.PONG,
    ServerError: ClientInput.ERROR,
    UnknownMessage: ClientInput.UNKNOWN,
}
_NOT_OURS = (*CLIENT_EXTERNAL, *CLIENT_CLOCK)
_AUDIO = ClientInput.AUDIO
_TRANSCRIPT, _LAST_TRANSCRIPT = ClientInput.TRANSCRIPT, ClientInput.LAST_TRANSCRIPT
_KEEPALIVE_DUE, _DRAIN_TIMEOUT = ClientInput.KEEPALIVE_DUE.value, ClientInput.DRAIN_TIMEOUT.value


class _Cause(msgspec.Struct, frozen=True):
    """What set a row off, for its actions to work on."""

    now: float
    audio: bytes = b""
    message: Parsed | None = None
    data: str | bytes = b""
    end: EndReason = "closed"
    closed: ConnectionClosed | None = None


class ClientEnd:
    """Works on the queues and timers of its `PulseConnection`, which documents every method."""

    __slots__ = (
        "_chunker",
        "_error",
        "_format",
        "_heard_anything",
        "_keepalive",
        "_limits",
        "_machine",
        "_offset",
        "_options",
        "_sent_bytes",
        "_speech",
        "_to",
        "_usage",
        "session_id",
    )

    _do: ClassVar[Mapping[ClientAction, Callable[[ClientEnd, _Cause], None]]]

    def __init__(
        self, connection: QueuedLayer, options: PulseOptions, limits: Limits, previous: ClientEnd | None
    ) -> None:
        self._to = connection
        self._options = options
        self._limits = limits
        self._format = options.audio_format
        self._keepalive = options.keepalive_seconds
        self._machine = Machine(CLIENT, State.OPEN, _NOT_OURS)
        self._usage: UsageMeter = UsageMeter()
        self._sent_bytes = 0
        self._offset = 0.0
        self._heard_anything = False
        self._error: ProtocolError | None = None
        self.session_id = ""
        turn, held = Turn.SILENT, b""
        if previous is not None:
            self.session_id = previous.session_id
            if options.compat == "seed":
                turn, self._usage = previous._speech.turn, previous._usage
            else:
                self._offset = previous._offset + previous._format.seconds(previous._sent_bytes)
                if self._format == previous._format:
                    held = b"".join(previous._chunker.flush())
        self._chunker: Chunker = Chunker(self._format.packet_bytes(options.packet_ms), held)
        self._speech: SpeechInference = SpeechInference(options, turn=turn, time_offset=self._offset)

    @property
    def finalizes_outstanding(self) -> int:
        return self._speech.finalizes_outstanding

    def send(self, command: object, now: float) -> None:
        given = _COMMANDS.get(type(command))
        if given is None:
            raise LocalProtocolError(
                f"a client cannot send {type(command).__name__}; expected "
                + ", ".join(kind.__name__ for kind in _COMMANDS)
            )
        row = self._machine.check(given)
        if isinstance(command, Audio):
            self._perform(row, _Cause(now, audio=audio_of(command, self._format)))
            return
        if given is ClientInput.KEEPALIVE and self._options.endpoint == "transcribe":
            raise LocalProtocolError(
                "KeepAlive is not for endpoint 'transcribe': its server does not take it"
            )
        self._perform(row, _Cause(now))

    def send_checked_audio(self, audio: bytes, now: float) -> None:
        self._step(_AUDIO, _Cause(now, audio))

    def receive_open(self, now: float) -> None:
        self._usage.start(now)
        self._arm_keepalive(now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        if isinstance(message, bytes):
            # pulse sends text only [asyncapi stt-live]
            parsed: Parsed = unknown("a binary message", message)
        else:
            parsed = parse(message)
        if isinstance(parsed, TranscriptMessage):
            given = _LAST_TRANSCRIPT if parsed.is_last else _TRANSCRIPT
        else:
            given = _MESSAGES[type(parsed)]
        self._heard_anything = True
        self._step(given, _Cause(now, message=parsed, data=message, end="is_last"))

    def receive_close(self, code: int, reason: str, now: float, error: ProtocolError | None) -> None:
        clean = code in CLEAN_CLOSES and error is None
        closed = ConnectionClosed(code=code, reason=reason, expected=False, error=error)
        given = ClientInput.CLEAN_CLOSE if clean else ClientInput.BROKEN_CLOSE
        self._step(given, _Cause(now, closed=closed))

    def close(self, now: float) -> None:
        self._step(ClientInput.ABANDON, _Cause(now, end="abandoned"))

    def handle_timeout(self, now: float) -> None:
        for name in self._to.timers.pop_expired(now):
            self._step(ClientInput(name), _Cause(now, end="drain_timeout"))

    def _step(self, given: ClientInput, cause: _Cause) -> None:
        for action in self._machine.step(given):
            self._do[action](self, cause)

    def _perform(self, row: Row[State, ClientAction], cause: _Cause) -> None:
        for action in self._machine.commit(row):
            self._do[action](self, cause)

    def _queue(self, message: str, now: float) -> None:
        self._to.outbox.append(message)
        self._arm_keepalive(now)

    def _queue_audio(self, packets: list[bytes], now: float) -> None:
        if not packets:
            return
        first, size = len(packets[0]), sum(map(len, packets))
        self._sent_bytes += size
        self._report_usage(self._usage.push(self._format.seconds(first), now))
        if size > first:  # only the first may have been due
            self._usage.push(self._format.seconds(size - first), now)
        self._to.outbox += packets
        self._arm_keepalive(now)

    def _report_usage(self, seconds: float) -> None:
        if seconds:
            self._to.events.append(Usage(audio_seconds=seconds))

    def _arm_keepalive(self, now: float) -> None:
        if self._keepalive is not None and self._machine.state is State.OPEN:
            self._to.timers.set(_KEEPALIVE_DUE, now + self._keepalive)

    def _send_audio(self, cause: _Cause) -> None:
        self._queue_audio(self._chunker.push(cause.audio), cause.now)

    def _send_tail(self, cause: _Cause) -> None:
        self._queue_audio(self._chunker.flush(), cause.now)
        self._report_usage(self._usage.flush(cause.now))

    def _send_finalize(self, cause: _Cause) -> None:
        self._queue(messages.FINALIZE, cause.now)
        self._speech.finalize_sent()

    def _send_keepalive(self, cause: _Cause) -> None:
        self._queue(messages.KEEPALIVE, cause.now)

    def _send_close_stream(self, cause: _Cause) -> None:
        self._to.outbox.append(messages.CLOSE_STREAM)
        self._to.timers.clear(_KEEPALIVE_DUE)

    def _arm_drain(self, cause: _Cause) -> None:
        if (timeout := self._limits.drain_timeout) is not None:
            self._to.timers.set(_DRAIN_TIMEOUT, cause.now + timeout)

    def _infer(self, cause: _Cause) -> None:
        message = cause.message
        if isinstance(message, VadMessage):
            self.session_id = message.session_id or self.session_id
            self._to.events.extend(self._speech.vad(message))
            return
        assert isinstance(message, TranscriptMessage)
        self.session_id = message.session_id or self.session_id
        raw = load_object(cause.data) if self._options.include_raw else None
        self._to.events.extend(
            self._speech.transcript(message, self.session_id, raw if isinstance(raw, dict) else None)
        )

    def _wind_up(self, cause: _Cause) -> None:
        self._to.events.extend(self._speech.stream_ended())
        if self._options.compat == "default":
            self._report_usage(self._usage.flush(cause.now))

    def _report_error(self, cause: _Cause) -> None:
        assert isinstance(cause.message, ServerError)
        self._error = cause.message
        self._to.events.append(ServerErrorReceived(error=cause.message))

    def _report_unknown(self, cause: _Cause) -> None:
        assert isinstance(cause.message, UnknownMessage)
        self._to.events.append(cause.message)

    def _end_stream(self, cause: _Cause) -> None:
        self._to.events.append(StreamEnded(confirmed=cause.end == "is_last", reason=cause.end))

    def _want_close(self, cause: _Cause) -> None:
        self._to.timers.clear()
        self._to.request_close()

    def _closed_as_asked(self, cause: _Cause) -> None:
        assert cause.closed is not None
        self._to.finish(msgspec.structs.replace(cause.closed, expected=True, error=None))

    def _closed_early(self, cause: _Cause) -> None:
        closed = cause.closed
        assert closed is not None
        error = self._error or closed.error or self._region_error(closed.code)
        error = error or error_for_close(closed.code, closed.reason)
        self._to.finish(msgspec.structs.replace(closed, error=error))

    def _region_error(self, code: int) -> ServerError | None:
        """The default host answers East Asian languages by closing without a word [asyncapi pulse-ws]."""
        if (
            self._heard_anything
            or code not in CLEAN_CLOSES
            or self._options.language not in US_ONLY_LANGUAGES
        ):
            return None
        return ServerError(
            f"the server closed without a word, as a host outside the USA does for language "
            f"{self._options.language!r}; use the base URL {US_BASE_URL}",
            code=REGION_CODE,
            status=code,
            retryable=False,
        )


ClientEnd._do = {
    ClientAction.SEND_AUDIO: ClientEnd._send_audio,
    ClientAction.SEND_TAIL: ClientEnd._send_tail,
    ClientAction.SEND_FINALIZE: ClientEnd._send_finalize,
    ClientAction.SEND_KEEPALIVE: ClientEnd._send_keepalive,
    ClientAction.SEND_CLOSE_STREAM: ClientEnd._send_close_stream,
    ClientAction.ARM_DRAIN: ClientEnd._arm_drain,
    ClientAction.INFER: ClientEnd._infer,
    ClientAction.WIND_UP: ClientEnd._wind_up,
    ClientAction.REPORT_ERROR: ClientEnd._report_error,
    ClientAction.REPORT_UNKNOWN: ClientEnd._report_unknown,
    ClientAction.END_STREAM: ClientEnd._end_stream,
    ClientAction.WANT_CLOSE: ClientEnd._want_close,
    ClientAction.CLOSED_AS_ASKED: ClientEnd._closed_as_asked,
    ClientAction.CLOSED_EARLY: ClientEnd._closed_early,
}
