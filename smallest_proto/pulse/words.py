"""Reading words and utterances where any field may be missing or of the wrong type."""

from __future__ import annotations

from collections.abc import Mapping

from smallest_proto.json_text import number, text
from smallest_proto.pulse.messages import Utterance, Word


def read_word(obj: Mapping[str, object]) -> Word:
    """A word of a transcript, streamed or not."""
    return Word(
        word=text(obj.get("word")),
        start=number(obj.get("start")) or 0.0,
        end=number(obj.get("end")) or 0.0,
        confidence=number(obj.get("confidence")),
        speaker=_speaker(obj.get("speaker")),
        speaker_confidence=number(obj.get("speaker_confidence")),
    )


def read_utterance(obj: Mapping[str, object]) -> Utterance:
    """An utterance; its text has one of two keys."""
    return Utterance(
        text=text(obj.get("text")) or text(obj.get("transcript")),
        start=number(obj.get("start")) or 0.0,
        end=number(obj.get("end")) or 0.0,
        speaker=_speaker(obj.get("speaker")),
    )


def _speaker(value: object) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None
