"""The server end of a Pulse stream: carries out what the rows of its table say."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from smallest_proto.errors import ConnectionLost, LocalProtocolError, ProtocolError
from smallest_proto.events import ConnectionClosed, Event, UnknownMessage
from smallest_proto.json_text import load_object, unknown
from smallest_proto.machine import Machine, Row
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.pulse import messages
from smallest_proto.pulse.events import (
    AudioReceived,
    CloseStreamReceived,
    FinalizeReceived,
    KeepAliveReceived,
)
from smallest_proto.pulse.messages import (
    VAD_TYPES,
    ErrorMessage,
    PongMessage,
    TranscriptMessage,
    VadMessage,
)
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.states import SERVER, SERVER_EXTERNAL, ServerAction, ServerInput, State

_COMMANDS: dict[type, ServerInput] = {
    TranscriptMessage: ServerInput.SEND_TRANSCRIPT,
    VadMessage: ServerInput.SEND_VAD,
    PongMessage: ServerInput.SEND_PONG,
    ErrorMessage: ServerInput.SEND_ERROR,
}
_CONTROLS: dict[str, tuple[ServerInput, Event]] = {
    "finalize": (ServerInput.FINALIZE, FinalizeReceived()),
    "keepalive": (ServerInput.KEEPALIVE, KeepAliveReceived()),
    "close_stream": (ServerInput.CLOSE_STREAM, CloseStreamReceived()),
}
_NO_KEEPALIVE = ErrorMessage(message="keepalive is not accepted here")


class _Cause(msgspec.Struct, frozen=True):
    """What set a row off, for its actions to work on."""

    text: str = ""
    event: Event | None = None
    data: str | bytes = b""


class ServerEnd:
    """Works on the queues of its `PulseConnection`, which documents every method."""

    finalizes_outstanding = 0

    def __init__(self, connection: QueuedLayer, options: PulseOptions) -> None:
        self._to = connection
        self._options = options
        self._machine = Machine(SERVER, State.OPEN, SERVER_EXTERNAL)
        self.session_id = ""
        self._do: Mapping[ServerAction, Callable[[_Cause], None]] = {
            ServerAction.SEND: lambda cause: self._to.outbox.append(cause.text),
            ServerAction.SEND_PONG: lambda _: self._to.outbox.append(messages.PONG),
            ServerAction.SEND_ERROR: lambda _: self._to.outbox.append(_encode(_NO_KEEPALIVE)),
            ServerAction.TELL: self._tell,
            ServerAction.TELL_UNKNOWN: lambda cause: self._to.events.append(
                unknown(f"not expected in state {self._machine.state.value}", cause.data)
            ),
            ServerAction.WANT_CLOSE: lambda _: self._to.request_close(),
            ServerAction.CLOSED_AS_ASKED: self._closed_as_asked,
            ServerAction.CLOSED_EARLY: self._closed_early,
        }

    def send(self, command: object, now: float) -> None:
        given = _COMMANDS.get(type(command))
        if given is None:
            raise LocalProtocolError(
                f"a server cannot send {type(command).__name__}; expected "
                + ", ".join(kind.__name__ for kind in _COMMANDS)
            )
        if isinstance(command, TranscriptMessage) and command.is_last:
            given = ServerInput.SEND_LAST
        row = self._machine.check(given)
        text = messages.PONG if given is ServerInput.SEND_PONG else _encode(command)
        if isinstance(command, TranscriptMessage | VadMessage):
            self.session_id = command.session_id or self.session_id
        self._perform(row, _Cause(text=text))

    def receive_open(self, now: float) -> None:
        """No timer starts here."""

    def receive_message(self, message: str | bytes, now: float) -> None:
        if isinstance(message, bytes):
            self._step(ServerInput.AUDIO, _Cause(event=AudioReceived(audio=message), data=message))
            return
        given, event = _read_control(message)
        if given is ServerInput.KEEPALIVE and self._options.endpoint == "transcribe":
            given = ServerInput.KEEPALIVE_REFUSED
        self._step(given, _Cause(event=event, data=message))

    def receive_close(self, code: int, reason: str, now: float, error: ProtocolError | None) -> None:
        closed = ConnectionClosed(code=code, reason=reason, expected=False, error=error)
        self._step(ServerInput.CLOSE, _Cause(event=closed))

    def close(self, now: float) -> None:
        self._step(ServerInput.ABANDON, _Cause())

    def handle_timeout(self, now: float) -> None:
        """No timer runs here."""

    def _step(self, given: ServerInput, cause: _Cause) -> None:
        self._perform(self._machine.check(given), cause)

    def _perform(self, row: Row[State, ServerAction], cause: _Cause) -> None:
        for action in self._machine.commit(row):
            self._do[action](cause)

    def _tell(self, cause: _Cause) -> None:
        assert cause.event is not None
        self._to.events.append(cause.event)

    def _closed_as_asked(self, cause: _Cause) -> None:
        assert isinstance(cause.event, ConnectionClosed)
        self._to.finish(msgspec.structs.replace(cause.event, expected=True, error=None))

    def _closed_early(self, cause: _Cause) -> None:
        closed = cause.event
        assert isinstance(closed, ConnectionClosed)
        error = closed.error or ConnectionLost("the client left before the end", status=closed.code)
        self._to.finish(msgspec.structs.replace(closed, error=error))


def _read_control(message: str) -> tuple[ServerInput, Event]:
    obj = load_object(message)
    if isinstance(obj, UnknownMessage):
        return ServerInput.UNKNOWN, obj
    kind = obj.get("type")
    known = _CONTROLS.get(kind) if isinstance(kind, str) else None
    return known or (ServerInput.UNKNOWN, unknown("no known type", message))


def _encode(message: object) -> str:
    """The message as the service writes it: the common keys always, the others where they say something."""
    kind = type(message)
    for name, accepted in _MARKS.get(kind, {}).items():
        if (value := getattr(message, name)) not in accepted:
            expected = " or ".join(map(repr, accepted))
            raise LocalProtocolError(f"{kind.__name__}.{name} is {value!r}: expected {expected}")
    try:
        return msgspec.json.encode(_ALWAYS.get(kind, {}) | msgspec.to_builtins(message)).decode()
    except (TypeError, ValueError, RecursionError):
        raise LocalProtocolError(
            f"{kind.__name__} cannot be written as JSON: expected the types it declares, and text in UTF-8"
        ) from None


_MARKS: dict[type, dict[str, tuple[str, ...]]] = {
    TranscriptMessage: {"type": ("transcription", ""), "status": ("success", "")},
    VadMessage: {"type": VAD_TYPES},
    ErrorMessage: {"type": ("error",), "status": ("error",)},
}
"""What tells the kinds apart: with anything else in it, a client takes the message for another."""

_ALWAYS: dict[type, dict[str, object]] = {
    TranscriptMessage: {
        "type": "transcription",
        "status": "success",
        "transcript": "",
        "is_final": False,
        "is_last": False,
    },
    ErrorMessage: {"type": "error", "status": "error"},
}
