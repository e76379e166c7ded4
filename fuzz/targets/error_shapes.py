"""How servers say no: any body, any headers, any status, any close."""

from __future__ import annotations

import math

from fuzz import invariants, scenario
from fuzz.messages import message
from smallest_proto.error_shapes import (
    MAX_DETAILS,
    MAX_TEXT,
    decode_body,
    error_for_close,
    normalise,
    retry_after,
    server_error,
)

TABLE: scenario.Table = {
    "status": (None, 400, 401, 403, 404, 410, 413, 422, 429, 500, 503, 302, 499),
    "close": (1000, 1005, 1006, 1008, 1011, 4000),
}


def fuzz(data: bytes) -> None:
    """Steps: `:` a header, `x` the reason of a close, `j` a body from `messages`, anything else a body as it is."""
    settings, steps = scenario.parse(data, TABLE)
    headers = tuple(
        (name.strip().lower().decode("latin-1"), value.decode("latin-1"))
        for name, _, value in (s.argument.partition(b":") for s in steps if s.kind == ":")
    )
    seconds = retry_after(headers)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0), seconds
    for step in steps:
        if step.kind == "x":
            invariants.clean_error(error_for_close(settings["close"], scenario.text(step.argument)))
        elif step.kind != ":":
            body = step.kind.encode("latin-1") + step.argument
            if step.kind == "j":
                body = message(step.argument).encode()
            # what a caller decoded with another library counts too: NaN, any size of number, lone surrogates
            for obj in (decode_body(body), scenario.value(body)):
                look(obj, headers, settings["status"])


def look(obj: object, headers: tuple[tuple[str, str], ...], status: int | None) -> None:
    """One error, read as a message and as a response."""
    shape = normalise(obj, headers)
    error = server_error(obj, headers, status=status)
    invariants.clean_error(error)
    assert (error.message, error.details) == (shape.message, shape.details)
    assert error.code == shape.code or not shape.code, "the server's own code is lost"
    assert error.request_id == shape.request_id
    assert len(shape.message) <= MAX_TEXT
    assert len(shape.code or "") <= MAX_TEXT
    assert len(shape.details) <= MAX_DETAILS + 3
    assert all(len(line) <= MAX_TEXT + 30 for line in shape.details)
    assert error.code != ""
    assert error.request_id != ""
