"""What comes of a recording. Times are seconds from its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from smallest_proto.events import Event
from smallest_proto.exchange import RequestFailed
from smallest_proto.pulse.messages import Utterance, Word


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """A transcript, with what the service said about it. What it left out is empty, None or 0.0.

    `words` come with `word_timestamps`; their `speaker` is as it came, and `speaker_label` makes it a label.
    `utterances` come on pulse with `word_timestamps`. `language` is the answer's, else the one asked for.
    `duration` is the recording's seconds. `metadata` is the answer's, open: names differ by model. `emotions`
    maps an open set of labels to scores. `confidence` is the geometric mean over the words, or the first
    word's with `compat="seed"`; `start` and `end` span the words. `speakers` are the labels, in the order in
    which they are first heard; `speaker` is the one with the most words. `content_expiry` answers
    `expire_content`: `applied`, `not-entitled` or `unavailable`. `extra` has every other key of the answer,
    such as the pairs of `webhook_extra`. `raw` is the whole answer, with `include_raw`.
    """

    text: str
    words: tuple[Word, ...] = ()
    utterances: tuple[Utterance, ...] = ()
    language: str = ""
    duration: float | None = None
    metadata: Mapping[str, object] = {}
    request_id: str = ""
    status: str = "success"
    emotions: Mapping[str, float] = {}
    gender: str | None = None
    confidence: float = 0.0
    start: float = 0.0
    end: float = 0.0
    speaker: str | None = None
    speakers: tuple[str, ...] = ()
    content_expiry: str | None = None
    extra: Mapping[str, object] = {}
    raw: Mapping[str, object] | None = None


class BatchCompleted(Event, frozen=True, kw_only=True):
    """The transcript is here; the last event."""

    result: BatchResult


class BatchAccepted(Event, frozen=True, kw_only=True):
    """The service will call the webhook with the result, and with this id; the last event."""

    request_id: str


BatchEvent: TypeAlias = BatchCompleted | BatchAccepted | RequestFailed
