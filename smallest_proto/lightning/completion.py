"""When is a synthesis over? No frame says so for certain, so the rule stands here, alone.

`complete` is sent once for a single text and for the older continue/flush protocol [asyncapi tts-ws]. A
context may bring one for each release of audio, none of them marked as the last [lk 1.8.9]; or one for the
whole turn [pipecat 1.14].
"""

from __future__ import annotations

from enum import Enum

from smallest_proto.lightning.options import LightningOptions

REMEMBERED = 256
"""Ids kept in mind, of requests and of contexts: no peer and no length of a call makes us remember more."""


class Verdict(Enum):
    """What a `complete` means if no more text will come."""

    RELEASE = "one release of several"
    PROBABLE = "the last, unless more audio follows soon"
    CERTAIN = "the last"


class CompletionPolicy:
    """Judges each `complete` of one context. Changes only through what it is told has happened."""

    __slots__ = ("_one_complete", "_released", "_requests", "_single", "_texts")

    def __init__(self, options: LightningOptions) -> None:
        self._single = options.text_mode == "segment"
        # a forced flush speaks a part of the text, and a part may have a `complete` of its own
        self._one_complete = options.text_mode == "continue" and options.max_buffer_flush_ms == 0
        self._released = False
        self._texts = 0
        self._requests: dict[str, int | None] = {}

    @property
    def requests(self) -> tuple[str, ...]:
        """The ids of the requests seen."""
        return tuple(self._requests)

    def knows(self, request_id: str) -> bool:
        """Whether a frame of this request came."""
        return request_id in self._requests

    def text_sent(self) -> None:
        """A piece of text went out: requests seen before it cannot speak it."""
        self._texts += 1

    def flush_sent(self) -> None:
        """A forced flush went out."""
        self._one_complete = False

    def frame(self, request_id: str) -> None:
        """A frame of this request came, before which it was unknown or complete."""
        if self._requests.get(request_id) is None:
            self._requests[request_id] = self._texts
            if len(self._requests) > REMEMBERED:
                del self._requests[next(iter(self._requests))]

    def released(self, request_id: str) -> None:
        """A `complete` came while text may still follow, so this server completes release by release."""
        self._released = True
        self.completed(request_id)

    def completed(self, request_id: str) -> None:
        """The `complete` of this request was dealt with; a further frame of it begins it anew."""
        self._requests[request_id] = None

    def verdict(self, request_id: str) -> Verdict:
        """What a `complete` of this request means, once the text has been closed."""
        if self._single:
            return Verdict.CERTAIN
        if not self._released:
            return Verdict.CERTAIN if self._one_complete else Verdict.PROBABLE
        begun = self._requests.get(request_id)
        return Verdict.RELEASE if begun is not None and begun < self._texts else Verdict.PROBABLE
