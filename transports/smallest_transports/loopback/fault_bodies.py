"""Errors as JSON, in every shape that servers were seen with or that their documents show. Nothing but tables."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from smallest_proto.http_reply import HttpReply, json_reply
from smallest_transports.loopback.faults import ErrorShape, Faults

TEXT = "made to fail"
"""The words of every error here that has any of its own."""

_INVALID = {
    "code": "invalid_enum_value",
    "received": "ogg",
    "options": ["wav", "ulaw", "alaw", "pcm", "mp3"],
    "path": ["output_format"],
    "message": TEXT,
}

SHAPES: Mapping[ErrorShape, object] = {
    "E1": {"type": "error", "status": "error", "message": TEXT},  # [asyncapi stt-live]
    "E2": {
        "type": "error",
        "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
        "message": TEXT,
    },  # [changelog 06-29]
    "E3": {"error": TEXT},  # [lk 1.8.9], [openapi pulse]
    "E4": {"error": TEXT, "request_id": "made-up", "details": ["first", "second"]},  # [openapi stt]
    "E5": {"error": [_INVALID]},  # [probe tts]
    "E6": {"error": [{"code": "custom", "path": ["voice_id"], "message": TEXT}]},  # [probe tts]
    "E7": {"error": "InvalidRequest", "message": TEXT},  # [openapi tts]
    "E8": {"error": TEXT, "details": ["first", "second"]},  # the service's HTTP documents
    "E9": {"status": "error", "message": TEXT},  # [asyncapi tts-ws], [lk 1.8.9]
    "E10": {
        "status": "error",
        "error": {"message": TEXT, "code": "MADE_UP"},
    },  # [asyncapi tts-ws], [sdk 5.14]
    "E11": {"status": "error", "error": TEXT},  # [pipecat 1.14]
    "E12": {"status": "error", "errors": TEXT, "message": "Error handling audio data"},  # [openapi pulse]
    "E13": {
        "status": "error",
        "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
        "message": TEXT,
        "language": "ja",
        "region": "ap-south-1",
    },  # [openapi pulse]
    "E14": {"message": "Unauthorized: No tokens provided"},  # [openapi pulse]
    "E15": {"error": "unauthorized"},  # [openapi pulse]
    "E16": {"status": False, "errors": ["please upgrade to a higher plan"]},  # [sdk 5.14]
    "E17": {
        "status": "error",
        "error_code": "MODEL_DEPRECATED",
        "message": TEXT,
        "recommended_endpoint": "/waves/v1/stt",
    },  # [changelog 05-19]
    "E18": {"error": TEXT, "code": "MADE_UP"},  # [onprem]
    "E19": {"type": "error", "error": {"message": TEXT, "code": "MADE_UP"}},  # not seen: for defence
    "E20": None,  # not JSON at all, as of a proxy
}

NOT_JSON = "<html>made to fail</html>"

_STATUSES: Mapping[int, object] = {
    400: {"error": "Missing or invalid parameter", "request_id": "made-up"},
    401: SHAPES["E15"],
    403: {"error": "Forbidden"},
    404: {"error": "not found"},
    410: SHAPES["E17"],
    413: {"error": "File size exceeds maximum limit of 250MB.", "request_id": "made-up"},
    429: {"error": "Rate limit exceeded", "request_id": "made-up"},
    500: {"error": "Internal server error"},
}


def error_text(shape: ErrorShape) -> str:
    """An error of this shape, as a message."""
    body = SHAPES[shape]
    return NOT_JSON if body is None else msgspec.json.encode(body).decode()


def refusal(status: int, faults: Faults) -> HttpReply:
    """A reply with this status, in the shape that the faults ask for or that goes with the status."""
    headers = retry_after(faults)
    if faults.error is None:
        return json_reply(status, _STATUSES.get(status, {"error": "unavailable"}), headers)
    kind = "text/html" if SHAPES[faults.error] is None else "application/json"
    return HttpReply(status, (("Content-Type", kind), *headers), error_text(faults.error).encode())


def retry_after(faults: Faults) -> tuple[tuple[str, str], ...]:
    """The header that the faults ask for, if they do."""
    return () if faults.retry_after is None else (("Retry-After", str(faults.retry_after)),)


def door(faults: Faults) -> HttpReply | None:
    """What every upgrade and request is answered with; None to go on as usual."""
    if faults.redirect is not None:
        return HttpReply(307, (("Location", faults.redirect),))
    return None if faults.reject is None else refusal(faults.reject, faults)
