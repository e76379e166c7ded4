"""A message layer round another one: everything passes through it, except for what the faults say.

It sits between the wire and the server end of a protocol, which know nothing of it. `pulse_mischief` and
`lightning_mischief` say what the faults mean to each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from smallest_proto.errors import ProtocolError
from smallest_proto.events import Event, Need
from smallest_proto.message_layer import MessageLayer
from smallest_proto.timers import Timers
from smallest_transports.loopback.fault_bodies import error_text
from smallest_transports.loopback.faults import Faults

Message: TypeAlias = dict[str, object]

_IDLE = "idle"

STRAYS: Mapping[str, str | bytes] = {
    "binary_frame": b"\x00\x01\x02\x03",
    "invalid_json": '{"transcript": ',
    "json_array": '["transcript"]',
    "unknown_type": '{"type":"telemetry","status":"telemetry","level":3}',
}
"""What a client should pass over, by the fault that sends it."""


class Levers(Protocol):
    """What mischief can do to a connection beside its messages."""

    def cut(self, *, reset: bool) -> None:
        """Close the socket once what was handed out is written, or reset it at once."""
        ...

    def stop_reading(self) -> None:
        """Read no more bytes."""
        ...

    def stop_pongs(self) -> None:
        """Answer no more pings."""
        ...


class Mischief(ABC):
    """A `MessageLayer`; the server's handler goes on to use `inner`."""

    def __init__(self, inner: MessageLayer, faults: Faults, levers: Levers) -> None:
        self._inner = inner
        self._faults = faults
        self._levers = levers
        self._timers = Timers()
        self._now = 0.0
        self._ready: list[str | bytes] = []
        self._close: tuple[int, str] | None = None
        self._strays = [stray for name, stray in STRAYS.items() if getattr(faults, name)]
        self._sent = 0
        self._seconds = 0.0
        self._happened = False

    # -- what the two protocols say

    @abstractmethod
    def _hear(self, message: str | bytes) -> bool:
        """Take a client's message; whether the inner layer shall have it."""

    @abstractmethod
    def _rewrite(self, message: Message) -> Iterable[Message]:
        """What is sent in place of a message of the inner layer."""

    @abstractmethod
    def _fail(self, error: str) -> None:
        """Send an error, and let follow what follows from it."""

    @abstractmethod
    def _open(self) -> None:
        """The WebSocket is open."""

    @property
    def _silenced(self) -> bool:
        """Whether what the inner layer says is dropped."""
        return self._close is not None

    @property
    def _held(self) -> bool:
        """Whether nothing may leave yet."""
        return False

    def _idle_words(self) -> str | None:
        """What is said before an idle connection is closed."""
        return None

    # -- for them

    def _say(self, message: str | bytes) -> None:
        """Send one message, the strays before the first one, and see whether it was enough of them."""
        self._ready += self._strays
        self._strays = []
        self._ready.append(message)
        self._sent += 1
        self._look()

    def _look(self) -> None:
        """Let the faults happen whose time has come."""
        faults = self._faults
        due = self._sent >= faults.after_messages and self._seconds >= faults.after_seconds
        if due and not self._happened:
            self._happened = True
            for name, happen in _HAPPENINGS.items():
                if getattr(faults, name):
                    happen(self)

    # -- MessageLayer

    @property
    def heartbeat(self) -> float | None:
        """See `MessageLayer`."""
        return self._inner.heartbeat

    @property
    def close_requested(self) -> tuple[int, str] | None:
        """See `MessageLayer`."""
        return None if self._held else self._close or self._inner.close_requested

    def receive_open(self, now: float) -> None:
        """See `MessageLayer`."""
        self._hear_of(now)
        self._inner.receive_open(now)
        self._open()

    def receive_message(self, message: str | bytes, now: float) -> None:
        """See `MessageLayer`."""
        self._hear_of(now)
        if self._hear(message):
            self._inner.receive_message(message, now)

    def receive_close(
        self, code: int, reason: str, now: float, *, error: ProtocolError | None = None
    ) -> None:
        """See `MessageLayer`."""
        self._timers.clear()
        self._inner.receive_close(code, reason, now, error=error)

    def close(self, now: float) -> None:
        """See `MessageLayer`."""
        self._timers.clear()
        self._inner.close(now)

    def messages_to_send(self) -> list[str | bytes]:
        """See `MessageLayer`."""
        for message in self._inner.messages_to_send():
            for rewritten in self._rewrite(msgspec.json.decode(message, type=Message)):
                if not self._silenced:
                    self._say(msgspec.json.encode(rewritten).decode())
        if self._held:
            return []
        ready, self._ready = self._ready, []
        return ready

    def next_event(self) -> Event | Literal[Need.DATA]:
        """See `MessageLayer`."""
        return self._inner.next_event()

    def next_deadline(self) -> float | None:
        """See `MessageLayer`."""
        both = self._timers.next_deadline(), self._inner.next_deadline()
        return min((at for at in both if at is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """See `MessageLayer`."""
        self._now = now
        self._inner.handle_timeout(now)
        if _IDLE in self._timers.pop_expired(now):
            words = self._idle_words()
            if words is not None:
                self._say(words)
            self._close = (1000, "")

    def _hear_of(self, now: float) -> None:
        self._now = now
        if self._faults.idle_timeout is not None and self._close is None:
            self._timers.set(_IDLE, now + self._faults.idle_timeout)

    # -- what can happen

    def _error(self) -> None:
        assert self._faults.error is not None
        self._fail(error_text(self._faults.error))

    def _close_frame(self) -> None:
        assert self._faults.close is not None
        self._close = (self._faults.close, "made to close")

    def _hang_up(self) -> None:
        self._levers.cut(reset=False)

    def _reset(self) -> None:
        self._levers.cut(reset=True)

    def _stop_reading(self) -> None:
        self._levers.stop_reading()

    def _stop_pongs(self) -> None:
        self._levers.stop_pongs()


_HAPPENINGS: Mapping[str, Callable[[Mischief], None]] = {
    "error": Mischief._error,
    "close": Mischief._close_frame,
    "hang_up": Mischief._hang_up,
    "reset": Mischief._reset,
    "stop_reading": Mischief._stop_reading,
    "stop_pongs": Mischief._stop_pongs,
}
"""What happens once its time has come, by the fault that asks for it; an error goes before what ends things."""
