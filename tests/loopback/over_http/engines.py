"""A recogniser and a voice that count what happens to them, and fail when told to."""

import threading
from collections.abc import Iterator, Sequence

from smallest_proto.pulse import TranscriptMessage
from smallest_proto.pulse.messages import ServerMessage
from smallest_transports.loopback.engines.base import RecognizerSetup, Speech, SynthesizerSetup


class Engine:
    """A recogniser and its only kind of session, which misbehaves at one call and counts all."""

    def __init__(self, bad: str = "", error: Exception | None = None, block: str = "") -> None:
        self.calls: list[str] = []
        self.setups: list[RecognizerSetup] = []
        self.entered, self.release = threading.Event(), threading.Event()
        self._bad, self._error, self._block = bad, error, block

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name == self._block:
            self.entered.set()
            self.release.wait(10)
        if name == self._bad and self._error is not None:
            raise self._error

    def open(self, setup: RecognizerSetup) -> "Engine":
        self.setups.append(setup)
        self._called("open")
        return self

    def feed(self, audio: bytes) -> Sequence[ServerMessage]:
        self._called("feed")
        return []

    def finalize(self) -> Sequence[ServerMessage]:
        return []

    def finish(self) -> Sequence[ServerMessage]:
        self._called("finish")
        return [TranscriptMessage(transcript="all", is_final=True, is_last=True)]

    def close(self) -> None:
        self.calls.append("close")


class Voice:
    """A synthesiser that says some pieces and then fails, or goes on for ever without an error."""

    def __init__(self, pieces: int = 0, error: Exception | None = None) -> None:
        self._pieces, self._error = pieces, error
        self.spoken = 0
        self.closed_in: list[str] = []

    def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
        try:
            while self._error is None or self.spoken < self._pieces:
                self.spoken += 1
                yield Speech(bytes(4800))
            raise self._error
        finally:
            self.closed_in.append(threading.current_thread().name)

    def close(self) -> None:
        pass
