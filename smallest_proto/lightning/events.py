"""What a Lightning connection tells its user."""

from __future__ import annotations

from typing import TypeAlias

from smallest_proto.errors import ProtocolError
from smallest_proto.events import ConnectionClosed, Event, ServerErrorReceived, UnknownMessage
from smallest_proto.lightning.setup import SynthesisSetup

INVALID_AUDIO = "INVALID_AUDIO"
"""Our code for audio that cannot be what it should be: not base64, or another kind of file."""


class AudioChunk(Event, frozen=True, kw_only=True):
    """Speech: whole samples, 16-bit little-endian mono at the rate asked for.

    `request_id` is the server's id for the release of audio that this belongs to; "" when it gave none.
    """

    pcm: bytes
    context_id: str
    request_id: str = ""


class WordTimestamp(Event, frozen=True, kw_only=True):
    """When a word of the text is spoken, on one clock for the whole context.

    `start` and `end` are seconds from its first sample, whatever the server counts from. `index` is the
    server's count of words, from 0; it may begin again within a context.
    """

    word: str
    start: float
    end: float
    index: int | None = None
    context_id: str = ""
    request_id: str = ""


class ContextComplete(Event, frozen=True, kw_only=True):
    """The synthesis ended, and all its audio was handed out before this.

    `confirmed` says whether the server said so. Not confirmed means that it fell silent for
    `LightningOptions.silence_limit` after its last frame: the end may be missing, the connection is spent.
    """

    context_id: str
    confirmed: bool


class ContextCancelled(Event, frozen=True, kw_only=True):
    """The synthesis was stopped by our side. What arrives after this is not shown as audio."""

    context_id: str


class ContextFailed(Event, frozen=True, kw_only=True):
    """The synthesis ended early; audio handed out before this is sound. The connection is spent.

    `error` is a `ServerError` (the server said no, or sent damaged audio: code `INVALID_AUDIO`), a
    `ConnectionLost`, a `DeadlineExceeded` with code `first_audio`, or what the byte level reported.
    """

    context_id: str
    error: ProtocolError


class SpeechResumed(Event, frozen=True, kw_only=True):
    """The connection failed and another one goes on: what follows is new speech, behind the last whole word.

    `audio_seconds` of speech were handed out before. A word that was cut off is said again.
    """

    context_id: str
    audio_seconds: float


class SynthesisRequested(Event, frozen=True, kw_only=True):
    """Server role: one whole text to speak. Answer with `SendAudio`, then `SendComplete`."""

    text: str
    setup: SynthesisSetup


class TextReceived(Event, frozen=True, kw_only=True):
    """Server role: a piece of text, to be joined to those before it of the same context.

    The first one begins the synthesis. `context_id` is "" in the older continue/flush protocol.
    """

    context_id: str
    text: str
    setup: SynthesisSetup


class FlushReceived(Event, frozen=True, kw_only=True):
    """Server role: speak what has gathered. More text may follow."""

    context_id: str
    setup: SynthesisSetup


class ContextClosed(Event, frozen=True, kw_only=True):
    """Server role: no more text will come. Speak the rest, then send `SendComplete`."""

    context_id: str
    setup: SynthesisSetup


class CancelReceived(Event, frozen=True, kw_only=True):
    """Server role: the client wants no more audio. The synthesis is over already; stop sending."""

    context_id: str


class KeepAliveReceived(Event, frozen=True, kw_only=True):
    """Server role: a blank text. Nothing has to be done; some servers answer with a `SendComplete`."""

    setup: SynthesisSetup


ClientEvent: TypeAlias = (
    AudioChunk
    | WordTimestamp
    | ContextComplete
    | ContextCancelled
    | ContextFailed
    | ServerErrorReceived
    | UnknownMessage
    | ConnectionClosed
)
ServerEvent: TypeAlias = (
    SynthesisRequested
    | TextReceived
    | FlushReceived
    | ContextClosed
    | CancelReceived
    | KeepAliveReceived
    | UnknownMessage
    | ConnectionClosed
)
LightningEvent: TypeAlias = ClientEvent | ServerEvent
