"""How a client's loop is run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from bench.jobs import Sleep

Main = Callable[[Sleep], Awaitable[Any]]


def on_asyncio(main: Main) -> None:
    """On asyncio's own loop."""
    asyncio.run(cast(Coroutine[Any, Any, Any], main(asyncio.sleep)))


def ws(url: str) -> str:
    """The same address for a WebSocket."""
    return url.replace("http", "ws", 1)


KEY = "sk_bench"
HEADERS = {"Authorization": f"Bearer {KEY}"}
STT_PATH = "/pulse/get_text?language=en&encoding=linear16&sample_rate=16000&word_timestamps=true"
TTS_PATH = "/tts/live"
REQUEST: dict[str, Any] = {
    "model": "lightning_v3.1_pro",
    "voice_id": "meher",
    "sample_rate": 24000,
    "speed": 1.0,
    "language": "en",
}
CLOSE_STREAM = '{"type":"close_stream"}'
