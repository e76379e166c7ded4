"""Which host serves which language. Nothing is routed for the caller: the base URL decides.

The two hosts have different models behind them [asyncapi pulse-ws], [changelog 06-29]. Hosts that are not the
vendor's are never warned about: on-premises servers and contracts have rules of their own.
"""

from __future__ import annotations

import warnings

from smallest_proto.endpoints import BASE_URL, US_BASE_URL, split_base_url
from smallest_proto.vendor import (
    INDIA_ONLY_BATCH_LANGUAGES,
    INDIA_ONLY_LANGUAGES,
    US_ONLY_LANGUAGES,
    RegionWarning,
)

_INDIA_HOST, _US_HOST = split_base_url(BASE_URL)[0], split_base_url(US_BASE_URL)[0]


def region_base_url(language: str, *, batch: bool = False) -> str:
    """The base URL whose host serves this language: the US one where it must be, the default one otherwise."""
    return US_BASE_URL if not batch and language in US_ONLY_LANGUAGES else BASE_URL


def check_region(language: str, base_url: str, *, batch: bool = False, stacklevel: int = 1) -> None:
    """Give a `RegionWarning` when the host of `base_url` is known not to serve `language`.

    `batch` asks about pre-recorded audio instead of streams. The wrong host closes without a word, or says
    LANGUAGE_NOT_ENABLED_IN_REGION. Raises ValueError for a `base_url` that is none.
    """
    host = split_base_url(base_url)[0]
    india_only = INDIA_ONLY_BATCH_LANGUAGES if batch else INDIA_ONLY_LANGUAGES
    us_only: frozenset[str] = frozenset() if batch else US_ONLY_LANGUAGES
    if (host == _INDIA_HOST and language in us_only) or (host == _US_HOST and language in india_only):
        needed = region_base_url(language, batch=batch)
        warnings.warn(
            f"language={language!r} is not served by {host}; expected base_url={needed!r}",
            RegionWarning,
            stacklevel=stacklevel + 1,
        )
