"""The server end of a Lightning connection: carries out what the rows of its table say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from smallest_proto.errors import ConnectionLost, LocalProtocolError, ProtocolError
from smallest_proto.events import ConnectionClosed, Event
from smallest_proto.json_text import unknown
from smallest_proto.lightning.client import CLEAN_CLOSES
from smallest_proto.lightning.commands import SendAudio, SendComplete, SendError, SendWord
from smallest_proto.lightning.events import (
    CancelReceived,
    ContextClosed,
    FlushReceived,
    KeepAliveReceived,
    SynthesisRequested,
    TextReceived,
)
from smallest_proto.lightning.messages import AudioBody, ErrorBody, ServerMessage, WordBody
from smallest_proto.lightning.options import SERVER_IDLE_TIMEOUT, LightningOptions
from smallest_proto.lightning.requests import Part, Request, parse_request
from smallest_proto.lightning.server_states import (
    SERVER,
    SERVER_EXTERNAL,
    ServerAction,
    ServerInput,
    ServerState,
)
from smallest_proto.lightning.setup import SynthesisSetup
from smallest_proto.machine import Machine, Row
from smallest_proto.message_layer import QueuedLayer

_EVENTS: Mapping[Part, Callable[[Request], Event]] = {
    Part.SPEECH: lambda r: SynthesisRequested(text=r.text, setup=r.setup),
    Part.FRAGMENT: lambda r: TextReceived(context_id=r.context_id, text=r.text, setup=r.setup),
    Part.FLUSH: lambda r: FlushReceived(context_id=r.context_id, setup=r.setup),
    Part.END: lambda r: ContextClosed(context_id=r.context_id, setup=r.setup),
    Part.CANCEL: lambda r: CancelReceived(context_id=r.context_id),
    Part.KEEP_ALIVE: lambda r: KeepAliveReceived(setup=r.setup),
}
BUSY = "another synthesis is active on this connection"


class _Cause(NamedTuple):
    """What set a row off, for its actions to work on."""

    text: str = ""
    request: Request | None = None
    part: Part = Part.KEEP_ALIVE
    problem: str = ""
    data: str | bytes = b""
    closed: ConnectionClosed | None = None


class ServerEnd:
    """Works on the queues and timers of its `LightningConnection`, which documents every method."""

    def __init__(self, connection: QueuedLayer, options: LightningOptions, session_id: str) -> None:
        self._to = connection
        self._session_id = session_id
        self._timeout = SERVER_IDLE_TIMEOUT if options.idle_timeout is None else options.idle_timeout
        self._machine = Machine(SERVER, ServerState.IDLE, SERVER_EXTERNAL)
        self._opened = False
        self._requests = 1
        self._setup: SynthesisSetup | None = None
        self.context_id: str | None = None
        self._do: Mapping[ServerAction, Callable[[_Cause], None]] = {
            ServerAction.BEGIN: self._begin,
            ServerAction.SEND: self._send,
            ServerAction.NEXT_REQUEST: self._next_request,
            ServerAction.FORGET: self._forget,
            ServerAction.TELL: self._tell,
            ServerAction.TELL_UNKNOWN: lambda cause: self._to.events.append(
                unknown(cause.problem, cause.data)
            ),
            ServerAction.REFUSE: lambda cause: self._refuse(cause.problem),
            ServerAction.REFUSE_BUSY: lambda _: self._refuse(BUSY),
            ServerAction.REFUSE_IDLE: self._refuse_idle,
            ServerAction.WANT_CLOSE: self._want_close,
            ServerAction.CLOSED_AS_EXPECTED: self._closed_as_expected,
            ServerAction.CLOSED_EARLY: self._closed_early,
        }

    @property
    def reusable(self) -> bool:
        """See `LightningConnection`."""
        return self._machine.state is ServerState.IDLE

    def send(self, command: object, now: float) -> None:
        """See `LightningConnection`."""
        given, text = self._check(command)
        self._perform(self._machine.check(given), _Cause(text=text))

    def receive_open(self, now: float) -> None:
        """See `LightningConnection`."""
        self._opened = True
        self._arm_idle(now)

    def receive_message(self, message: str | bytes, now: float) -> None:
        """See `LightningConnection`."""
        self._opened = True
        self._arm_idle(now)
        request = parse_request(message)
        if isinstance(request, str):
            self._step(ServerInput.INVALID, _Cause(problem=request, data=message))
            return
        for part in request.parts:
            foreign = part is not Part.KEEP_ALIVE and self.context_id not in (None, request.context_id)
            cause = _Cause(
                request=request, part=part, problem=f"{part.value}: not expected now", data=message
            )
            self._step(ServerInput.FOREIGN if foreign else ServerInput(part.value), cause)

    def receive_close(self, code: int, reason: str, now: float, error: ProtocolError | None) -> None:
        """See `LightningConnection`."""
        given = ServerInput.CLEAN_CLOSE if code in CLEAN_CLOSES else ServerInput.BROKEN_CLOSE
        if error is not None and not (self._opened and isinstance(error, ConnectionLost)):
            given = ServerInput.FAULT  # a socket that merely ended is a close, whoever reports it
        error = error or ConnectionLost("the client left before the end", status=code)
        closed = ConnectionClosed(code=code, reason=reason, expected=False, error=error)
        self._step(given, _Cause(closed=closed))

    def close(self, now: float) -> None:
        """See `LightningConnection`."""
        self._step(ServerInput.ABANDON, _Cause())

    def handle_timeout(self, now: float) -> None:
        """See `LightningConnection`."""
        for name in self._to.timers.pop_expired(now):
            self._step(ServerInput(name), _Cause())

    def _step(self, given: ServerInput, cause: _Cause) -> None:
        self._perform(self._machine.check(given), cause)

    def _perform(self, row: Row[ServerState, ServerAction], cause: _Cause) -> None:
        for action in self._machine.commit(row):
            self._do[action](cause)

    # sending

    def _check(self, command: object) -> tuple[ServerInput, str]:
        """The input that a command is, and its message. Changes nothing."""
        if isinstance(command, SendWord | SendComplete | SendError):
            _check_types(command)
        match command:
            case SendAudio():
                given, message = ServerInput.SEND_AUDIO, self._chunk(command)
            case SendWord():
                given, message = ServerInput.SEND_WORD, self._word(command)
            case SendComplete():
                given = ServerInput.SEND_LAST if command.last else ServerInput.SEND_RELEASE
                message = self._reply("complete", command.request_id)
            case SendError():
                given, message = ServerInput.SEND_ERROR, self._failure(command)
            case _:
                raise LocalProtocolError(
                    f"a server cannot send {type(command).__name__}; expected SendAudio, SendWord, "
                    "SendComplete or SendError"
                )
        try:
            return given, msgspec.json.encode(message).decode()
        except UnicodeEncodeError:
            raise LocalProtocolError("text holds half of a surrogate pair: expected valid Unicode") from None

    def _chunk(self, command: SendAudio) -> ServerMessage:
        pcm: object = command.pcm
        if not isinstance(pcm, bytes | bytearray | memoryview):
            raise LocalProtocolError(f"SendAudio.pcm is {type(pcm).__name__}: expected bytes")
        audio = bytes(pcm)
        if not audio or len(audio) % 2:
            raise LocalProtocolError(
                f"SendAudio.pcm has {len(audio)} bytes: expected whole samples, a multiple of 2 above 0"
            )
        return self._reply("chunk", command.request_id, data=AudioBody(audio))

    def _word(self, command: SendWord) -> ServerMessage:
        if not (math.isfinite(command.start) and math.isfinite(command.end)):
            raise LocalProtocolError(
                f"SendWord.start={command.start!r}, end={command.end!r}: expected finite numbers of seconds"
            )
        body = WordBody(id=command.index, word=command.word, start=command.start, end=command.end)
        return self._reply("word_timestamp", command.request_id, data=body)

    def _failure(self, command: SendError) -> ServerMessage:
        request_id, text, code = command.request_id, command.message, command.code
        match command.shape:
            case "flat":
                return self._reply("error", request_id, message=text, error_code=code)
            case "nested":
                return self._reply("error", request_id, error=ErrorBody(text, code))
            case _:
                return self._reply("error", request_id, error=text, error_code=code)

    def _reply(
        self,
        status: str,
        request_id: str | None = None,
        *,
        data: AudioBody | WordBody | None = None,
        message: str | None = None,
        error: str | ErrorBody | None = None,
        error_code: str | None = None,
    ) -> ServerMessage:
        return ServerMessage(
            session_id=self._session_id,
            request_id=f"task_{self._requests}" if request_id is None else request_id,
            external_session_id=self._setup.session_id if self._setup else None,
            external_request_id=self._setup.request_id if self._setup else None,
            status=status,
            data=data,
            message=message,
            error=error,
            error_code=error_code,
        )

    def _send(self, cause: _Cause) -> None:
        self._to.outbox.append(cause.text)

    def _refuse(self, problem: str) -> None:
        self._to.outbox.append(msgspec.json.encode(self._reply("error", message=problem)).decode())

    def _refuse_idle(self, _: _Cause) -> None:
        # bare, as it was seen [asyncapi tts-ws]
        message = f"Connection timed out after {self._timeout} seconds of inactivity"
        self._to.outbox.append(msgspec.json.encode(ServerMessage(status="error", message=message)).decode())

    def _next_request(self, _: _Cause) -> None:
        self._requests += 1

    # receiving

    def _begin(self, cause: _Cause) -> None:
        assert cause.request is not None
        self.context_id, self._setup = cause.request.context_id, cause.request.setup

    def _forget(self, _: _Cause) -> None:
        self.context_id = None

    def _tell(self, cause: _Cause) -> None:
        assert cause.request is not None
        self._to.events.append(_EVENTS[cause.part](cause.request))

    # ending

    def _arm_idle(self, now: float) -> None:
        if self._to.close_requested is None and self._to.closed is None:
            self._to.timers.set(ServerInput.IDLE_OVER.value, now + self._timeout)

    def _want_close(self, _: _Cause) -> None:
        self._to.timers.clear()
        self._to.request_close()

    def _closed_as_expected(self, cause: _Cause) -> None:
        assert cause.closed is not None
        self._to.finish(msgspec.structs.replace(cause.closed, expected=True, error=None))

    def _closed_early(self, cause: _Cause) -> None:
        assert cause.closed is not None
        self._to.finish(cause.closed)


def _check_types(command: SendWord | SendComplete | SendError) -> None:
    try:
        msgspec.convert(msgspec.structs.asdict(command), type(command))
    except msgspec.ValidationError as error:
        raise LocalProtocolError(f"{type(command).__name__}: expected other types ({error})") from None
