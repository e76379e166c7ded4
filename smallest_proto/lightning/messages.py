"""Lightning over WebSocket as it is written: JSON text both ways, audio inside as base64 [asyncapi tts-ws].

The order of the keys is that of [lk 1.8.9].
"""

from __future__ import annotations

import msgspec

from smallest_proto.lightning.options import LightningOptions


def _members(fields: dict[str, object]) -> str:
    """These fields as the inside of a JSON object, each with a comma before it."""
    body = msgspec.json.encode(fields).decode()[1:-1]
    return f",{body}" if body else ""


def _quote(text: str) -> str:
    return msgspec.json.encode(text).decode()


class ClientMessages:
    """Writes what a client sends. The settings stand in every message, so their JSON is made once.

    Methods that take text raise UnicodeEncodeError for text with a lone surrogate.
    """

    def __init__(self, options: LightningOptions) -> None:
        mode = options.text_mode
        voice: dict[str, object] = {"model": options.model, "voice_id": options.voice}
        language: dict[str, object] = {} if options.language is None else {"language": options.language}
        settings: dict[str, object] = {"sample_rate": options.sample_rate, "speed": options.speed} | language
        if options.word_timestamps:
            settings["word_timestamps"] = True
        for name in ("number_pronunciation_language", "math_notation"):
            if (value := getattr(options, name)) is not None:
                settings[name] = value
        if options.pronunciation_dicts:
            settings["pronunciation_dicts"] = options.pronunciation_dicts
        if options.content_filter is not None:
            settings["content_filter"] = {"enabled": True, "action": options.content_filter}
        for name in ("session_id", "request_id", "complete_backoff_ms"):
            if (value := getattr(options, name)) is not None:
                settings[name] = value
        settings |= options.extra
        if mode == "continue":
            settings["max_buffer_flush_ms"] = options.max_buffer_flush_ms
        delay = options.max_buffer_delay_ms
        self._voice = _members(voice)[1:]
        self._settings = _members(settings)
        self._delay = "" if delay is None else f',"max_buffer_delay_ms":{delay}'
        self._keep_alive = _members(
            {"text": " ", "voice_id": options.voice, "model": options.model} | language
        )
        self._in_context = mode == "context"

    def speech(self, text: str) -> str:
        """One whole text."""
        return f'{{{self._voice},"text":{_quote(text)}{self._settings}}}'

    def fragment(self, context_id: str, text: str) -> str:
        """A piece of text with more to come."""
        flush = "" if self._in_context else ',"flush":false'
        return f'{self._head(context_id)},"text":{_quote(text)},"continue":true{flush}}}'

    def end(self, context_id: str) -> str:
        """No more text will come."""
        flush = "" if self._in_context else ',"flush":true'
        return f'{self._head(context_id)},"text":"","continue":false{flush}}}'

    def flush(self) -> str:
        """Speak what has gathered, with more to come. The shape follows from the fields [asyncapi tts-ws]."""
        return f'{self._head("")},"text":"","continue":true,"flush":true}}'

    def cancel(self, context_id: str) -> str | None:
        """Stop; None where the protocol has no such message, and closing the socket says it."""
        return f'{self._head(context_id)},"cancel_request":true}}' if self._in_context else None

    def keep_alive(self) -> str:
        """A blank text, which resets the server's idle timer [pipecat 1.14]."""
        return f"{{{self._keep_alive[1:]}}}"

    def _head(self, context_id: str) -> str:
        context = f',"context_id":"{context_id}"{self._delay}' if self._in_context else ""
        return f"{{{self._voice}{self._settings}{context}"


class ErrorBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The object under `error` in the nested shape of an error."""

    message: str
    code: str | None = None


class AudioBody(msgspec.Struct, frozen=True):
    """The payload of a `chunk`."""

    audio: bytes


class WordBody(msgspec.Struct, frozen=True):
    """The payload of a `word_timestamp`; seconds."""

    id: int
    word: str
    start: float
    end: float


class ServerMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a server sends, as the server role writes it.

    `data` is the audio of a `chunk` (base64 on the wire) or the word of a `word_timestamp`.
    """

    session_id: str = ""
    request_id: str = ""
    external_session_id: str | None = None
    external_request_id: str | None = None
    status: str
    data: AudioBody | WordBody | None = None
    message: str | None = None
    error: str | ErrorBody | None = None
    error_code: str | None = None
