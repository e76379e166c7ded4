"""A session driven by hand: connections that open and close at a word, servers that say what they are told."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from smallest_proto.errors import ConnectFailed, ProtocolError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event
from smallest_proto.pulse import (
    Audio,
    FinalTranscript,
    PulseOptions,
    PulseSession,
    ResumePolicy,
    SessionConnection,
    TranscriptMessage,
    VadMessage,
    Word,
)

SECOND = 32_000
"""Bytes in a second of the default format."""

FINALIZE, CLOSE, KEEPALIVE = '{"type":"finalize"}', '{"type":"close_stream"}', '{"type":"keepalive"}'
NO = ConnectFailed("no route")
WORDLESS = PulseOptions(word_timestamps=False)


def said(*words: str, at: float = 0.0, each: float = 0.5, final: bool = True, **fields: object) -> str:
    """A transcription message; the words follow one another from `at` on."""
    timed = [Word(word, at + i * each, at + (i + 1) * each, confidence=0.9) for i, word in enumerate(words)]
    message = TranscriptMessage(type="transcription", transcript=" ".join(words), is_final=final)
    if final:
        message = msgspec.structs.replace(message, words=tuple(timed))
    return msgspec.json.encode(msgspec.structs.replace(message, **fields)).decode()


def text(*words: str, from_finalize: bool | None = None) -> str:
    """A final without word times."""
    return said(*words, words=(), from_finalize=from_finalize)


LAST = said("bye", is_last=True)


def vad(kind: str, time: float) -> str:
    return msgspec.json.encode(VadMessage(type=f"speech_{kind}", timestamp=time)).decode()


def texts(events: list[Event]) -> list[str]:
    """Of the finals among them."""
    return [event.text for event in events if isinstance(event, FinalTranscript)]


def ends(events: list[Event]) -> ConnectionClosed:
    """The last of them, which is the end."""
    closed = events[-1]
    assert isinstance(closed, ConnectionClosed)
    return closed


class Hand:
    """A session, the time, and what came of it."""

    def __init__(self, options: PulseOptions = PulseOptions(), **policy: object) -> None:
        self.session = PulseSession(options, policy=ResumePolicy(**policy), random=lambda: 0.5)  # type: ignore[arg-type]  # as given
        self.now = 0.0
        self.sent: dict[SessionConnection, list[str | bytes]] = {}

    def open(self) -> SessionConnection:
        """Dial the connection there is to dial, and open it."""
        connection = self.dial()
        connection.receive_open(self.now)
        return connection

    def dial(self) -> SessionConnection:
        connection = self.session.next_connection()
        assert connection is not None, "nothing to dial"
        assert self.session.next_connection() is None
        return connection

    def dial_later(self) -> SessionConnection:
        """Wait for the next deadline, which is a dial."""
        self.wait()
        return self.dial()

    def wait(self, seconds: float | None = None) -> None:
        """Let time pass: up to the session's next deadline, or deadline by deadline for so many seconds."""
        if seconds is None:
            at = self.session.next_deadline()
            assert at is not None
            self.now = at
            self.session.handle_timeout(self.now)
            return
        end = self.now + seconds
        while (at := self.session.next_deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.session.handle_timeout(self.now)
        self.now = end

    def speak(self, seconds: float) -> None:
        """That much audio, at once."""
        self.session.send(Audio(bytes(round(seconds * SECOND))), self.now)

    def hear(self, connection: SessionConnection, *messages: str) -> None:
        for message in messages:
            connection.receive_message(message, self.now)

    def drop(
        self, connection: SessionConnection, code: int = 1006, error: ProtocolError | None = None
    ) -> None:
        connection.receive_close(code, "", self.now, error=error)

    def again(self, connection: SessionConnection) -> SessionConnection:
        """The connection drops and another takes over; what that tells so far is put away."""
        self.drop(connection)
        second = self.dial_later()
        second.receive_open(self.now)
        self.events()
        return second

    def events(self) -> list[Event]:
        """What came since the last time."""
        return list(self._events())

    def _events(self) -> Iterator[Event]:
        while (event := self.session.next_event()) is not NEED_DATA:
            yield event

    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events()]


def audio_in(connection: SessionConnection) -> int:
    """Bytes of audio among the messages to send."""
    return sum(len(message) for message in connection.messages_to_send() if isinstance(message, bytes))
