"""Which host serves which language."""

from __future__ import annotations

import warnings

import pytest

from smallest_proto.endpoints import BASE_URL, US_BASE_URL
from smallest_proto.pulse import PulseOptions, pulse_request
from smallest_proto.regions import check_region, region_base_url
from smallest_proto.vendor import (
    INDIA_ONLY_BATCH_LANGUAGES,
    INDIA_ONLY_LANGUAGES,
    PULSE_BATCH_LANGUAGES,
    PULSE_STREAMING_LANGUAGES,
    US_ONLY_LANGUAGES,
    RegionWarning,
)


@pytest.mark.parametrize("language", PULSE_STREAMING_LANGUAGES)
@pytest.mark.parametrize("base_url", [BASE_URL, US_BASE_URL])
def test_streams(language: str, base_url: str) -> None:
    wrong = language in (US_ONLY_LANGUAGES if base_url == BASE_URL else INDIA_ONLY_LANGUAGES)
    options = PulseOptions(language=language)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        check_region(language, base_url.replace("https", "wss") + "/")
        pulse_request(options, api_key=None, base_url=base_url)
    assert [w.category for w in seen] == [RegionWarning] * 2 * wrong
    assert {w.filename for w in seen} <= {__file__}
    needed = region_base_url(language)
    assert all(f"language={language!r}" in str(w.message) and needed in str(w.message) for w in seen)
    assert (needed == base_url) != wrong or language not in US_ONLY_LANGUAGES | INDIA_ONLY_LANGUAGES


@pytest.mark.parametrize("language", PULSE_BATCH_LANGUAGES["pulse"])
def test_recordings(language: str) -> None:
    assert region_base_url(language, batch=True) == BASE_URL
    check_region(language, BASE_URL, batch=True)
    if language in INDIA_ONLY_BATCH_LANGUAGES:
        with pytest.warns(RegionWarning, match=f"expected base_url='{BASE_URL}'"):
            check_region(language, US_BASE_URL, batch=True)
    else:
        check_region(language, US_BASE_URL, batch=True)


def test_hosts_of_others_are_never_warned_about() -> None:
    for base_url in ("http://127.0.0.1:8000", "https://api.us.smallest.ai.example"):
        for language in PULSE_STREAMING_LANGUAGES:
            check_region(language, base_url)
    with pytest.raises(ValueError, match="base_url"):
        check_region("en", "nonsense")
