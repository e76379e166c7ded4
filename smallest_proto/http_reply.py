"""Server role: an answer that is ready to be sent, for a server on whatever HTTP it likes."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class HttpReply(msgspec.Struct, frozen=True):
    """Status, headers and the whole body, for `HttpServerWire.respond`."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def json_reply(status: int, value: object, headers: Iterable[tuple[str, str]] = ()) -> HttpReply:
    """A reply of JSON. Raises TypeError for a value that JSON cannot hold."""
    return HttpReply(status, (("Content-Type", "application/json"), *headers), msgspec.json.encode(value))
