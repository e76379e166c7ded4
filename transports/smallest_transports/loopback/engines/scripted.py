"""Engines that answer from a script: instantaneous, exact, and without third-party packages. For tests."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec

from smallest_proto.audio import AudioFormat
from smallest_proto.pulse.messages import ServerMessage, TranscriptMessage, Utterance, VadMessage, Word
from smallest_transports.loopback.engines.base import (
    RecognizerSetup,
    Speech,
    SynthesizerSetup,
    WordTiming,
)

COMPRESSED_BYTES_PER_SECOND = 4000
"""What a second of Opus counts as, since its true length does not show in its bytes."""

INTERIM_SECONDS = 1
SEGMENT_SECONDS = 2
"""By default an interim comes after each second of audio, and every second one is a final instead."""

CHARACTER_SECONDS = 0.06
PIECE_SECONDS = 0.05
RAMP = 2000
"""Samples after which the synthesiser's sawtooth repeats."""


class Cue(msgspec.Struct, frozen=True):
    """Messages that are due once `seconds` of audio have arrived."""

    seconds: float
    messages: tuple[ServerMessage, ...]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What a `ScriptedRecognizer` says.

    cues: messages and when, in order of time. None for the default: after 1.0 s of audio an interim
        "heard 1.0 seconds", after 2.0 s a final "heard 2.0 seconds", and so on, with words and VAD messages as the
        setup asks.
    from_finalize: the flag of the final that answers a finalize; None leaves it out, as the service does
        without number formatting [probe stt].
    last_has_text: True puts the rest of the text into the final with `is_last`; False sends it as a final of its
        own, then an empty last one.
    """

    cues: tuple[Cue, ...] | None = None
    from_finalize: bool | None = True
    last_has_text: bool = True


class ScriptedRecognizer:
    """Opens sessions that follow `script` and count audio exactly: "heard 3.25 seconds" means that many bytes."""

    def __init__(self, script: Script | None = None) -> None:
        self._script = script or Script()

    def open(self, setup: RecognizerSetup) -> ScriptedSession:
        """Begin a session."""
        return ScriptedSession(setup, self._script)

    def close(self) -> None:
        """Nothing is held."""


class ScriptedSession:
    """One connection's audio, counted in bytes so that no cut of it can matter."""

    def __init__(self, setup: RecognizerSetup, script: Script) -> None:
        self._setup = setup
        self._script = script
        audio = AudioFormat(setup.encoding, setup.sample_rate)
        self._bytes_per_second = audio.sample_width * audio.sample_rate or COMPRESSED_BYTES_PER_SECOND
        self._heard = 0
        self._segment_start = 0
        self._in_speech = False
        self._next_cue = 0

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        """Count the audio; return the messages that fall due."""
        end = self._heard + len(audio)
        messages: list[ServerMessage] = []
        for due, say in self._due(end):
            self._heard = due
            messages += say()
        self._heard = end
        return messages

    def finalize(self) -> Sequence[ServerMessage]:
        """A final for the audio since the last one, empty if there was none."""
        return self._close_segment(from_finalize=self._script.from_finalize)

    def finish(self) -> Sequence[ServerMessage]:
        """The final with `is_last`, and before it one with the text if the script says so."""
        if self._script.last_has_text:
            *before, final = self._close_segment()
        else:
            before = self._close_segment() if self._pending else []
            final = self._transcript("", final=True)
        if isinstance(final, TranscriptMessage):
            final = msgspec.structs.replace(final, is_last=True)
        return [*before, final]

    def close(self) -> None:
        """Nothing is held."""

    @property
    def _pending(self) -> bool:
        return self._heard > self._segment_start

    def _due(self, end: int) -> Iterator[tuple[int, Callable[[], list[ServerMessage]]]]:
        """The cues up to byte `end` that have not been played: the byte each falls on, and what it says."""
        if self._script.cues is not None:
            while self._next_cue < len(self._script.cues):
                cue = self._script.cues[self._next_cue]
                due = round(cue.seconds * self._bytes_per_second)
                if due > end:
                    return
                self._next_cue += 1
                yield due, partial(list[ServerMessage], cue.messages)
            return
        step = INTERIM_SECONDS * self._bytes_per_second
        for tick in range(self._heard // step + 1, end // step + 1):
            say = self._interim if tick % SEGMENT_SECONDS else self._close_segment
            yield tick * step, say

    def _seconds(self, size: int) -> float:
        return round(size / self._bytes_per_second, 6)

    def _interim(self) -> list[ServerMessage]:
        return [
            *self._vad("speech_started", self._segment_start),
            self._transcript(self._text(), final=False),
        ]

    def _close_segment(self, from_finalize: bool | None = None) -> list[ServerMessage]:
        text = self._text() if self._pending else ""
        final = self._transcript(text, final=True, from_finalize=from_finalize)
        self._segment_start = self._heard
        return [*self._vad("speech_ended", self._heard), final]

    def _vad(self, kind: str, position: int) -> list[ServerMessage]:
        """A VAD message when the setup wants it and it changes anything."""
        starts = kind == "speech_started"
        if not self._setup.vad_events or self._in_speech == starts:
            return []
        self._in_speech = starts
        return [VadMessage(type=kind, timestamp=self._seconds(position))]

    def _text(self) -> str:
        return f"heard {self._seconds(self._heard)} seconds"

    def _transcript(self, text: str, *, final: bool, from_finalize: bool | None = None) -> TranscriptMessage:
        start, end = self._seconds(self._segment_start), self._seconds(self._heard)
        tokens = text.split()
        share = (end - start) / len(tokens) if tokens else 0.0
        words = tuple(
            Word(token, round(start + i * share, 6), round(start + (i + 1) * share, 6), 1.0)
            for i, token in enumerate(tokens)
        )
        wanted = final and bool(text)
        return TranscriptMessage(
            type="transcription",
            status="success",
            transcript=text,
            transcription=text,
            is_final=final,
            from_finalize=from_finalize,
            language=self._setup.language if final else None,
            words=words if wanted and self._setup.word_timestamps else (),
            utterances=(Utterance(text, start, end),) if wanted and self._setup.sentence_timestamps else (),
        )


class ScriptedSynthesizer:
    """Speaks a sawtooth of 60 ms per character (at speed 1.0), in pieces of 50 ms; blank text gives nothing.

    The words of the text lie where their characters lie.
    """

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        """Yield the sawtooth for `text`."""
        if not text.strip():
            return
        character = CHARACTER_SECONDS / setup.speed
        pcm = sawtooth(round(len(text) * character * setup.sample_rate))
        words = timings(text, character) if setup.word_timestamps else []
        step = int(setup.sample_rate * PIECE_SECONDS) * 2
        for offset in range(0, len(pcm), step):
            end = (offset + step) / (setup.sample_rate * 2)
            begun = 0
            while begun < len(words) and (words[begun].start < end or offset + step >= len(pcm)):
                begun += 1
            yield Speech(pcm[offset : offset + step], tuple(words[:begun]))
            words = words[begun:]

    def close(self) -> None:
        """Nothing is held."""


def sawtooth(samples: int) -> bytes:
    """That many samples of s16le that rise from -1000 to 999 and start again."""
    period = array("h", range(-RAMP // 2, RAMP // 2))
    if sys.byteorder == "big":
        period.byteswap()
    return (period.tobytes() * (samples // RAMP + 1))[: samples * 2]


def timings(text: str, character: float) -> list[WordTiming]:
    """The words of `text`, each from its first to its last character of `character` seconds."""
    found: list[WordTiming] = []
    position = 0
    for index, word in enumerate(text.split()):
        position = text.index(word, position)
        start, position = position, position + len(word)
        found.append(WordTiming(index, word, round(start * character, 6), round(position * character, 6)))
    return found
