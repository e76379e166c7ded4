"""Standard input, output and error: closed ones, pipes, encodings that lack a character."""

from __future__ import annotations

import io
import os
import sys

from smallest_transports.commands.failures import BadInput

PIECE = 64 * 1024

STANDARD = "-"
"""The name of a file that stands for standard input or output."""


def prepare(*, json: bool) -> None:
    """Have all three there, the closed ones empty; what an encoding lacks is written as an escape. JSON is UTF-8."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # as long-lived as the one it stands for
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            encoding = "utf-8" if json and stream is sys.stdout else None
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def read_bytes() -> bytes:
    """All of standard input. Piece by piece: Python heeds Ctrl-C only between its calls of the system."""
    return b"".join(iter(lambda: os.read(sys.stdin.fileno(), PIECE), b""))


def read_text() -> str:
    """The same as text. Raises BadInput for what is not UTF-8."""
    try:
        return read_bytes().decode()
    except UnicodeDecodeError:
        raise BadInput("standard input: expected text in UTF-8") from None


def is_standard_output(name: str) -> bool:
    """Whether a file of this name is where standard output goes, as `-` and /dev/stdout are."""
    if name == STANDARD:
        return True
    try:
        return os.path.samestat(os.stat(name), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):  # no such file yet; or no file at all behind standard output
        return False
