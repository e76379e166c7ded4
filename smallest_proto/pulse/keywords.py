"""Keyword boosting: phrases that recognition should favour, as one query value."""

from __future__ import annotations

import warnings
from typing import TypeAlias

from smallest_proto import checks

Keyword: TypeAlias = str | tuple[str, float]
"""A phrase, or a phrase and its boost. A phrase alone has the boost 1.0."""

MAX_KEYWORDS = 10_000
"""[changelog 07-22]; older documents say 100."""

SAFE_BOOST = 5.0
"""Above it the recogniser was seen to repeat words without end and to guess other languages [probe stt]."""


def normalise_keywords(field: str, value: object) -> tuple[tuple[str, float], ...]:
    """Return (phrase, boost) pairs, ready for the query.

    Raises ValueError for an empty phrase, a comma or colon in one (they are the separators), a boost that is
    negative or not a number, and more than 10,000 entries. Warns about a boost above 5.
    """
    if not isinstance(value, tuple | list):
        raise checks.refuse(field, value, "a tuple of phrases or (phrase, boost) pairs")
    if len(value) > MAX_KEYWORDS:
        raise ValueError(f"{field}: {len(value)} entries: expected at most {MAX_KEYWORDS}")
    return tuple(_pair(f"{field}[{i}]", entry) for i, entry in enumerate(value))


def _pair(field: str, entry: object) -> tuple[str, float]:
    phrase, boost = entry if isinstance(entry, tuple | list) and len(entry) == 2 else (entry, 1.0)
    checks.text(field, phrase)
    checks.number(f"{field}: boost", boost, 0)
    assert isinstance(phrase, str)
    assert isinstance(boost, int | float)
    if "," in phrase or ":" in phrase:
        raise checks.refuse(field, entry, "a phrase without , and :, alone or with a boost")
    if boost > SAFE_BOOST:
        warnings.warn(
            f"{field}={entry!r}: boosts above {SAFE_BOOST:g} make the recogniser hallucinate", stacklevel=5
        )
    return phrase, float(boost)
