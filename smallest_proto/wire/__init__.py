"""The byte level, for both ends and without I/O: WebSocket upgrade, frames, ping and close; HTTP; event streams."""

from smallest_proto.wire.events import HandshakeCompleted, UpgradeReceived
from smallest_proto.wire.frame_writer import Mask
from smallest_proto.wire.http import HttpServerWire, HttpWire, wants_upgrade
from smallest_proto.wire.http_events import (
    BodyReceived,
    ExchangeEnded,
    ExchangeFailed,
    RequestEnded,
    RequestStarted,
    ResponseStarted,
)
from smallest_proto.wire.sse import EventStreamDecoder, ServerSentEvent, encode_event
from smallest_proto.wire.states import State
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire

__all__ = [
    "BodyReceived",
    "EventStreamDecoder",
    "ExchangeEnded",
    "ExchangeFailed",
    "HandshakeCompleted",
    "HttpServerWire",
    "HttpWire",
    "Mask",
    "RequestEnded",
    "RequestStarted",
    "ResponseStarted",
    "ServerSentEvent",
    "State",
    "UpgradeReceived",
    "WebSocketServerWire",
    "WebSocketWire",
    "encode_event",
    "wants_upgrade",
]
