"""How servers say no: every known shape of an error, read into one; statuses and close codes into errors.

Shapes: [asyncapi stt-live], [asyncapi pulse-ws], [asyncapi tts-ws], [openapi stt], [openapi pulse],
[openapi tts], [probe tts], [sdk 5.14], [lk 1.8.9], [pipecat 1.14], and whatever a proxy writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TypeAlias

import msgspec

from smallest_proto.errors import ConnectionLost, ServerError

Headers: TypeAlias = Iterable[tuple[str, str]]
"""Response headers: pairs of name and value, names in lower case."""

MAX_TEXT = 500
"""Characters kept of each text. Messages are sentences; a proxy's error page is not worth more."""

MAX_DETAILS = 50
"""Items kept of a validation list."""


class ErrorShape(msgspec.Struct, frozen=True):
    """What a server said when it refused.

    `code` is its short word, such as MODEL_DEPRECATED; `message` its sentences, "" when it gave none;
    `request_id` the id to quote to the vendor; `details` one line for each further item.
    """

    code: str | None = None
    message: str = ""
    request_id: str | None = None
    details: tuple[str, ...] = ()


def decode_body(body: bytes) -> object:
    """The JSON value in `body`, else its text as well as it can be read. Never raises."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return body[: 4 * MAX_TEXT].decode("utf-8", "replace")


def tells_error(obj: Mapping[str, object]) -> bool:
    """Whether an answer with a status that says yes says no all the same."""
    return any(obj.get(key) for key in ("error", "errors", "error_code"))


def normalise(obj: object, headers: Headers = ()) -> ErrorShape:
    """Read any error, from a message, a response body (see `decode_body`) or nothing at all. Never raises.

    A missing `request_id` is taken from the `x-request-id` header [docs error-reference].
    """
    request_id = find_header(headers, "x-request-id") or None
    if not isinstance(obj, dict):
        return ErrorShape(message=_joined(obj), request_id=request_id)
    code = _text(obj.get("error_code")) or _text(obj.get("code"))
    code, message, items = _read_error(obj, code)
    return ErrorShape(
        code=code or None,
        message=message,
        request_id=_text(obj.get("request_id")) or request_id,
        details=_details(items or obj.get("details")) + _extras(obj),
    )


def _read_error(obj: Mapping[str, object], code: str) -> tuple[str, str, object]:
    """Code, message and validation items. Which key holds the sentence depends on the endpoint."""
    error, errors, message = obj.get("error"), obj.get("errors"), _text(obj.get("message"))
    if isinstance(error, dict):
        return code or _text(error.get("code")), _text(error.get("message")) or message, error.get("details")
    if isinstance(error, list) and error:
        first = error[0]
        return code or (_text(first.get("code")) if isinstance(first, dict) else ""), _joined(error), error
    if text := _text(error):
        if not message:
            return code, text, None
        return code or ("" if " " in text else text), message, None
    return code, _joined(errors) or message, None


_EXTRAS = ("recommended_endpoint", "language", "region")
"""Keys beside the message that help: the route to use instead [changelog 05-19]; what was refused where."""


def _extras(obj: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(f"{key}: {_text(obj[key])}" for key in _EXTRAS if _text(obj.get(key)))


def _details(value: object) -> tuple[str, ...]:
    items = value[:MAX_DETAILS] if isinstance(value, list) else [value]
    return tuple(line for line in map(_line, items) if line)


def _joined(value: object) -> str:
    return "; ".join(_details(value))[:MAX_TEXT]


def _line(item: object) -> str:
    """One item of a validation list, as `path: message (expected one of ...)`."""
    if not isinstance(item, dict):
        return _text(item)
    path, options = item.get("path"), item.get("options")
    where = ".".join(map(_text, path)) if isinstance(path, list) else _text(path)
    line = ": ".join(part for part in (where, _text(item.get("message"))) if part)
    accepted = ", ".join(map(_text, options)) if isinstance(options, list) else ""
    return (f"{line} (expected one of {accepted})" if accepted else line)[:MAX_TEXT]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value[:MAX_TEXT]
    # a code may be a number; True is none, and longer ones could not even be printed
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    return ""


def find_header(headers: Headers, name: str) -> str:
    """The first value of this header (name in lower case), or ""."""
    return next((value for key, value in headers if key == name), "")


_DATE = re.compile(r"[A-Za-z]{3}, (\d\d) ([A-Za-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def retry_after(headers: Headers) -> float | None:
    """Seconds that `Retry-After` asks to wait, None without a usable one.

    It may be a date [docs error-reference]; there is no clock here, so the response's own `Date` is the now.
    """
    headers = tuple(headers)
    value = find_header(headers, "retry-after").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    until, sent = _http_date(value), _http_date(find_header(headers, "date").strip())
    return None if until is None or sent is None else max(0.0, until - sent)


def _http_date(value: str) -> float | None:
    match = _DATE.fullmatch(value)
    if match is None or match[2] not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[i]) for i in (1, 3, 4, 5, 6))
    month = _MONTHS.index(match[2]) + 1
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:  # such as 30 February
        return None


RETRYABLE_STATUS: Mapping[int, bool] = {
    **dict.fromkeys((400, 401, 403, 404, 410, 413), False),
    **dict.fromkeys((408, 429, 499, 500, 502, 503, 504), True),
}
"""HTTP statuses the vendor documents [docs error-reference], and whether asking again can help."""


def retryable_status(status: int) -> bool:
    """Whether the same request may succeed later. Undocumented: server faults yes, the rest no [lk 1.8.9]."""
    return RETRYABLE_STATUS.get(status, status >= 500)


FINAL_CODES = frozenset(
    {
        "LANGUAGE_NOT_ENABLED_IN_REGION",  # [changelog 06-29]
        "MODEL_DEPRECATED",  # [changelog 05-19]
        "CONTENT_FILTER_BLOCKED",  # [pipecat 1.14]
        *("invalid_enum_value", "custom"),  # validation lists [probe tts]
        *("PAYLOAD_TOO_LARGE", "PLAN", "NoSuchKey"),  # what `_named` says
    }
)
"""Codes that come again however often the same is asked."""

_NAMED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("PAYLOAD_TOO_LARGE", ("too large",)),  # an old 400
    ("PAYLOAD_TOO_LARGE", ("maximum limit",)),  # of a 413
    ("PLAN", ("upgrade", "plan")),  # 403 or 400
    ("NoSuchKey", ("nosuchkey",)),  # the storage's own word
)


def _named(shape: ErrorShape, status: int | None) -> str | None:
    """A code for what servers tell in words only [openapi stt], [openapi pulse], [sdk 5.14]."""
    if shape.code is not None or status is None or status < 400:
        return shape.code
    if status == 413:
        return "PAYLOAD_TOO_LARGE"
    text = " ".join((shape.message, *shape.details)).lower()
    return next((code for code, words in _NAMED if all(word in text for word in words)), None)


def server_error(
    obj: object,
    headers: Headers = (),
    *,
    status: int | None = None,
    text: str = "the server reported an error",
) -> ServerError:
    """The `ServerError` for an error message, or, with `status` and `headers`, for an HTTP response's body.

    Without a status it is retryable unless its code is known to be final, as for [lk 1.8.9]. Where a response
    has no code but says what we know, its code is PAYLOAD_TOO_LARGE, PLAN (the plan lacks the model) or
    NoSuchKey. `text` is the error's own, where there is no status.
    """
    headers = tuple(headers)
    shape = normalise(obj, headers)
    code = _named(shape, status)
    return ServerError(
        text if status is None else f"the server answered with HTTP status {status}",
        message=shape.message,
        details=shape.details,
        code=code,
        status=status,
        request_id=shape.request_id,
        retry_after=retry_after(headers),
        retryable=code not in FINAL_CODES and (status is None or retryable_status(status)),
    )


RATE_LIMIT_CLOSE = 1008
"""Too many sessions of the organisation are open [asyncapi stt-live]."""


def error_for_close(code: int, reason: str = "") -> ConnectionLost | ServerError:
    """The error for a connection that ended before the work was done, by close code; 1006 for no close frame.

    All are retryable: 1008 is a rate limit [asyncapi stt-live], and the others are undocumented.
    """
    if code == RATE_LIMIT_CLOSE:
        return ServerError(
            "the server closed the connection with 1008: too many sessions, or a policy of its own",
            message=reason,
            status=code,
            retryable=True,
        )
    if code == 1006:
        return ConnectionLost("the connection was lost: it ended without a close frame", status=code)
    return ConnectionLost(f"the server closed the connection early, with close code {code}", status=code)
