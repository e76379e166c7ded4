"""The audio of a command, checked in one way wherever it is taken."""

from __future__ import annotations

from smallest_proto.audio import AudioFormat
from smallest_proto.errors import LocalProtocolError
from smallest_proto.pulse.commands import Audio

_BYTES = (bytes, bytearray, memoryview)


def audio_of(command: Audio, audio_format: AudioFormat) -> bytes:
    """What the command holds. Raises LocalProtocolError as `checked_audio` does."""
    return checked_audio(command.pcm, audio_format)


def checked_audio(pcm: object, audio_format: AudioFormat) -> bytes:
    """What `Audio.pcm` holds. Raises LocalProtocolError when it is empty or no whole number of samples."""
    if not isinstance(pcm, _BYTES):
        raise LocalProtocolError(f"Audio.pcm is {type(pcm).__name__}: expected bytes")
    audio = bytes(pcm)
    if not audio:
        raise LocalProtocolError("Audio.pcm is empty: expected at least one sample")
    width = audio_format.sample_width
    if width and len(audio) % width:
        raise LocalProtocolError(
            f"Audio.pcm has {len(audio)} bytes: expected whole samples, "
            f"a multiple of {width} for {audio_format.encoding}"
        )
    return audio
