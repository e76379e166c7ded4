"""Server role: how the service refuses a recording, on each of its two paths [openapi stt], [openapi pulse]."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import NamedTuple, TypeAlias

from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.pulse.batch_options import BatchEndpoint


class BatchRefusal(Enum):
    """What is wrong."""

    MODEL = "missing or invalid model"
    TOO_LARGE = "body beyond 250 MB"
    BAD_INPUT = "bad file type, url or parameter"
    REGION = "language not served here"
    NO_CREDENTIALS = "no Authorization header"
    BAD_KEY = "unknown key"
    PLAN = "the plan lacks the model"
    RATE = "too many requests"
    NO_OBJECT = "recording not found in storage"
    UNAVAILABLE = "no worker"


class _Facts(NamedTuple):
    message: str
    request_id: str
    language: str
    region: str


_Body: TypeAlias = Callable[[_Facts], dict[str, object]]


def _unified(facts: _Facts) -> dict[str, object]:
    return {"error": facts.message, "request_id": facts.request_id}


def _legacy(facts: _Facts) -> dict[str, object]:
    return {"errors": facts.message, "status": "error", "message": "Error handling audio data"}


def _region(facts: _Facts) -> dict[str, object]:
    return {
        "status": "error",
        "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
        "message": facts.message,
        "language": facts.language,
        "region": facts.region,
    }


def _no_token(_: _Facts) -> dict[str, object]:
    return {"message": "Unauthorized: No tokens provided"}


def _bad_key(_: _Facts) -> dict[str, object]:
    return {"error": "unauthorized"}


def _plan(facts: _Facts) -> dict[str, object]:
    return {"status": False, "errors": [facts.message]}


def _worker(_: _Facts) -> dict[str, object]:
    return {"error": "Internal server error"}


def _no_object(facts: _Facts) -> dict[str, object]:
    return {"error": "NoSuchKey", "message": facts.message}  # the shape round the word is ours


_R = BatchRefusal

TABLE: Mapping[BatchRefusal, Mapping[BatchEndpoint, tuple[int, _Body]]] = {
    _R.MODEL: {"stt": (400, _unified), "get_text": (400, _legacy)},
    _R.TOO_LARGE: {"stt": (413, _unified), "get_text": (400, _legacy)},
    _R.BAD_INPUT: {"stt": (400, _unified), "get_text": (400, _legacy)},
    _R.REGION: {"stt": (400, _unified), "get_text": (400, _region)},
    _R.NO_CREDENTIALS: {"stt": (401, _no_token), "get_text": (401, _no_token)},
    _R.BAD_KEY: {"stt": (401, _bad_key), "get_text": (401, _bad_key)},
    _R.PLAN: {"stt": (403, _plan), "get_text": (400, _plan)},
    _R.RATE: {"stt": (429, _unified), "get_text": (429, _unified)},
    _R.NO_OBJECT: {"stt": (400, _no_object), "get_text": (400, _no_object)},
    _R.UNAVAILABLE: {"stt": (503, _unified), "get_text": (500, _worker)},
}
"""Status and shape. The statuses of NO_OBJECT are ours: nobody published them."""

_MESSAGES: Mapping[tuple[BatchRefusal, BatchEndpoint], str] = {
    (_R.TOO_LARGE, "stt"): "File size exceeds maximum limit of 250MB.",
    (_R.TOO_LARGE, "get_text"): "Audio data too large",
    (_R.REGION, "stt"): "The language is not enabled in this region",
    (_R.REGION, "get_text"): "The language is not enabled in this region",
    (_R.PLAN, "stt"): "Your plan has no access to this model, please upgrade to a higher plan",
    (_R.PLAN, "get_text"): "Your plan has no access to this model, please upgrade to a higher plan",
}


def batch_refusal(
    case: BatchRefusal,
    endpoint: BatchEndpoint,
    *,
    message: str = "",
    request_id: str = "",
    language: str = "",
    region: str = "ap-south-1",
    retry_after: int | None = None,
) -> HttpReply:
    """The reply that refuses a request; `message` replaces the usual words. `retry_after` is seconds."""
    status, body = TABLE[case][endpoint]
    facts = _Facts(message or _MESSAGES.get((case, endpoint), case.value), request_id, language, region)
    headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
    return json_reply(status, body(facts), headers)
