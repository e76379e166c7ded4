"""What the service is known to offer, for editors and type checkers. Other strings are sent as they are.

Sources: [lk 1.8.9], [openapi stt], [openapi tts].
"""

from __future__ import annotations

from typing import Literal

STTModels = Literal["pulse", "pulse-pro"]
"""`pulse-pro` is batch only: use it with `recognize`."""

STTEncoding = Literal["linear16", "linear32", "alaw", "mulaw", "opus", "ogg_opus"]

TTSModels = Literal["lightning_v3.1", "lightning_v3.1_pro"]

TTSEncoding = Literal["pcm", "mp3", "wav", "ulaw", "alaw"]
"""What `TTS.synthesize` can be asked for. Streams are PCM on the wire, always."""
