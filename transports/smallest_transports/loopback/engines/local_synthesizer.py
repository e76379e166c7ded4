"""Speech synthesis with hibari-tts, in the process that imports this: see `workers`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import soxr
from hibari import Hibari
from hibari.voices import DEFAULT, VOICES, voice_path

from smallest_transports.loopback.engines.base import Speech, SynthesizerSetup, WordTiming
from smallest_transports.loopback.engines.pcm import Samples

PIECE_SECONDS = 0.05
SPEEDS = (0.5, 2.0)

PAUSE_WEIGHT = 4
"""Phonemes' worth of time that a token's closing punctuation takes."""

_VOICED = 0.02
"""Share of a sentence's peak above which it is taken to be spoken, not silent."""


@lru_cache(maxsize=2)
def load(voice: str) -> Hibari:
    """The model of a voice, loaded once."""
    return Hibari(voice=voice)


def voice_for(voice_id: str) -> str:
    """The hibari voice to use: the one asked for if its model is on this machine, else the built-in one."""
    if voice_id in VOICES:
        try:
            voice_path(voice_id, download_missing=False)
        except FileNotFoundError:
            return str(DEFAULT)
        return voice_id
    return str(DEFAULT)


class Utterance:
    """The speech for one text, made sentence by sentence."""

    def __init__(self, setup: SynthesizerSetup, text: str) -> None:
        self._setup = setup
        self._voice = load(voice_for(setup.voice_id))
        self._sentences = self._speak(text)

    def next_sentence(self) -> list[Speech]:
        """The pieces of the next sentence that has any sound; an empty list at the end."""
        return next(self._sentences, [])

    def _speak(self, text: str) -> Iterator[list[Speech]]:
        low, high = SPEEDS
        speed = min(high, max(low, self._setup.speed))
        rate = self._setup.sample_rate
        spoken = 0  # samples
        index = 0
        for sentence in self._voice.split_sentences(text):
            tokens = sentence.split()
            phonemes = [part for part in self._voice.phonemize(sentence) if any(map(str.isalpha, part))]
            parts = [self._voice.from_phonemes(part, speed=speed, seed=0) for part in phonemes]
            audio = np.concatenate(parts) if parts else np.zeros(0, np.float32)
            if len(audio):
                words: list[WordTiming] = []
                if self._setup.word_timestamps:
                    weights = [self._weight(token) for token in tokens]
                    words = spread(tokens, weights, index, spoken / rate, *voiced_span(audio))
                if rate != self._voice.sample_rate:
                    audio = soxr.resample(audio, self._voice.sample_rate, rate)
                yield pieces(audio, rate, spoken / rate, words)
                spoken += len(audio)
            index += len(tokens)

    def _weight(self, token: str) -> int:
        """How long a token takes to say, in phonemes."""
        phonemes = self._voice.g2p(token) or ""
        return sum(symbol.isalpha() for symbol in phonemes) or 1


def voiced_span(audio: Samples) -> tuple[float, float]:
    """Where in 24 kHz audio the voice is, in seconds: without the silence at both ends."""
    loud = np.flatnonzero(np.abs(audio) > _VOICED * np.abs(audio).max())
    first, last = (loud[0], loud[-1] + 1) if len(loud) else (0, len(audio))
    return float(first) / Hibari.sample_rate, float(last) / Hibari.sample_rate


def spread(
    tokens: Sequence[str], weights: Sequence[int], index: int, offset: float, start: float, end: float
) -> list[WordTiming]:
    """Share the time from `start` to `end` (seconds after `offset`) out among tokens: an estimate, in order."""
    pauses = [PAUSE_WEIGHT if token[-1] in ",;:.!?" else 0 for token in tokens[:-1]] + [0]
    unit = (end - start) / (sum(weights) + sum(pauses))
    words: list[WordTiming] = []
    now = offset + start
    for number, (token, weight, pause) in enumerate(zip(tokens, weights, pauses, strict=True)):
        words.append(WordTiming(index + number, token, round(now, 3), round(now + weight * unit, 3)))
        now += (weight + pause) * unit
    return words


def pieces(audio: Samples, rate: int, offset: float, words: Sequence[WordTiming]) -> list[Speech]:
    """Cut a sentence into pieces of `PIECE_SECONDS`, each with the words that begin in it."""
    pcm = (np.clip(audio, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    step = int(rate * PIECE_SECONDS) * 2
    result: list[Speech] = []
    for position in range(0, len(pcm), step):
        start = offset + position / (2 * rate)
        end = float("inf") if position + step >= len(pcm) else offset + (position + step) / (2 * rate)
        begun = tuple(w for w in words if w.start < end and (w.start >= start or position == 0))
        result.append(Speech(pcm[position : position + step], begun))
    return result
