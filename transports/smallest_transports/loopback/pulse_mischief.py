"""What the faults mean to a Pulse stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from smallest_proto.json_text import load_object
from smallest_proto.pulse import PulseConnection
from smallest_transports.loopback.faults import Faults
from smallest_transports.loopback.mischief import Levers, Message, Mischief

_NO_KEEPALIVE = '{"type":"error","status":"error","message":"keepalive is not accepted here"}'


class PulseMischief(Mischief):
    """See `Mischief`."""

    def __init__(self, inner: PulseConnection, faults: Faults, levers: Levers) -> None:
        super().__init__(inner, faults, levers)
        self._options = inner.options
        self._speaking = False
        self._rewrites = [do for name, do in _REWRITES.items() if getattr(faults, name)]

    def _open(self) -> None:
        if self._faults.eou_zero_closes and self._options.eou_timeout_ms == 0:
            self._close = (1011, "")  # that it breaks the connection is all that is known [lk pr 5953]
        self._look()

    def _hear(self, message: str | bytes) -> bool:
        if isinstance(message, bytes):
            self._seconds += self._options.audio_format.seconds(len(message))
            self._look()
            return True
        kind = _kind(message)
        if kind == "keepalive" and self._faults.refuse_keepalive:
            self._fail(_NO_KEEPALIVE)
            return False
        return not (kind == "close_stream" and self._faults.close_stream == "never")

    def _fail(self, error: str) -> None:
        self._ready.append(error)
        self._close = (1000, "")

    def _rewrite(self, message: Message) -> Iterable[Message]:
        messages = [message]
        if message.get("type") == "transcription":
            for rewrite in self._rewrites:
                messages = [new for old in messages for new in rewrite(self, old)]
        return messages

    # -- the rewriting of one transcript

    def _flag(self, message: Message) -> Iterable[Message]:
        if "from_finalize" in message:
            del message["from_finalize"]
            if self._faults.from_finalize == "false":
                message["from_finalize"] = False
        return [message]

    def _last(self, message: Message) -> Iterable[Message]:
        if not message.get("is_last"):
            return [message]
        message["is_last"] = False
        if self._faults.close_stream == "no_last":
            return [message]
        empty = {"type": "transcription", "status": "success", "session_id": message.get("session_id", "")}
        return [message, empty | {"transcript": "", "is_final": True, "is_last": True}]

    def _vad(self, message: Message) -> Iterable[Message]:
        before, after = list[Message](), list[Message]()
        if not self._speaking and message.get("transcript"):
            self._speaking = True
            before.append(self._vad_message("speech_started", message))
        if self._speaking and message.get("is_final"):
            self._speaking = False
            ended = self._vad_message("speech_ended", message)
            (before if self._faults.vad == "before" else after).append(ended)
        return [*before, message, *after]

    def _vad_message(self, kind: str, beside: Message) -> Message:
        return {"type": kind, "session_id": beside.get("session_id", ""), "timestamp": self._seconds}

    def _null_transcript(self, message: Message) -> Iterable[Message]:
        return [message | {"transcript": None, "transcription": None}]

    def _null_words(self, message: Message) -> Iterable[Message]:
        return [message | {"words": None}]

    def _string_speakers(self, message: Message) -> Iterable[Message]:
        words = msgspec.convert(message.get("words") or [], list[Message])
        return [
            message | {"words": [word | {"speaker": f"speaker_{word.get('speaker', 0)}"} for word in words]}
        ]


_REWRITES: Mapping[str, Callable[[PulseMischief, Message], Iterable[Message]]] = {
    "from_finalize": PulseMischief._flag,
    "close_stream": PulseMischief._last,
    "vad": PulseMischief._vad,
    "string_speakers": PulseMischief._string_speakers,
    "null_words": PulseMischief._null_words,
    "null_transcript": PulseMischief._null_transcript,
}
"""What is done to each transcript, in this order, by the fault that asks for it."""


def _kind(message: str) -> object:
    obj = load_object(message)
    return obj.get("type") if isinstance(obj, Mapping) else None
