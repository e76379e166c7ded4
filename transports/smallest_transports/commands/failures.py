"""What goes wrong on the command line, as one line for the terminal and an exit code. Never a traceback."""

from __future__ import annotations

import re
import sys

from smallest_proto.errors import ProtocolError, ServerError
from smallest_transports.audio_files import AudioFileError
from smallest_transports.loopback.engines.base import EngineError


class BadInput(Exception):
    """What the user gave is no good; `str()` is the line to show."""


Failure = (BadInput, AudioFileError, ValueError, ProtocolError, EngineError, OSError)
"""Everything a command can fail with; anything else is a bug."""


_FLAGS = {
    "sample_rate": "--rate",
    "voice_id": "--voice",
    "speed": "--speed",
    "language": "--language",
    "model": "--model",
    "base_url": "--base-url",
    "no API key: give api_key, or set": "no API key: set",
}
"""What an error of the library begins with, in the words of the command line."""

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""And what turns the direction of writing."""


def exit_code(failure: BaseException) -> int:
    """2 for what the user can mend in the command, 1 for the rest."""
    return 2 if isinstance(failure, BadInput | AudioFileError | ValueError) else 1


def encodable(name: str) -> str:
    """A file's name, which need not be valid Unicode, for JSON."""
    return name.encode(errors="replace").decode()


def printable(text: str) -> str:
    """One line of foreign text, which must not steer the terminal; joiners, as in Hindi, are part of a text."""
    return _CONTROLS.sub("?", text)


def complain(*parts: str) -> None:
    """One line on standard error: of what, if it is of one of many, and what is wrong."""
    print(printable(": ".join(("smallest-proto", *parts))), file=sys.stderr)


def explain(failure: BaseException, api_key: str | None = None) -> str:
    """One line that says what happened and what would help; the key is blotted out should a server echo it."""
    parts = [str(failure) or type(failure).__name__]
    if isinstance(failure, ValueError):
        parts = [re.sub("^(" + "|".join(_FLAGS) + r")\b", lambda begin: _FLAGS[begin[0]], parts[0])]
    if isinstance(failure, ServerError):
        parts += [failure.message, *failure.details]
    if isinstance(failure, ProtocolError):
        parts += [f"try again in {failure.retry_after:g} s"] if failure.retry_after is not None else []
        parts += [f"request id {failure.request_id}"] if failure.request_id else []
    line = " ".join("; ".join(part for part in parts if part).split())
    line = printable(line)
    return line.replace(api_key.strip(), "***") if api_key and api_key.strip() else line
