"""What a server can do to a client, and the error that must come of it. For every transport and the command line."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from sockets import CLOSE, TEXT, Peer, frame

BIG = 20 * 1024 * 1024


class Fault(NamedTuple):
    """A server's behaviour towards one client, and the fields of the error that the client meets."""

    behave: Callable[[Peer], Awaitable[None]]
    error: type[ProtocolError]
    fields: dict[str, object]


def refused(status: int, body: bytes = b"", **headers: str) -> Callable[[Peer], Awaitable[None]]:
    async def behave(peer: Peer) -> None:
        await peer.refuse(status, body, **headers)

    return behave


def accepted(*frames: bytes, wait: bool = True) -> Callable[[Peer], Awaitable[None]]:
    """Accept, wait for the client's first message, write these bytes."""

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        for data in frames:
            peer.send(data)
        if wait:
            await peer.until_gone()

    return behave


async def silent(peer: Peer) -> None:
    await peer.until_gone()


async def hang_up(peer: Peer) -> None:
    await peer.read_request()


async def reset_at_once(peer: Peer) -> None:
    await peer.read_request()
    peer.reset()


async def reset_later(peer: Peer) -> None:
    await peer.accept()
    await peer.frame()
    peer.reset()


async def gibberish(peer: Peer) -> None:
    await peer.read_request()
    peer.send(b"\x00\x01\x02 what?\r\n\r\n")
    await peer.until_gone()


def error_message(text: str) -> bytes:
    message = {"type": "error", "status": "error", "error_code": "BAD", "message": text}
    return frame(TEXT, json.dumps(message).encode())


FAULTS: dict[str, Fault] = {
    "refused with 400": Fault(
        refused(400, b'{"error":"Missing model","request_id":"6f0e"}'),
        HandshakeRejected,
        {"status": 400, "message": "Missing model", "request_id": "6f0e", "retryable": False},
    ),
    "refused with 401": Fault(
        refused(401, b'{"message":"Unauthorized: No tokens provided"}', X_Request_Id="id-1"),
        HandshakeRejected,
        {"status": 401, "message": "Unauthorized: No tokens provided", "request_id": "id-1"},
    ),
    "refused with 404 in HTML": Fault(
        refused(404, b"<html>not here</html>", Content_Type="text/html"),
        HandshakeRejected,
        {"status": 404, "body": b"<html>not here</html>"},
    ),
    "refused with 429": Fault(
        refused(429, b'{"error":"Rate limit exceeded"}', Retry_After="2"),
        HandshakeRejected,
        {"status": 429, "retry_after": 2.0, "retryable": True},
    ),
    "refused with 500, no body": Fault(
        refused(500), HandshakeRejected, {"status": 500, "message": "", "retryable": True}
    ),
    "no answer to the upgrade": Fault(silent, DeadlineExceeded, {"code": "handshake"}),
    "hung up instead of an answer": Fault(hang_up, ConnectionLost, {"status": 1006}),
    "reset instead of an answer": Fault(reset_at_once, ConnectionLost, {"status": 1006}),
    "an answer that is not HTTP": Fault(gibberish, RemoteProtocolError, {}),
    "closed with 1008": Fault(
        accepted(frame(CLOSE, b"\x03\xf0too many")), ServerError, {"status": 1008, "message": "too many"}
    ),
    "closed with 1011": Fault(accepted(frame(CLOSE, b"\x03\xf3")), ConnectionLost, {"status": 1011}),
    "an error message": Fault(
        accepted(error_message("no"), frame(CLOSE, b"\x03\xf3")),
        ServerError,
        {"code": "BAD", "message": "no"},
    ),
    "hung up": Fault(accepted(wait=False), ConnectionLost, {"status": 1006}),
    "reset": Fault(reset_later, ConnectionLost, {"status": 1006}),
    "a message of 20 MB": Fault(
        accepted(frame(TEXT, b'{"transcript":"' + b"a" * BIG + b'"}')), RemoteProtocolError, {"status": 1009}
    ),
    "a masked frame": Fault(accepted(frame(TEXT, b"{}", masked=True)), RemoteProtocolError, {"status": 1002}),
    "text that is not UTF-8": Fault(
        accepted(frame(TEXT, b"\xff\xfe")), RemoteProtocolError, {"status": 1007}
    ),
}
