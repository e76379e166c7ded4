"""An HTTP answer that says no, read into an error that keeps no API key. For upgrades and all other requests."""

from __future__ import annotations

from typing import NamedTuple

from smallest_proto.error_shapes import decode_body, server_error
from smallest_proto.errors import ServerError
from smallest_proto.wire.http_head import HeaderPairs, content_coding
from smallest_proto.wire.redaction import Redactor


class Refusal(NamedTuple):
    """The error, and what it was read from, all of it without the API key."""

    error: ServerError
    headers: HeaderPairs
    body: bytes


def read_refusal(
    status: int,
    headers: HeaderPairs,
    body: bytes,
    *,
    redactor: Redactor,
    keep: int,
    what: str = "the server answered",
) -> Refusal:
    """Read an answer of which `body` has come, to be cut to `keep` bytes. `what` begins the error's text.

    `body` should have `redactor.longest` bytes to spare: a token across the edge must not leave its first half.
    """
    clean, spare = redactor.text, redactor.longest
    headers = redactor.headers(headers)
    if content_coding(headers):
        body = b""  # nothing that could be read
    goes_on = len(body) >= keep + spare
    body = redactor.body(body[: keep + spare])
    if goes_on:  # the last bytes may begin a token whose end is missing; masks before them moved them up
        body = body[: len(body) - spare]
    body = body[:keep]
    error = server_error(decode_body(body), headers, status=status)
    text = f"{what} with HTTP status {status}"
    if 300 <= status < 400:
        text += ": redirects are not followed; base_url must name the server itself"
    error = ServerError(
        text,
        message=clean(error.message),
        details=tuple(map(clean, error.details)),
        code=error.code and clean(error.code),
        status=status,
        request_id=error.request_id and clean(error.request_id),
        retry_after=error.retry_after,
        retryable=error.retryable,
    )
    return Refusal(error, headers, body)
