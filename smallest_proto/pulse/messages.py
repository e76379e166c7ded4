"""Pulse streaming on the wire: what each JSON message looks like, for writing and for reading.

Client messages: audio is a binary frame, everything else is one of three fixed texts [asyncapi stt-live],
[lk 1.8.9]. Server messages are described in [asyncapi stt-live], [asyncapi pulse-ws], [probe stt].
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

FINALIZE = '{"type":"finalize"}'
CLOSE_STREAM = '{"type":"close_stream"}'
KEEPALIVE = '{"type":"keepalive"}'
PONG = '{"type":"pong"}'
VAD_TYPES = ("speech_started", "speech_ended")


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """One recognised word. Times are seconds from the first audio byte of the connection, or session.

    `speaker` is kept as it came: an integer live, a string in some documents [asyncapi stt-live].
    """

    word: str
    start: float = 0.0
    end: float = 0.0
    confidence: float | None = None
    speaker: int | str | None = None
    speaker_confidence: float | None = None


class Utterance(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sentence of a final, with `sentence_timestamps` on. Times in seconds, as for `Word`."""

    text: str
    start: float = 0.0
    end: float = 0.0
    speaker: int | str | None = None


class TranscriptMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A transcription message, both as the server role writes it and as the client role has read it."""

    type: str = ""
    status: str = ""
    session_id: str = ""
    transcript: str | None = None
    transcription: str | None = None
    full_transcript: str | None = None
    is_final: bool = False
    is_last: bool = False
    from_finalize: bool | None = None
    speech_final: bool | None = None
    language: str | None = None
    languages: tuple[str, ...] = ()
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    redacted_entities: tuple[str, ...] = ()


class VadMessage(msgspec.Struct, frozen=True, kw_only=True):
    """`speech_started` or `speech_ended`; `timestamp` is seconds from the first audio byte, or None."""

    type: str
    session_id: str = ""
    timestamp: float | None = None


class ErrorMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error as the server role writes it, the first shape that clients meet [asyncapi stt-live]."""

    type: str = "error"
    status: str = "error"
    error_code: str | None = None
    message: str = ""


class PongMessage(msgspec.Struct, frozen=True):
    """The answer to a keepalive."""


ServerMessage: TypeAlias = TranscriptMessage | VadMessage | ErrorMessage | PongMessage
