"""Speech recognition with pocketsphinx, in the process that imports this: see `workers`.

The wheel's own en-us model hears 16 kHz. Turns are found by voice activity; within a turn the best hypothesis so
far makes the interims, and the end of the turn makes a final, with confidences from the word lattice.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pocketsphinx

from smallest_proto.pulse.messages import ServerMessage, TranscriptMessage, Utterance, VadMessage, Word
from smallest_transports.loopback.engines.base import RecognizerSetup
from smallest_transports.loopback.engines.pcm import Intake, Samples
from smallest_transports.loopback.engines.turns import FRAME, RATE, SILENCE_MS, Change, TurnDetector

SECONDS_PER_FRAME = FRAME / RATE
DECODER_FRAME_SECONDS = 0.01

PREROLL = 10
"""Frames (30 ms each) before the first voiced one that are decoded too, so that soft beginnings are heard."""

HEAD = 20
"""Frames of a turn from which its loudness is measured before decoding begins."""

INTERIM_EVERY = 9
"""Frames between two looks at the hypothesis: 270 ms."""

LONG = 300
TOO_LONG = 420
BREATH = 4
"""A segment is closed after 9 s at the next 120 ms of silence, after 12.6 s in any case."""

LOUDNESS = 0.03
"""Root mean square that speech is brought to before decoding; the model's starting means fit it."""

GAINS = (0.1, 40.0)

FILL = 0.0005
"""Root mean square of the noise that stands in for the upper frequencies of narrowband audio. The model has never
heard them empty: without the noise, it gets far more words of a telephone line wrong."""

_FILLER = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")
_ALTERNATIVE = re.compile(r"\(\d+\)$")

_idle: list[pocketsphinx.Decoder] = []
"""Decoders that no session uses. Making one takes half a second."""


def take_decoder() -> pocketsphinx.Decoder:
    """A decoder that remembers nothing of other sessions. Give it back to `_idle`."""
    if not _idle:
        # 6000 active models a frame, of 30000, bound the work that noise makes; words suffer little.
        return pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL", maxhmmpf=6000)
    decoder = _idle.pop()
    decoder.set_cmn(decoder.config["cmninit"])
    decoder.start_stream()
    return decoder


class LocalSession:
    """A `RecognizerSession`."""

    def __init__(self, setup: RecognizerSetup) -> None:
        self._setup = setup
        self._intake = Intake(setup, RATE)
        self._detector = TurnDetector(setup.eou_timeout_ms or SILENCE_MS)
        self._samples = np.zeros(0, np.float32)
        self._frames = 0
        self._before: deque[Samples] = deque(maxlen=PREROLL + 8)
        self._segment: Segment | None = None
        self._level = Level()
        self._fill = np.random.default_rng(0) if setup.sample_rate < RATE else None
        self._decoder: pocketsphinx.Decoder | None = take_decoder()

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        """See `RecognizerSession.feed`."""
        return self._hear(self._intake.push(audio))

    def finalize(self) -> Sequence[ServerMessage]:
        """See `RecognizerSession.finalize`."""
        final = self._close_segment() or self._transcript("", final=True)
        if self._detector.active:
            self._open_segment(self._frames, [])
        return [msgspec.structs.replace(final, from_finalize=True)]

    def finish(self) -> Sequence[ServerMessage]:
        """See `RecognizerSession.finish`."""
        messages = self._hear(self._intake.push(b"", last=True))
        missing = -len(self._samples) % FRAME
        messages += self._hear(np.zeros(missing, np.float32))
        final = self._close_segment() or self._transcript("", final=True)
        return [*messages, msgspec.structs.replace(final, is_last=True)]

    def close(self) -> None:
        """See `RecognizerSession.close`."""
        if self._decoder is not None:
            if self._segment is not None:
                self._segment.end()
            _idle.append(self._decoder)
            self._decoder = None

    def _hear(self, samples: Samples) -> list[ServerMessage]:
        samples = np.concatenate([self._samples, samples])
        whole = len(samples) - len(samples) % FRAME
        self._samples = samples[whole:]
        messages: list[ServerMessage] = []
        for offset in range(0, whole, FRAME):
            messages += self._hear_frame(samples[offset : offset + FRAME])
        return messages

    def _hear_frame(self, frame: Samples) -> Iterator[ServerMessage]:
        change = self._detector.push(frame)
        self._frames += 1
        if change is Change.STARTED:
            yield from self._vad("speech_started", self._detector.start)
            self._open_segment_before(self._detector.start)
        self._before.append(frame)
        if self._segment is not None:
            self._segment.push(frame, voiced=self._detector.pause == 0)
            yield from self._progress(self._segment)
        if change is Change.ENDED:
            yield from self._vad("speech_ended", self._detector.end)
            if (final := self._close_segment()) is not None:
                yield final

    def _progress(self, segment: Segment) -> Iterator[TranscriptMessage]:
        """The interim that is due, or the final of a segment that has become too long."""
        if segment.length > TOO_LONG or (segment.length > LONG and self._detector.pause >= BREATH):
            if (final := self._close_segment()) is not None:
                yield final
            self._open_segment(self._frames, [])
        elif segment.length % INTERIM_EVERY == 0 and (text := segment.news()):
            yield self._transcript(text, final=False)

    def _open_segment_before(self, voice: int) -> None:
        """Begin a segment at a voiced frame that has passed, and a little before it."""
        passed = self._frames - 1  # the newest frame has not been put by yet
        before = list(self._before)[-min(len(self._before), passed - voice + PREROLL) :]
        self._open_segment(passed - len(before), before)

    def _open_segment(self, start: int, before: Sequence[Samples]) -> None:
        assert self._decoder is not None
        self._segment = Segment(self._decoder, self._level, self._fill, start)
        for frame in before:
            self._segment.push(frame, voiced=False)

    def _close_segment(self) -> TranscriptMessage | None:
        """The segment's final; None when there is no segment, or it never had a word."""
        segment, self._segment = self._segment, None
        self._before.clear()
        if segment is None:
            return None
        words = segment.end()
        if not words and not segment.told:
            return None
        return self._transcript(sentence(words), final=True, words=words)

    def _vad(self, kind: str, frame: int) -> Iterator[VadMessage]:
        if self._setup.vad_events:
            yield VadMessage(type=kind, timestamp=round(frame * SECONDS_PER_FRAME, 3))

    def _transcript(self, text: str, *, final: bool, words: tuple[Word, ...] = ()) -> TranscriptMessage:
        utterances = (Utterance(text, words[0].start, words[-1].end),) if words else ()
        return TranscriptMessage(
            type="transcription",
            status="success",
            transcript=text,
            transcription=text,
            is_final=final,
            language="en" if final else None,
            words=words if self._setup.word_timestamps else (),
            utterances=utterances if self._setup.sentence_timestamps else (),
        )


class Level:
    """How loud this session's speech is: the mean power of its voiced frames, the recent ones weighing more."""

    def __init__(self) -> None:
        self._power = 0.0
        self._weight = 0.0

    def add(self, frame: Samples) -> None:
        """Take a voiced frame into account."""
        self._power = self._power * 0.995 + float(np.dot(frame, frame)) / len(frame)
        self._weight = self._weight * 0.995 + 1

    @property
    def gain(self) -> float:
        """The factor that brings speech to `LOUDNESS`, within bounds."""
        if not self._power:
            return 1.0
        low, high = GAINS
        return min(high, max(low, LOUDNESS / math.sqrt(self._power / self._weight)))


class Segment:
    """One utterance of the decoder: from the beginning of a turn, or from a cut in it, to the next."""

    def __init__(
        self,
        decoder: pocketsphinx.Decoder,
        level: Level,
        fill: np.random.Generator | None,
        start: int,
    ) -> None:
        self._decoder = decoder
        self._level = level
        self._fill = fill
        self._start = start
        self._head: list[Samples] | None = []
        self._gain = 1.0
        self._last = ""
        self.length = 0
        decoder.start_utt()

    @property
    def told(self) -> bool:
        """Whether there has been an interim."""
        return bool(self._last)

    def push(self, frame: Samples, voiced: bool) -> None:
        """Take the next frame."""
        self.length += 1
        if voiced:
            self._level.add(frame)
        if self._head is None:
            self._decode(frame)
            return
        self._head.append(frame)
        if len(self._head) >= HEAD:
            self._decode_head()

    def news(self) -> str:
        """The words so far, if they have changed since the last call; else an empty string."""
        hypothesis = self._decoder.hyp() if self._head is None else None
        text = plain(hypothesis.hypstr) if hypothesis is not None else ""
        if text == self._last:
            return ""
        self._last = text or self._last
        return text

    def end(self) -> tuple[Word, ...]:
        """End the utterance; its words, with times since the session's first sample."""
        self._decode_head()
        self._decoder.end_utt()
        return tuple(self._words())

    def _words(self) -> Iterator[Word]:
        offset = self._start * SECONDS_PER_FRAME
        for piece in self._decoder.seg() or ():
            if word := plain(piece.word):
                yield Word(
                    word,
                    round(offset + piece.start_frame * DECODER_FRAME_SECONDS, 3),
                    round(offset + (piece.end_frame + 1) * DECODER_FRAME_SECONDS, 3),
                    round(min(1.0, max(0.0, piece.prob)), 4),
                )

    def _decode_head(self) -> None:
        head, self._head = self._head, None
        if head:
            self._gain = self._level.gain
            self._decode(np.concatenate(head))

    def _decode(self, samples: Samples) -> None:
        scaled = samples * np.float32(self._gain)
        if self._fill is not None:
            scaled += self._fill.standard_normal(len(scaled), np.float32) * np.float32(FILL)
        pcm = np.clip(scaled * np.float32(32767), -32768, 32767).astype("<i2").tobytes()
        self._decoder.process_raw(pcm)


def plain(text: str) -> str:
    """Decoder tokens without fillers and without the numbers of alternative pronunciations."""
    tokens = (_ALTERNATIVE.sub("", token) for token in text.split() if not _FILLER.fullmatch(token))
    return " ".join(tokens)


def sentence(words: Sequence[Word]) -> str:
    """The words as a sentence: a capital, a full stop."""
    text = re.sub(r"\bi\b", "I", " ".join(word.word for word in words))
    return text[:1].upper() + text[1:] + "." if text else ""
