"""Reading what Pulse answers to a recording, at once or through a webhook.

Shapes: [openapi stt], [openapi pulse], [docs webhooks]. Every field may be missing or of the wrong type; what
is there without words is not an error, silence has none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from smallest_proto.error_shapes import Headers, decode_body, find_header, server_error, tells_error
from smallest_proto.errors import RemoteProtocolError, ServerError
from smallest_proto.events import UnknownMessage
from smallest_proto.json_text import load_object, mapping, number, objects, text, text_or_none
from smallest_proto.pulse.batch_options import BatchOptions
from smallest_proto.pulse.batch_result import BatchAccepted, BatchResult
from smallest_proto.pulse.messages import Word
from smallest_proto.pulse.transcript import (
    first_confidence,
    majority_speaker,
    mean_confidence,
    speaker_label,
)
from smallest_proto.pulse.words import read_utterance, read_word

_TEXT_KEYS = ("transcription", "transcript")
_KNOWN = {
    *(*_TEXT_KEYS, "status", "words", "utterances", "language", "metadata", "request_id"),
    *("emotions", "gender", "audio_length"),
}


def parse_batch(
    status: int,
    headers: Headers,
    body: bytes,
    options: BatchOptions = BatchOptions(),
) -> BatchResult | BatchAccepted | ServerError | RemoteProtocolError:
    """A whole response to `batch_request`: its status, its headers (names in lower case) and its body.

    Returned, never raised: `ServerError` for a refusal, whatever its shape (code PAYLOAD_TOO_LARGE, PLAN,
    NoSuchKey, LANGUAGE_NOT_ENABLED_IN_REGION, ... where one is known), also for `status: failed` (BATCH_FAILED);
    `RemoteProtocolError` for a 2xx that is not the JSON it should be. `options` are those of the request.
    """
    headers = tuple(headers)
    if not 200 <= status < 300:
        return server_error(decode_body(body), headers, status=status)
    obj = load_object(body)
    if isinstance(obj, UnknownMessage):
        return RemoteProtocolError(
            f"a transcript was expected, and the answer is {obj.reason}", status=status
        )
    return _read(obj, headers, options, status)


def parse_webhook(
    body: bytes, options: BatchOptions = BatchOptions()
) -> BatchResult | ServerError | RemoteProtocolError:
    """What the service sends to `webhook_url`: the answer it would have given at once, with `request_id`.

    Answer it with 2xx: on 5xx it comes again, up to 10 times, so act once for each `request_id`. That id is
    the one of `BatchAccepted`; the pairs of `webhook_extra` are in `extra`, where the service is expected to
    put them. Nothing signs these calls: anyone who knows the URL can make one [docs webhooks]. Returned, never
    raised: ServerError for `status: failed` (BATCH_FAILED), RemoteProtocolError for a body that is no result.
    """
    obj = load_object(body)
    if isinstance(obj, UnknownMessage):
        return RemoteProtocolError(f"a result was expected, and the webhook's body is {obj.reason}")
    result = _read(obj, (), options, None)
    if isinstance(result, BatchAccepted):
        return RemoteProtocolError(
            "a result was expected, and the webhook's body says that there is none yet"
        )
    return result


def _read(
    obj: Mapping[str, object], headers: Headers, options: BatchOptions, http_status: int | None
) -> BatchResult | BatchAccepted | ServerError | RemoteProtocolError:
    if options.compat == "seed":
        return _result(obj, headers, options)
    status = obj.get("status")
    if status == "processing":
        return BatchAccepted(request_id=_request_id(obj, headers))
    if status == "failed":
        return _failed(obj, headers)
    has_text = any(isinstance(obj.get(key), str) for key in _TEXT_KEYS)
    if status == "error" or (not has_text and tells_error(obj)):
        return server_error(obj, headers)
    if has_text or status == "success":
        return _result(obj, headers, options)
    return RemoteProtocolError("a transcript was expected, and the answer has none", status=http_status)


def _failed(obj: Mapping[str, object], headers: Headers) -> ServerError:
    """Nothing but the status is documented [docs webhooks], so anything else is welcome."""
    error = server_error(obj, headers)
    return ServerError(
        "the service could not transcribe the recording",
        message=error.message,
        details=error.details,
        code=error.code or "BATCH_FAILED",
        request_id=error.request_id,
        retry_after=error.retry_after,
        retryable=error.retryable,
    )


def _result(obj: Mapping[str, object], headers: Headers, options: BatchOptions) -> BatchResult:
    seed = options.compat == "seed"
    words = tuple(map(read_word, objects(obj.get("words"))))
    labels = () if seed else _labels(words)
    metadata = mapping(obj.get("metadata"))
    duration = number(metadata.get("duration"))
    return BatchResult(
        text=text(obj.get("transcription")) or ("" if seed else text(obj.get("transcript"))),
        words=words,
        utterances=tuple(map(read_utterance, objects(obj.get("utterances")))),
        language=text(obj.get("language")) or options.language,
        duration=_length(obj.get("audio_length")) if duration is None else duration,
        metadata=metadata,
        request_id=_request_id(obj, headers),
        status=text(obj.get("status")),
        emotions={k: n for k, v in mapping(obj.get("emotions")).items() if (n := number(v)) is not None},
        gender=text_or_none(obj.get("gender")),
        confidence=first_confidence(words) if seed else mean_confidence(words),
        start=words[0].start if words else 0.0,
        end=words[-1].end if words else 0.0,
        speaker=None if seed else speaker_label(majority_speaker(words)),
        speakers=labels,
        content_expiry=find_header(headers, "x-content-expiry") or None,
        extra={k: v for k, v in obj.items() if k not in _KNOWN},
        raw=obj if options.include_raw else None,
    )


def _labels(words: tuple[Word, ...]) -> tuple[str, ...]:
    labels = (speaker_label(word.speaker) for word in words)
    return tuple(dict.fromkeys(label for label in labels if label is not None))


def _length(value: object) -> float | None:
    """Seconds, as a number or as the text of one: documents disagree [openapi pulse]."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    return number(value)


def _request_id(obj: Mapping[str, object], headers: Headers) -> str:
    return text(obj.get("request_id")) or find_header(headers, "x-request-id")
