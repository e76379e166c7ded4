"""The one synthesis that a connection can carry at a time."""

from __future__ import annotations

import re

from smallest_proto.lightning.completion import REMEMBERED, CompletionPolicy
from smallest_proto.lightning.options import LightningOptions
from smallest_proto.lightning.pcm import SampleJoiner

CONTEXT_ID = re.compile(r"[A-Za-z0-9]{8,64}")
"""Alphanumeric and of bounded length [lk 1.8.9]; the bounds are ours."""


class Context:
    """One synthesis: its id, the blanks that wait for more text, its audio, and whether it may be over."""

    __slots__ = ("blanks", "context_id", "heard", "policy", "samples")

    def __init__(self, context_id: str, options: LightningOptions) -> None:
        self.context_id = context_id
        self.blanks = ""
        """Blank pieces are not sent alone but must not glue words together: they precede the next piece."""
        self.heard = False
        self.samples = SampleJoiner()
        self.policy = CompletionPolicy(options)


class LatestIds:
    """The latest few hundred ids of their kind, and how many there ever were."""

    __slots__ = ("_ids", "count")

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self.count = 0

    def __contains__(self, id: object) -> bool:
        return id in self._ids

    def add(self, *ids: str) -> None:
        """Remember these, but for "", and forget the oldest of many."""
        for id in filter(None, ids):
            self.count += id not in self._ids
            self._ids[id] = None
        while len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
