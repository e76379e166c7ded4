"""What a client asked a server to synthesise with: every message repeats it, the connection holds nothing."""

from __future__ import annotations

import msgspec


class SynthesisSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Server role: the settings of one client message, with the service's defaults for what it left out.

    `sample_rate` is Hz, and is 44100 when the client named none [openapi tts]. `content_filter` is `reject`,
    `flag` or None. `session_id` and `request_id` are the client's own ids, echoed to it.
    """

    voice_id: str
    model: str = "lightning_v3.1"
    sample_rate: int = 44100
    speed: float = 1.0
    language: str | None = None
    word_timestamps: bool = False
    number_pronunciation_language: str | None = None
    math_notation: bool = False
    pronunciation_dicts: tuple[str, ...] = ()
    content_filter: str | None = None
    session_id: str | None = None
    request_id: str | None = None
    complete_backoff_ms: float = 4000
    max_buffer_flush_ms: int = 0
    max_buffer_delay_ms: int = 3000
