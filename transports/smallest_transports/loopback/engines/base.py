"""What an engine of the local server must offer: a `Recognizer` and a `Synthesizer`.

Both are plain synchronous objects that know no socket and no event loop. Their calls may take tens of
milliseconds of CPU time, so an event loop runs them in a thread, one call at a time per session. Calls on
different sessions may run at the same time. Setups are plain frozen data, so that they can cross a process
boundary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from smallest_proto.audio import Encoding
from smallest_proto.pulse.messages import ServerMessage


class EngineError(Exception):
    """An engine cannot do what was asked: a package is missing, or an encoding is not understood.

    `str()` is one clear line that says what would help. Send it to the client as an error message.
    """


class RecognizerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What one Pulse connection asked for, as far as an engine cares.

    `sample_rate` is in Hz. `eou_timeout_ms` is the silence in milliseconds that ends a turn; None or 0 leaves it
    to the engine.
    """

    encoding: Encoding = "linear16"
    sample_rate: int = 16000
    language: str = "en"
    word_timestamps: bool = True
    sentence_timestamps: bool = False
    vad_events: bool = False
    eou_timeout_ms: int | None = None


class RecognizerSession(Protocol):
    """The recognition of one connection. Not for two threads at once.

    Every message is complete except for `session_id`, which the server fills in. Times in messages are seconds
    from the first audio byte of the session.
    """

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        """Take audio of any size, cut anywhere, and return the messages that are now due, in order."""
        ...

    def finalize(self) -> Sequence[ServerMessage]:
        """Close the current segment now. Exactly one final (it may be empty) answers the client's finalize."""
        ...

    def finish(self) -> Sequence[ServerMessage]:
        """End of input: return the remaining messages, the last of them a final with `is_last`.

        Afterwards only `close` may be called.
        """
        ...

    def close(self) -> None:
        """Give up what the session holds. May be called at any time between calls, more than once."""
        ...


class Recognizer(Protocol):
    """Opens recognition sessions."""

    def open(self, setup: RecognizerSetup) -> RecognizerSession:
        """Begin a session. May load models, so call it off the event loop, as the session's methods.

        Raises `EngineError` when the setup cannot be served.
        """
        ...

    def close(self) -> None:
        """Give up what all sessions share (models, worker processes). More than once is harmless.

        Close the sessions first. Returns within a few seconds, whatever a worker is doing.
        """
        ...


class SynthesizerSetup(msgspec.Struct, frozen=True, kw_only=True):
    """What one Lightning request asked for, as far as an engine cares. `sample_rate` is in Hz."""

    voice_id: str = ""
    model: str = ""
    sample_rate: int = 24000
    speed: float = 1.0
    language: str = "en"
    word_timestamps: bool = False


class WordTiming(msgspec.Struct, frozen=True):
    """When one word is spoken: `start` and `end` in seconds since the first audio byte of this request.

    `word` is the input's token as it stands there, `index` its position among the tokens, from 0.
    """

    index: int
    word: str
    start: float
    end: float


class Speech(msgspec.Struct, frozen=True):
    """A piece of speech: `pcm` is s16le mono at the setup's rate, 20 to 100 ms of it, never half a sample.

    `words` are the words that begin in this piece, empty unless the setup asks for word timestamps.
    """

    pcm: bytes
    words: tuple[WordTiming, ...] = ()


class Synthesizer(Protocol):
    """Speaks text."""

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        """Yield the speech for `text`, each piece as soon as it is there; nothing for text without words.

        Each step of the iterator may take tens of milliseconds of CPU time; take it off the event loop. Dropping
        the iterator, or closing it when it is a generator, abandons the rest. A step raises `EngineError` when the
        setup cannot be served.
        """
        ...

    def close(self) -> None:
        """Give up what is held (models). More than once is harmless."""
        ...
