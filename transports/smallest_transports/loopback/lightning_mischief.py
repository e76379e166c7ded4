"""What the faults mean to a Lightning connection."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping

import msgspec

from smallest_proto.events import UnknownMessage
from smallest_proto.json_text import load_object, mapping, number
from smallest_proto.lightning import LightningConnection
from smallest_transports.loopback.fault_bodies import TEXT
from smallest_transports.loopback.faults import Faults
from smallest_transports.loopback.mischief import Levers, Message, Mischief

_HOLD = "hold"
_DEFAULT_RATE = 44100
DAMAGE = "!"
"""Stands in no base64."""


class OddBytes:
    """Re-cuts pieces of audio so that each has an odd number of bytes; the last byte of one may wait for the next."""

    def __init__(self) -> None:
        self._kept = b""

    def push(self, audio: bytes) -> bytes:
        """What to send now."""
        audio, self._kept = self._kept + audio, b""
        if len(audio) % 2 == 0:
            audio, self._kept = audio[:-1], audio[-1:]
        return audio

    def rest(self) -> bytes:
        """What still waits, at the end of the audio."""
        kept, self._kept = self._kept, b""
        return kept


class LightningMischief(Mischief):
    """See `Mischief`. Its counts begin anew with each synthesis."""

    def __init__(self, inner: LightningConnection, faults: Faults, levers: Levers) -> None:
        super().__init__(inner, faults, levers)
        self._lightning = inner
        self._context: str | None = None  # that may still receive text
        self._failed: str | None = None  # the synthesis that an error has ended
        self._swallowing = False
        self._odd = OddBytes()
        self._rate = _DEFAULT_RATE
        self._begin("", _DEFAULT_RATE)
        self._timers.clear()
        self._chunk: Message | None = None

    @property
    def _silenced(self) -> bool:
        return self._failed is not None or super()._silenced

    @property
    def _held(self) -> bool:
        return _HOLD in self._timers

    def _idle_words(self) -> str:
        seconds = f"{self._faults.idle_timeout:g}"
        return f'{{"status":"error","message":"Connection timed out after {seconds} seconds of inactivity"}}'

    def _open(self) -> None:
        """A connection without a synthesis is nothing that could go wrong."""

    # -- a client's message

    def _hear(self, message: str | bytes) -> bool:
        request = load_object(message)
        if isinstance(request, UnknownMessage):
            return True
        context, more = str(request.get("context_id", "")), request.get("continue")
        if request.get("cancel_request") is True:
            self._linger()
            return not self._swallowing
        if more is None and not str(request.get("text", "")).strip():
            return True  # a keep-alive
        if self._context != context:
            self._swallowing = False
            self._begin(context, int(number(request.get("sample_rate")) or _DEFAULT_RATE))
            if self._faults.busy:
                self._fail('{"status":"error","message":"Too many concurrent requests"}')
            self._look()
        self._context = context if more else None
        return not self._swallowing

    def _begin(self, context: str, rate: int) -> None:
        self._rate = rate
        self._failed = None
        self._name = context
        self._sent, self._seconds, self._happened = 0, 0.0, False
        self._earlier, self._request = 0.0, ""
        self._heard = False
        self._odd.rest()
        if self._faults.slow_first_chunk:
            self._timers.set(_HOLD, self._now + self._faults.slow_first_chunk)

    def _linger(self) -> None:
        if self._chunk is not None:
            late = msgspec.json.encode(self._chunk).decode()
            self._ready += [late] * self._faults.chunks_after_cancel

    def _fail(self, error: str) -> None:
        self._ready.append(error)
        if self._failed is None:
            self._failed = self._name
            self._swallowing = True
            if self._sent or self._context is not None:
                cancel = {"voice_id": "any", "context_id": self._name, "cancel_request": True}
                self._inner.receive_message(msgspec.json.encode(cancel), self._now)

    # -- a server's message

    def _rewrite(self, message: Message) -> Iterable[Message]:
        rewrite = _REWRITES.get(str(message.get("status")))
        return [message] if rewrite is None else rewrite(self, message)

    def _audio(self, message: Message) -> Iterable[Message]:
        if not self._heard and self._faults.missing_data:
            yield {key: value for key, value in message.items() if key != "data"}
        self._heard = True
        audio = base64.b64decode(str(mapping(message.get("data")).get("audio", "")))
        self._mark(message)
        if self._faults.odd_chunks:
            audio = self._odd.push(audio)
        self._chunk = message | {"data": {"audio": self._encoded(audio)}}
        self._seconds += len(audio) / (2 * self._rate)
        if audio:
            yield self._chunk

    def _encoded(self, audio: bytes) -> str:
        return (DAMAGE if self._faults.damaged_base64 else "") + base64.b64encode(audio).decode()

    def _mark(self, message: Message) -> None:
        """Note where in the context's audio a request begins."""
        request = str(message.get("request_id"))
        if request != self._request:
            self._request, self._earlier = request, self._seconds

    def _word(self, message: Message) -> Iterable[Message]:
        self._mark(message)
        word = dict(mapping(message.get("data")))
        if self._faults.word_clock == "stream":
            for edge in ("start", "end"):
                word[edge] = round((number(word.get(edge)) or 0.0) + self._earlier, 6)
        return [message | {"data": word}]

    def _complete(self, message: Message) -> Iterable[Message]:
        if rest := self._odd.rest():
            yield {**message, "status": "chunk", "data": {"audio": self._encoded(rest)}}
        for _ in range(self._faults.completes):
            yield message
        if self._faults.close_after_complete and self._lightning.reusable:
            self._close = (1000, "")


_REWRITES: Mapping[str, Callable[[LightningMischief, Message], Iterable[Message]]] = {
    "chunk": LightningMischief._audio,
    "word_timestamp": LightningMischief._word,
    "complete": LightningMischief._complete,
}
"""What is sent in place of a message, by its status."""

__all__ = ["DAMAGE", "TEXT", "LightningMischief", "OddBytes"]
