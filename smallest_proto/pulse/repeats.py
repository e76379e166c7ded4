"""What a new connection hears for the second time, and how that is left out of its transcripts.

With word times it is exact: a word most of which lies before the covered position is old. Without them the
words themselves are compared with those expected to come again; what does not match is passed on, since a
word said twice is better than one lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

import msgspec

from smallest_proto.pulse.events import FinalTranscript, InterimTranscript
from smallest_proto.pulse.messages import Word
from smallest_proto.vendor import UNSPACED_LANGUAGES

_PUNCTUATION = re.compile(r"[^\w]+")


def split_text(text: str, language: str) -> list[str]:
    """The text as words, or as characters where words are not spaced."""
    return list(text.strip()) if language in UNSPACED_LANGUAGES else text.split()


def _joined(tokens: Sequence[str], language: str) -> str:
    return ("" if language in UNSPACED_LANGUAGES else " ").join(tokens)


def _bare(tokens: Sequence[str]) -> list[str]:
    """Case and punctuation differ from run to run [probe stt]."""
    return [_PUNCTUATION.sub("", token).casefold() for token in tokens]


class Repeats:
    """The repeats of one connection: everything before `until` (seconds), where `expected` was said.

    The first `doubtful` of those words may have been said before the connection began to hear.
    """

    __slots__ = ("_doubtful", "_expected", "_until")

    def __init__(self, until: float, expected: Sequence[str], doubtful: int = 0) -> None:
        self._until = until
        self._expected = _bare(expected)
        self._doubtful = doubtful

    @property
    def left(self) -> int:
        """How many of the words expected have not come again, nor been given up."""
        return len(self._expected)

    def is_old_interim(self, event: InterimTranscript) -> bool:
        """Whether the interim says no more than what was said before."""
        return len(split_text(event.text, event.language)) <= len(self._expected)

    def fresh_from(self, event: InterimTranscript) -> float | None:
        """When the first of its words begins that was not said before; None when no word tells."""
        return next((word.start for word in event.words if not self._is_old(word)), None)

    def fresh_part(self, event: FinalTranscript, *, timed: bool) -> FinalTranscript | None:
        """The final without what was said before, None when nothing is left of it."""
        if timed:
            old = sum(map(self._is_old, event.words))
            self._expected = self._expected[old:] if old == len(event.words) else []
            return _without_words(event, old)
        if not self._expected:
            return event
        tokens = split_text(event.text, event.language)
        old, said = _overlap(self._expected, _bare(tokens), self._doubtful)
        self._expected = self._expected[said:] if old == len(tokens) else []
        self._doubtful = max(0, self._doubtful - said)
        if not old:
            return event
        return _without_tokens(event, tokens, old)

    def _is_old(self, word: Word) -> bool:
        return (word.start + word.end) / 2 < self._until


def _overlap(expected: list[str], heard: list[str], doubtful: int) -> tuple[int, int]:
    """How many of the words heard were expected, and how many of those expected they stand for.

    Most words up to there must agree: recognition varies from run to run, and single words agree by chance.
    """
    heard = heard[: 2 * len(expected) + 10]  # no more than that can be old; the peer decides how long it is
    blocks = SequenceMatcher(None, expected, heard, autojunk=False).get_matching_blocks()[:-1]
    while blocks:
        said, old = blocks[-1].a + blocks[-1].size, blocks[-1].b + blocks[-1].size
        skipped = min(blocks[0].a, doubtful)
        if 2 * sum(block.size for block in blocks) > max(said - skipped, old):
            return old, said
        blocks.pop()
    return 0, len(expected)


def _without_words(event: FinalTranscript, old: int) -> FinalTranscript | None:
    if not old:
        return event
    words = event.words[old:]
    if not words:
        return None
    tokens = split_text(event.text, event.language)
    # the text has punctuation and case, but its words need not be those with times
    kept = tokens[old:] if len(tokens) == len(event.words) else [word.word for word in words]
    return msgspec.structs.replace(
        event,
        text=_joined(kept, event.language),
        words=words,
        start=words[0].start,
        utterances=tuple(u for u in event.utterances if u.end > words[0].start),
    )


def _without_tokens(event: FinalTranscript, tokens: list[str], old: int) -> FinalTranscript | None:
    if old == len(tokens):
        return None
    return msgspec.structs.replace(event, text=_joined(tokens[old:], event.language))
