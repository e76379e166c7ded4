"""What a server can do to a request over HTTP, and the error that must come of it: as `faults`, for any request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from faults import Fault, gibberish, hang_up, refused, reset_at_once, silent
from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.limits import Limits
from sockets import Peer

HASTY = Limits(
    handshake_timeout=0.3,
    response_timeout=0.3,
    idle_timeout=0.3,
    keep_alive_timeout=0.3,
    close_timeout=0.05,
)
"""Deadlines that a test can wait for."""

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def answered(data: bytes, *, wait: bool = False) -> Callable[[Peer], Awaitable[None]]:
    """Read the request, write these bytes, then hang up or wait."""

    async def behave(peer: Peer) -> None:
        await read_whole_request(peer)
        peer.send(data)
        if wait:
            await peer.until_gone()

    return behave


async def read_whole_request(peer: Peer) -> bytes:
    """The body of the request; its head is in `peer.request`."""
    request = await peer.read_request()
    lines = [line.partition(": ") for line in request.split("\r\n")]
    sizes = [int(value) for name, _, value in lines if name.lower() == "content-length"]
    return await peer.reader.readexactly(sizes[0] if sizes else 0)


HTTP_FAULTS: dict[str, Fault] = {
    "refused with 400": Fault(
        refused(400, b'{"error":"Missing model","request_id":"6f0e"}'),
        ServerError,
        {"status": 400, "message": "Missing model", "request_id": "6f0e", "retryable": False},
    ),
    "refused with 401": Fault(
        refused(401, b'{"message":"Unauthorized: No tokens provided"}', X_Request_Id="id-1"),
        ServerError,
        {"status": 401, "message": "Unauthorized: No tokens provided", "request_id": "id-1"},
    ),
    "refused with 404 in HTML": Fault(
        refused(404, b"<html>not here</html>", Content_Type="text/html"), ServerError, {"status": 404}
    ),
    "refused with 413": Fault(
        refused(413, b'{"error":"File size exceeds maximum limit of 250MB."}'),
        ServerError,
        {"status": 413, "code": "PAYLOAD_TOO_LARGE", "retryable": False},
    ),
    "refused with 429": Fault(
        refused(429, b'{"error":"Rate limit exceeded"}', Retry_After="2"),
        ServerError,
        {"status": 429, "retry_after": 2.0, "retryable": True},
    ),
    "refused with 500, no body": Fault(refused(500), ServerError, {"status": 500, "message": ""}),
    "a redirect": Fault(
        refused(302, Location="http://127.0.0.1:9/elsewhere"),
        ServerError,
        {"status": 302, "retryable": False},
    ),
    "a refusal whose body never ends": Fault(
        answered(b"HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\nbusy", wait=True),
        ServerError,
        {"status": 503, "message": "busy"},
    ),
    "no answer": Fault(silent, DeadlineExceeded, {"code": "response"}),
    "hung up instead of an answer": Fault(hang_up, ConnectionLost, {}),
    "reset instead of an answer": Fault(reset_at_once, ConnectionLost, {}),
    "an answer that is not HTTP": Fault(gibberish, RemoteProtocolError, {}),
    "headers without end": Fault(
        answered(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000, wait=True), RemoteProtocolError, {}
    ),
    "two lengths": Fault(
        answered(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        RemoteProtocolError,
        {},
    ),
    "a body cut short": Fault(answered(SIZED + b'{"a'), ConnectionLost, {}),
    "a chunked body cut short": Fault(answered(CHUNKED + b'3\r\n{"a\r\n'), ConnectionLost, {}),
    "a body that stops coming": Fault(
        answered(SIZED + b'{"a', wait=True), DeadlineExceeded, {"code": "idle"}
    ),
    "a compressed body": Fault(
        answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08"),
        RemoteProtocolError,
        {"status": 200},
    ),
    "chunks that are none": Fault(answered(CHUNKED + b"what?\r\n", wait=True), RemoteProtocolError, {}),
}
