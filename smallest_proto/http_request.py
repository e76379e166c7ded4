"""One HTTP request to make: where to, and what to say. Nothing is sent here; `HttpWire` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from smallest_proto import checks
from smallest_proto.endpoints import ApiKey, Destination, destination

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
"""What can be asked; the services use GET and POST [openapi stt], [openapi tts]."""


class HttpRequest(Destination):
    """A request with its body: give it to `HttpWire.start`, after connecting to `host` and `port`.

    Attributes: `host` and `port` for the socket, `secure` (https), `method`, `target` (path and query),
    `headers` (without the ones that the wire itself sets: Host, Connection and those of the body's length),
    `body` (bytes, b"" for none or for one that is streamed). The repr shows neither header values, nor the
    query, nor the body. Not picklable: the headers hold the API key.
    Raises ValueError for a method that is not one of METHODS.
    """

    __slots__ = ("body", "method")

    def __init__(
        self,
        *,
        host: str,
        port: int,
        secure: bool,
        method: str,
        target: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes = b"",
    ) -> None:
        super().__init__(host=host, port=port, secure=secure, target=target, headers=headers)
        self.method = method
        self.body = body
        checks.one_of("method", method, METHODS)

    def __repr__(self) -> str:
        where = self._describe("https" if self.secure else "http")
        return f"HttpRequest({self.method} {where}, body of {len(self.body)} bytes)"


def http_request(
    base_url: str,
    path: str,
    query: Iterable[tuple[str, str]],
    *,
    method: str = "POST",
    api_key: ApiKey | None,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    content_type: str | None = None,
) -> HttpRequest:
    """Build the request for `base_url` + `path` + `query`, by the rules of `upgrade_request`.

    `content_type` becomes the Content-Type header. `headers` are added, and replace ours of the same name.
    Raises ValueError for a base URL, a method or a header that cannot be sent.
    """
    checks.one_of("method", method, METHODS)  # before the key is in reach of a traceback
    extra = {} if content_type is None else {"Content-Type": content_type}
    where = destination(base_url, path, query, api_key=api_key, headers=(extra, headers or {}))
    return HttpRequest(
        host=where.host,
        port=where.port,
        secure=where.secure,
        method=method,
        target=where.target,
        headers=where.headers,
        body=body,
    )
