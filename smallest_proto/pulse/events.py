"""What a Pulse connection tells its user. Times are seconds; None where nobody said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from smallest_proto.events import ConnectionClosed, Event, ServerErrorReceived, UnknownMessage
from smallest_proto.pulse.messages import Utterance, Word

Source: TypeAlias = Literal["inferred", "vad"]
EndReason: TypeAlias = Literal["is_last", "closed", "drain_timeout", "abandoned"]


class SpeechStarted(Event, frozen=True, kw_only=True):
    """START_OF_SPEECH. `source` is `vad` when the server's VAD said so, `inferred` when text did."""

    time: float | None = None
    source: Source = "inferred"


class InterimTranscript(Event, frozen=True, kw_only=True):
    """The running text of the current segment. It replaces the interim before it; a final will replace it."""

    text: str
    words: tuple[Word, ...] = ()
    language: str = ""
    session_id: str = ""
    raw: Mapping[str, object] | None = None


class FinalTranscript(Event, frozen=True, kw_only=True):
    """The settled text of one segment. Append it: finals come in audio order and never change.

    `confidence` is the geometric mean over the words, or the first word's with `compat="seed"`; 0.0 without
    words. `start` and `end` span the words (0.0 without any). `speaker` is a label such as `S0`, with
    `diarize` on. `from_finalize` is True when this answers a `Finalize`, False when it does not, None when
    the server does not say and none was outstanding. `is_last` marks the session's last message.
    """

    text: str
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    speaker: str | None = None
    confidence: float = 0.0
    start: float = 0.0
    end: float = 0.0
    language: str = ""
    languages: tuple[str, ...] = ()
    from_finalize: bool | None = None
    is_last: bool = False
    redacted_entities: tuple[str, ...] = ()
    full_transcript: str | None = None
    session_id: str = ""
    raw: Mapping[str, object] | None = None


class SpeechEnded(Event, frozen=True, kw_only=True):
    """END_OF_SPEECH. With the default tables every `SpeechStarted` is followed by exactly one of these."""

    time: float | None = None
    source: Source = "inferred"


class Usage(Event, frozen=True, kw_only=True):
    """Audio handed to the socket since the report before, in seconds. The reports add up to all of it."""

    audio_seconds: float


class StreamEnded(Event, frozen=True, kw_only=True):
    """Nothing more will be recognised. `confirmed` says whether the server marked its last message.

    Not confirmed means that the server closed, or fell silent past `Limits.drain_timeout`, after
    `CloseStream`, or that a session did not get there within `ResumePolicy.end_timeout`: the last words may be
    missing. `reason` is `is_last`, `closed`, `drain_timeout` or
    `abandoned` (by our own `close`).
    """

    confirmed: bool
    reason: EndReason = "is_last"


class AudioReceived(Event, frozen=True, kw_only=True):
    """Server role: audio bytes in the connection's encoding, as the client cut them."""

    audio: bytes


class FinalizeReceived(Event, frozen=True, kw_only=True):
    """Server role: answer with exactly one final, empty if nothing is pending."""


class KeepAliveReceived(Event, frozen=True, kw_only=True):
    """Server role: already answered with a pong."""


class CloseStreamReceived(Event, frozen=True, kw_only=True):
    """Server role: send the remaining finals, the last with `is_last=True`; the close follows by itself."""


ClientEvent: TypeAlias = (
    SpeechStarted
    | InterimTranscript
    | FinalTranscript
    | SpeechEnded
    | Usage
    | StreamEnded
    | ServerErrorReceived
    | UnknownMessage
    | ConnectionClosed
)
ServerEvent: TypeAlias = (
    AudioReceived
    | FinalizeReceived
    | KeepAliveReceived
    | CloseStreamReceived
    | UnknownMessage
    | ConnectionClosed
)
PulseEvent: TypeAlias = ClientEvent | ServerEvent
