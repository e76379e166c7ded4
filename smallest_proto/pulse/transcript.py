"""From the fields of a transcription message to the fields of an event: text, confidence, speaker, times."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import msgspec

from smallest_proto.pulse.messages import TranscriptMessage, Utterance, Word
from smallest_proto.vendor import UNSPACED_LANGUAGES

_WORD_CHARACTER = re.compile(r"\w")
_SPEAKER = re.compile(r"speaker_0*(\d+)", re.IGNORECASE)
_SMALLEST_PROBABILITY = 1e-10


def has_words(text: str) -> bool:
    """Whether the text holds a letter, digit or `_` of any script; punctuation alone does not [lk 1.8.9]."""
    return _WORD_CHARACTER.search(text) is not None


def seed_text(message: TranscriptMessage) -> str:
    """The text as [seed] reads it: `transcript` alone, untouched."""
    return message.transcript or ""


def default_text(message: TranscriptMessage) -> str:
    """The text as [lk 1.8.9] reads it: either key, stripped."""
    return (message.transcript or message.transcription or "").strip()


def first_confidence(words: Sequence[Word]) -> float:
    """The first word's confidence, 0.0 when there is none [seed]."""
    return (words[0].confidence or 0.0) if words else 0.0


def mean_confidence(words: Sequence[Word]) -> float:
    """The geometric mean of the words' confidences, 0.0 when there is none [lk 1.8.9]."""
    known = [w.confidence for w in words if w.confidence is not None]
    if not known:
        return 0.0
    if min(known) < _SMALLEST_PROBABILITY:
        known = [max(c, _SMALLEST_PROBABILITY) for c in known]
    return math.exp(min(0.0, math.fsum(map(math.log, known)) / len(known)))


def majority_speaker(words: Sequence[Word]) -> int | str | None:
    """The speaker of most words, the one met first on a tie, None when no word has one [seed]."""
    counts: dict[int | str, int] = {}
    for word in words:
        if word.speaker is not None:
            counts[word.speaker] = counts.get(word.speaker, 0) + 1
    return max(counts, key=counts.__getitem__) if counts else None


def speaker_label(speaker: int | str | None) -> str | None:
    """`S0` for 0, "0" and "speaker_0" alike: documents disagree on the type [asyncapi stt-live], [docs]."""
    if speaker is None:
        return None
    match = _SPEAKER.fullmatch(str(speaker))
    return f"S{match[1] if match else speaker}"


def seed_speaker_label(speaker: int | str | None) -> str | None:
    """`S` and the value as it came [seed]."""
    return None if speaker is None else f"S{speaker}"


def shift_words(words: tuple[Word, ...], seconds: float) -> tuple[Word, ...]:
    """The words, that many seconds later."""
    if not seconds:
        return words
    return tuple(msgspec.structs.replace(w, start=w.start + seconds, end=w.end + seconds) for w in words)


def shift_utterances(utterances: tuple[Utterance, ...], seconds: float) -> tuple[Utterance, ...]:
    """The utterances, that many seconds later."""
    if not seconds:
        return utterances
    return tuple(msgspec.structs.replace(u, start=u.start + seconds, end=u.end + seconds) for u in utterances)


def join_finals(texts: Sequence[str], *, language: str = "en") -> str:
    """The running transcript: finals stripped, blank ones left out, joined by a space (none for zh, yue, ja).

    Finals end in a space only sometimes, so gluing them as they come loses word boundaries [probe stt].
    """
    return ("" if language in UNSPACED_LANGUAGES else " ").join(t.strip() for t in texts if t.strip())
