"""The vectors of Lightning over HTTP: speech, speech as events, voices; for both ends."""

from __future__ import annotations

from typing import Any

import pytest

from http_vectors import cases, check, check_reply, check_request, load

VECTORS = load("speech", "speech_events", "voices")
CASES = list(cases("speech", "speech_events", "voices"))
IDS = [f"{vector['id']}-{variant}" for vector, variant in CASES]


@pytest.mark.parametrize("cut", [3, 7, 10**9])
@pytest.mark.parametrize(("vector", "variant"), CASES, ids=IDS)
def test_response(vector: dict[str, Any], variant: str, cut: int) -> None:
    check(vector, variant, cut)


@pytest.mark.parametrize("vector", [v for v in VECTORS if "request" in v], ids=lambda v: v["id"])
def test_request(vector: dict[str, Any]) -> None:
    check_request(vector, "default")


@pytest.mark.parametrize("vector", [v for v in VECTORS if "reply" in v], ids=lambda v: v["id"])
def test_reply(vector: dict[str, Any]) -> None:
    check_reply(vector, "default")
