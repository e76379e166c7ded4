"""LiveKit Agents plugin for Smallest AI: Pulse as `STT`, Lightning as `TTS`. Takes the official plugin's place.

`from livekit.plugins import smallest` where `smallestai` was. `livekit` and `livekit.plugins` are namespace
packages shared with livekit-agents: they must not get an `__init__.py` here.
"""

from __future__ import annotations

from livekit.agents import Plugin

from livekit.plugins.smallest.chunked_stream import ChunkedStream
from livekit.plugins.smallest.log import logger
from livekit.plugins.smallest.speech_stream import SpeechStream
from livekit.plugins.smallest.stt import STT
from livekit.plugins.smallest.synthesize_stream import SynthesizeStream
from livekit.plugins.smallest.tts import TTS
from livekit.plugins.smallest.version import __version__

__all__ = ["STT", "TTS", "ChunkedStream", "SpeechStream", "SynthesizeStream", "__version__"]


class SmallestPlugin(Plugin):
    """What LiveKit lists among its plugins."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __name__, logger)


Plugin.register_plugin(SmallestPlugin())
