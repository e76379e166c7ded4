"""Keeping the API key out of what a server echoes: errors are stored, shown and reported."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from smallest_proto.errors import ServerError
from smallest_proto.wire.http_head import HeaderPairs

MASK = "***"


class Redactor:
    """Replaces the token of an Authorization header by `***` wherever it turns up, in a JSON text or a URL too."""

    __slots__ = ("_tokens",)

    def __init__(self, headers: Iterable[tuple[str, str]] = ()) -> None:
        # the value is "SCHEME TOKEN" or a bare token
        words = [value.split() for name, value in headers if name.lower() == "authorization"]
        tokens = {word[-1] for word in words if word}
        escaped = {form for token in tokens for form in (token.replace("/", r"\/"), quote(token, safe=""))}
        self._tokens = tuple(tokens | escaped)

    @property
    def longest(self) -> int:
        """Characters of the longest token: text cut with this much to spare has no half of it left."""
        return max(map(len, self._tokens), default=0)

    def text(self, text: str) -> str:
        """`text` without the token."""
        for token in self._tokens:
            text = text.replace(token, MASK)
        return text

    def error(self, error: ServerError) -> None:
        """Take the token out of what a server wrote in an error."""
        error.message = self.text(error.message)
        error.details = tuple(map(self.text, error.details))
        error.code = error.code and self.text(error.code)
        error.request_id = error.request_id and self.text(error.request_id)

    def body(self, body: bytes) -> bytes:
        """`body` without the token."""
        for token in self._tokens:
            body = body.replace(token.encode("latin-1"), MASK.encode())
        return body

    def headers(self, headers: HeaderPairs) -> HeaderPairs:
        """`headers` without the token in a name or a value."""
        return tuple((self.text(name), self.text(value)) for name, value in headers)
