"""Showing what a stream says: on a terminal, in a pipe, or as JSON lines."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, Self

import msgspec
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from smallest_proto.pulse import (
    FinalTranscript,
    InterimTranscript,
    Word,
)
from smallest_transports.asyncio import TranscriptEvent
from smallest_transports.commands.failures import encodable, printable


class Display(Protocol):
    """Shows the events of one file. Use it with `with`."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def sent(self, seconds: float) -> None:
        """That much audio is out."""
        ...

    def show(self, event: TranscriptEvent) -> None:
        """Something happened."""
        ...


class PlainDisplay:
    """Lines for a pipe: finals, and interims if asked for."""

    def __init__(self, *, interims: bool, words: bool) -> None:
        self._interims = interims
        self._words = words

    def __enter__(self) -> Self:
        """Nothing to begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def sent(self, seconds: float) -> None:
        """Not shown."""

    def show(self, event: TranscriptEvent) -> None:
        """One line for a transcript, one for each word if asked for."""
        if isinstance(event, InterimTranscript) and self._interims:
            print(f"  ... {printable(event.text)}", flush=True)
        elif isinstance(event, FinalTranscript):
            print(printable(event.text), flush=True)
            if self._words:
                for word in event.words:
                    print(word_line(word), flush=True)


class JsonDisplay(PlainDisplay):
    """One JSON object per event and line; `at` is seconds since the first packet could leave."""

    def __init__(self, name: str) -> None:
        super().__init__(interims=True, words=True)
        self._name = encodable(name)
        self._begun = time.monotonic()

    def __enter__(self) -> Self:
        """Start the clock."""
        self._begun = time.monotonic()
        return self

    def show(self, event: TranscriptEvent) -> None:
        """One line."""
        head = {
            "file": self._name,
            "event": type(event).__name__,
            "at": round(time.monotonic() - self._begun, 3),
        }
        fields = {k: v for k, v in msgspec.structs.asdict(event).items() if k != "error" and v is not None}
        print(msgspec.json.encode(head | fields).decode(), flush=True)


class TerminalDisplay:
    """A progress bar with the running interim under it; finals scroll by above."""

    def __init__(self, console: Console, name: str, seconds: float, *, words: bool) -> None:
        self._console = console
        self._words = words
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._progress.add_task(printable(name), total=seconds)
        self._live = Live(self._progress, console=console, transient=True)

    def __enter__(self) -> Self:
        """Show the bar."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self._live.stop()

    def sent(self, seconds: float) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=seconds)

    def show(self, event: TranscriptEvent) -> None:
        """Rewrite the interim line, or print a final above it."""
        if isinstance(event, InterimTranscript):
            self._below(printable(event.text))
        elif isinstance(event, FinalTranscript):
            self._below("")
            self._console.print(printable(event.text), markup=False, highlight=False)
            if self._words:
                for word in event.words:
                    self._console.print(word_line(word), markup=False, highlight=False, style="dim")

    def _below(self, text: str) -> None:
        grid = Table.grid()
        grid.add_row(self._progress)
        if text:
            grid.add_row(Text(text, style="dim"))
        self._live.update(grid)


def word_line(word: Word) -> str:
    """Start, end and confidence of a word."""
    confidence = "    " if word.confidence is None else f"{word.confidence:.2f}"
    return f"    {word.start:7.2f} {word.end:7.2f}  {confidence}  {printable(word.word)}"


def display_for(
    name: str, seconds: float, *, json: bool, interims: bool, words: bool
) -> JsonDisplay | PlainDisplay | TerminalDisplay:
    """The display that fits where standard output goes."""
    if json:
        return JsonDisplay(name)
    if sys.stdout.isatty():
        return TerminalDisplay(Console(), name, seconds, words=words)
    return PlainDisplay(interims=interims, words=words)
