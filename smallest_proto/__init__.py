"""Smallest AI's speech protocols as pure state machines: Pulse (speech to text), Lightning (text to speech).

Nothing here touches a socket, a clock or an event loop. `PulseConnection` and `LightningConnection` speak in
messages, over any WebSocket library; `WebSocketWire` puts bytes under them. A request over HTTP is made by
`batch_request` and the like and read by the `HttpExchange` beside it. Time is passed in as `now`.
Names that both protocols have in common, such as `KeepAlive`, are in `smallest_proto.pulse` and
`smallest_proto.lightning`, with everything else they offer.
"""

from typing import TYPE_CHECKING

from smallest_proto.audio import AudioFormat
from smallest_proto.chunker import Chunker
from smallest_proto.endpoints import BASE_URL, US_BASE_URL, ApiKey, UpgradeRequest
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    ServerError,
)
from smallest_proto.events import (
    NEED_DATA,
    ConnectionClosed,
    Event,
    Role,
    ServerErrorReceived,
    UnknownMessage,
)
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.http_request import HttpRequest
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextComplete,
    ContextFailed,
    EncodedAudio,
    FinishContext,
    LightningConnection,
    LightningOptions,
    SendText,
    Speak,
    SpeechComplete,
    SpeechEventsExchange,
    SpeechExchange,
    Voice,
    VoicesExchange,
    VoicesReceived,
    WordTimestamp,
    lightning_request,
    speech_request,
    speech_stream_request,
    voices_request,
)
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    Audio,
    AudioDropped,
    BatchAccepted,
    BatchAudio,
    BatchCompleted,
    BatchExchange,
    BatchOptions,
    BatchPcm,
    BatchResult,
    BatchUrl,
    CloseStream,
    Finalize,
    FinalTranscript,
    InterimTranscript,
    MigrationFailed,
    PulseConnection,
    PulseOptions,
    PulseSession,
    Reconnecting,
    Resumed,
    ResumePolicy,
    SessionConnection,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    Usage,
    Word,
    batch_request,
    join_finals,
    parse_webhook,
    pulse_request,
)
from smallest_proto.regions import check_region, region_base_url
from smallest_proto.vendor import RegionWarning, UnknownValueWarning, VoicePairingWarning

if TYPE_CHECKING:
    from smallest_proto.wire import HandshakeCompleted, UpgradeReceived, WebSocketServerWire, WebSocketWire

__all__ = [
    "BASE_URL",
    "NEED_DATA",
    "US_BASE_URL",
    "ApiKey",
    "Audio",
    "AudioChunk",
    "AudioDropped",
    "AudioFormat",
    "BatchAccepted",
    "BatchAudio",
    "BatchCompleted",
    "BatchExchange",
    "BatchOptions",
    "BatchPcm",
    "BatchResult",
    "BatchUrl",
    "CancelContext",
    "Chunker",
    "CloseStream",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "ContextCancelled",
    "ContextComplete",
    "ContextFailed",
    "DeadlineExceeded",
    "EncodedAudio",
    "Event",
    "FinalTranscript",
    "Finalize",
    "FinishContext",
    "HandshakeCompleted",
    "HandshakeRejected",
    "HttpExchange",
    "HttpRequest",
    "InterimTranscript",
    "LightningConnection",
    "LightningOptions",
    "Limits",
    "LocalProtocolError",
    "MigrationFailed",
    "ProtocolError",
    "PulseConnection",
    "PulseOptions",
    "PulseSession",
    "Reconnecting",
    "RegionWarning",
    "RemoteProtocolError",
    "RequestFailed",
    "ResumePolicy",
    "Resumed",
    "Role",
    "SendText",
    "ServerError",
    "ServerErrorReceived",
    "SessionConnection",
    "Speak",
    "SpeechComplete",
    "SpeechEnded",
    "SpeechEventsExchange",
    "SpeechExchange",
    "SpeechStarted",
    "StreamEnded",
    "UnknownMessage",
    "UnknownValueWarning",
    "UpgradeReceived",
    "UpgradeRequest",
    "Usage",
    "Voice",
    "VoicePairingWarning",
    "VoicesExchange",
    "VoicesReceived",
    "WebSocketServerWire",
    "WebSocketWire",
    "Word",
    "WordTimestamp",
    "batch_request",
    "check_region",
    "join_finals",
    "lightning_request",
    "parse_webhook",
    "pulse_request",
    "region_base_url",
    "speech_request",
    "speech_stream_request",
    "voices_request",
]

_WIRE = ("HandshakeCompleted", "UpgradeReceived", "WebSocketServerWire", "WebSocketWire")


def __getattr__(name: str) -> object:
    # h11 and wsproto are half of the import time, and the message level needs neither
    if name in _WIRE:
        from smallest_proto import wire

        return getattr(wire, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
