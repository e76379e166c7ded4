"""Server role of Pulse batch: reading what a client asks, and writing every answer that the service gives."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec

from smallest_proto.error_shapes import Headers, find_header
from smallest_proto.events import UnknownMessage
from smallest_proto.http_reply import HttpReply, json_reply
from smallest_proto.json_text import load_object
from smallest_proto.pulse.batch_options import WIRE_NAMES, BatchEndpoint, BatchOptions, check_url
from smallest_proto.pulse.batch_refusals import BatchRefusal, batch_refusal
from smallest_proto.pulse.batch_result import BatchResult
from smallest_proto.vendor import PULSE_BATCH_MODELS, unwarned

_PATHS: tuple[tuple[re.Pattern[str], BatchEndpoint], ...] = (
    (re.compile(r".*/stt/?"), "stt"),
    (re.compile(r".*/([A-Za-z0-9._-]+)/get_text/?"), "get_text"),
)
_SWITCHES = {f.name for f in msgspec.structs.fields(BatchOptions) if f.type == bool | None}


class BatchAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for: a recording, in `audio` as it came or behind `url` (then `audio` is b"").

    Answer with `batch_reply`, `batch_accepted_reply` when `options.webhook_url` is set, or a `batch_refusal`.
    """

    options: BatchOptions
    audio: bytes = b""
    content_type: str = ""
    url: str | None = None


def batch_asked(method: str, target: str, headers: Headers, body: bytes) -> BatchAsked | HttpReply | None:
    """The request of a batch client, or the reply (400) to send at once. Never raises because of the client.

    None when it is not one of Pulse's paths, or not a POST; what precedes the known part of the path is not
    looked at, and neither are credentials. Parameters that are not known, or not known on this path, are
    ignored, and any switch but the word `true` is off, as when streaming.
    """
    path, _, query = target.partition("?")
    found = next(((m, e) for pattern, e in _PATHS if (m := pattern.fullmatch(path))), None)
    if found is None or method != "POST":
        return None
    match, endpoint = found
    sent = dict(parse_qsl(query, keep_blank_values=True))
    try:
        options = _options(endpoint, sent, model=match[1] if match.lastindex else None)
        return _asked(options, find_header(headers, "content-type"), body)
    except ValueError as error:
        return batch_refusal(BatchRefusal.BAD_INPUT, endpoint, message=str(error))


def _options(endpoint: BatchEndpoint, sent: Mapping[str, str], model: str | None) -> BatchOptions:
    values: dict[str, object] = {"word_timestamps": None, "diarize": None}
    values |= {k: v == "true" if k in _SWITCHES else v for k, v in sent.items() if k in WIRE_NAMES}
    if endpoint == "stt":
        for name in ("model", "language"):
            if name not in values:
                raise ValueError(f"{name}: missing required query parameter")
        values = {k: v for k, v in values.items() if k not in _LEGACY_ONLY}
    else:
        values = {k: v for k, v in values.items() if k not in _UNIFIED_ONLY}
        values |= {"model": model, "language": values.get("language", "multi-eu")}  # [openapi pulse]
    if values["model"] not in PULSE_BATCH_MODELS:
        raise ValueError(f"model={str(values['model'])[:50]!r}: expected {' or '.join(PULSE_BATCH_MODELS)}")
    if "webhook_url" not in values:
        values = {k: v for k, v in values.items() if not k.startswith("webhook_")}
    if "webhook_extra" in values:
        values["webhook_extra"] = _split(str(values["webhook_extra"]))
    with unwarned():
        return msgspec.convert(values | {"endpoint": endpoint}, BatchOptions, strict=False)


_LEGACY_ONLY = ("encoding", "sample_rate", "format", "punctuate", "capitalize")
_UNIFIED_ONLY = ("redact_pii", "redact_pci", "webhook_method")


def _split(value: str) -> dict[str, str]:
    """`k:v,k2:v2` [openapi stt]."""
    return {name: item for name, _, item in (pair.partition(":") for pair in value.split(","))}


def _asked(options: BatchOptions, content_type: str, body: bytes) -> BatchAsked:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        if kind != "application/octet-stream" and not kind.startswith("audio/"):
            raise ValueError(
                f"unsupported file type {kind[:50]!r}: expected audio/* or application/octet-stream"
            )
        if not body:
            raise ValueError("no audio: expected a recording in the body")
        return BatchAsked(options=options, audio=body, content_type=content_type)
    if options.model == "pulse-pro":
        raise ValueError("pulse-pro takes raw audio only, no URL")
    obj = load_object(body)
    url = None if isinstance(obj, UnknownMessage) else obj.get("url")
    check_url("url", url)
    assert isinstance(url, str)
    return BatchAsked(options=options, content_type=content_type, url=url)


def batch_reply(
    result: BatchResult, options: BatchOptions = BatchOptions(), headers: Headers = ()
) -> HttpReply:
    """The answer with a transcript, in the shape of `options.model`: pulse has no language and no id.

    `result.metadata` and `result.extra` stand in it as they are; `extra` at the top level.
    """
    return json_reply(200, _document(result, options), headers)


def batch_accepted_reply(request_id: str) -> HttpReply:
    """The answer to a request with a webhook: the result will come there."""
    return json_reply(200, {"status": "processing", "request_id": request_id})


def webhook_body(result: BatchResult, options: BatchOptions = BatchOptions()) -> bytes:
    """What the service sends to the webhook: the answer, its id, and the pairs of `webhook_extra`.

    Where those stand is not published; at the top level, here.
    """
    document = {**options.webhook_extra, **_document(result, options), "request_id": result.request_id}
    return msgspec.json.encode(document)


def failed_webhook_body(request_id: str) -> bytes:
    """What the service sends when it could not transcribe; only the status is documented."""
    return msgspec.json.encode({"status": "failed", "request_id": request_id})


def _document(result: BatchResult, options: BatchOptions) -> dict[str, object]:
    metadata = dict(result.metadata)
    if result.duration is not None:
        metadata.setdefault("duration", result.duration)
    document: dict[str, object] = {
        "status": "success",
        "transcription": result.text,
        "words": result.words,
    }
    if options.model == "pulse-pro":
        document |= {"language": result.language, "metadata": metadata, "request_id": result.request_id}
    else:
        document |= {"utterances": result.utterances, "metadata": metadata}
    if result.gender is not None:
        document["gender"] = result.gender
    if result.emotions:
        document["emotions"] = result.emotions
    return {**document, **result.extra}
