"""What goes wrong on the command line, as one line for the terminal and an exit code. Never a traceback."""

from __future__ import annotations

from smallest_proto.errors import ProtocolError, ServerError
from smallest_transports.audio_files import AudioFileError
from smallest_transports.loopback.engines.base import EngineError


class BadInput(Exception):
    """What the user gave is no good; `str()` is the line to show."""


Failure = (BadInput, AudioFileError, ValueError, ProtocolError, EngineError, OSError)
"""Everything a command can fail with; anything else is a bug."""


def exit_code(failure: BaseException) -> int:
    """2 for what the user can mend in the command, 1 for the rest."""
    return 2 if isinstance(failure, BadInput | AudioFileError | ValueError) else 1


def explain(failure: BaseException, api_key: str | None = None) -> str:
    """One line that says what happened and what would help; the key is blotted out should a server echo it."""
    parts = [str(failure) or type(failure).__name__]
    if isinstance(failure, ServerError):
        parts += [failure.message, *failure.details]
    if isinstance(failure, ProtocolError):
        parts += [f"try again in {failure.retry_after:g} s"] if failure.retry_after is not None else []
        parts += [f"request id {failure.request_id}"] if failure.request_id else []
    line = " ".join("; ".join(part for part in parts if part).split())
    line = "".join(
        char if char.isprintable() else "?" for char in line
    )  # a server must not steer the terminal
    return line.replace(api_key.strip(), "***") if api_key and api_key.strip() else line
