"""Pulse, speech to text: a stream over WebSocket, with transcripts and turns; a whole recording over HTTP."""

from smallest_proto.pulse.accept import pulse_options
from smallest_proto.pulse.batch import BatchExchange
from smallest_proto.pulse.batch_decode import parse_batch, parse_webhook
from smallest_proto.pulse.batch_options import BatchOptions
from smallest_proto.pulse.batch_refusals import BatchRefusal, batch_refusal
from smallest_proto.pulse.batch_request import BatchAudio, BatchPcm, BatchSource, BatchUrl, batch_request
from smallest_proto.pulse.batch_result import BatchAccepted, BatchCompleted, BatchEvent, BatchResult
from smallest_proto.pulse.batch_server import (
    BatchAsked,
    batch_accepted_reply,
    batch_asked,
    batch_reply,
    failed_webhook_body,
    webhook_body,
)
from smallest_proto.pulse.commands import Audio, CloseStream, Finalize, Flush, KeepAlive
from smallest_proto.pulse.connection import PulseConnection
from smallest_proto.pulse.events import (
    AudioReceived,
    CloseStreamReceived,
    FinalizeReceived,
    FinalTranscript,
    InterimTranscript,
    KeepAliveReceived,
    PulseEvent,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    Usage,
)
from smallest_proto.pulse.messages import (
    ErrorMessage,
    PongMessage,
    TranscriptMessage,
    Utterance,
    VadMessage,
    Word,
)
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.request import pulse_request
from smallest_proto.pulse.resume_policy import DEFAULT_RESUME, Failure, ResumePolicy
from smallest_proto.pulse.session import PulseSession
from smallest_proto.pulse.session_connection import SessionConnection
from smallest_proto.pulse.session_events import AudioDropped, MigrationFailed, Reconnecting, Resumed
from smallest_proto.pulse.session_states import SessionState
from smallest_proto.pulse.transcript import join_finals, speaker_label

__all__ = [
    "DEFAULT_RESUME",
    "Audio",
    "AudioDropped",
    "AudioReceived",
    "BatchAccepted",
    "BatchAsked",
    "BatchAudio",
    "BatchCompleted",
    "BatchEvent",
    "BatchExchange",
    "BatchOptions",
    "BatchPcm",
    "BatchRefusal",
    "BatchResult",
    "BatchSource",
    "BatchUrl",
    "CloseStream",
    "CloseStreamReceived",
    "ErrorMessage",
    "Failure",
    "FinalTranscript",
    "Finalize",
    "FinalizeReceived",
    "Flush",
    "InterimTranscript",
    "KeepAlive",
    "KeepAliveReceived",
    "MigrationFailed",
    "PongMessage",
    "PulseConnection",
    "PulseEvent",
    "PulseOptions",
    "PulseSession",
    "Reconnecting",
    "ResumePolicy",
    "Resumed",
    "SessionConnection",
    "SessionState",
    "SpeechEnded",
    "SpeechStarted",
    "StreamEnded",
    "TranscriptMessage",
    "Usage",
    "Utterance",
    "VadMessage",
    "Word",
    "batch_accepted_reply",
    "batch_asked",
    "batch_refusal",
    "batch_reply",
    "batch_request",
    "failed_webhook_body",
    "join_finals",
    "parse_batch",
    "parse_webhook",
    "pulse_options",
    "pulse_request",
    "speaker_label",
    "webhook_body",
]
