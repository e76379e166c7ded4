"""What a caller can tell a Pulse connection to send."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from smallest_proto.pulse.messages import ErrorMessage, ServerMessage


class Audio(msgspec.Struct, frozen=True):
    """Audio bytes in the connection's encoding, of any length made of whole samples; re-cut to packets."""

    pcm: bytes


class Flush(msgspec.Struct, frozen=True):
    """Send the audio held back for a full packet now, at its true length; ask the server for nothing."""


class Finalize(msgspec.Struct, frozen=True):
    """Flush, then force one final for what is buffered. The stream stays open; repeat as often as needed."""


class KeepAlive(msgspec.Struct, frozen=True):
    """Reset the server's idle timer. Refused on `transcribe`, whose server does not take it [lk 1.8.9]."""


class CloseStream(msgspec.Struct, frozen=True):
    """Flush, then ask for the last finals. Nothing can be sent after it; read on until `StreamEnded`."""


ClientCommand: TypeAlias = Audio | Flush | Finalize | KeepAlive | CloseStream
ServerCommand: TypeAlias = ServerMessage
"""The server role sends messages: `TranscriptMessage`, `VadMessage`, `ErrorMessage`."""

__all__ = [
    "Audio",
    "ClientCommand",
    "CloseStream",
    "ErrorMessage",
    "Finalize",
    "Flush",
    "KeepAlive",
    "ServerCommand",
]
