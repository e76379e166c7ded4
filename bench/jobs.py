"""What a client is given to do, and what it reports. Plain enough for any event loop and any client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol

PACKET_SECONDS = 0.05
PACKET = bytes(1600)
FRAME_10_MS = bytes(320)
BREATH = 10
"""At maximum speed the sender lets the receiver run after so many packets: half a second of audio."""

HELD = float("inf")
LOOKS_EVERY = 0.25
"""Seconds: how soon a stream that is held sees that it may begin."""

Sleep = Callable[[float], Awaitable[object]]


class Client(Protocol):
    """One way to speak both protocols. `url` is a base URL as `http://127.0.0.1:1234/waves/v1`."""

    def run(self, main: Callable[[Sleep], Awaitable[Any]]) -> None:
        """Run `main` on the client's own event loop, with that loop's sleep."""

    async def stt(self, url: str, job: SttJob) -> None:
        """One stream, from connecting to its confirmed end: send while `await job.pace()`."""

    async def tts(self, url: str, job: TtsJob) -> None:
        """One connection, on which texts are spoken one after the other while `await job.again()`."""


class SttJob:
    """One stream's audio: so many seconds, as fast as it goes or at the rate of speech.

    A paced stream begins at `begin` on the monotonic clock, which may be `HELD` until it is known, and stops early
    once `stop()` was called.
    """

    def __init__(
        self,
        sleep: Sleep,
        seconds: float,
        *,
        begin: float | None = None,
        frame: bytes = PACKET,
        heard: Callable[[float], None] | None = None,
        opened: Callable[[], None] | None = None,
    ) -> None:
        self.packet = frame
        self.interval = PACKET_SECONDS * len(frame) / len(PACKET)
        self.transcripts = 0
        self.opened = opened or (lambda: None)
        self._sleep = sleep
        self.sent = 0
        self._left = round(seconds / self.interval)
        self._breath = BREATH * len(PACKET) // len(frame)
        self.begin = begin
        self._due: float | None = None
        self._heard = heard

    async def pace(self) -> bool:
        """Whether to send another packet; waits until it is time to."""
        if self._left <= 0:
            return False
        while self.begin == HELD:
            await self._sleep(LOOKS_EVERY)
        if self.begin is not None:
            self._due, self.begin = self.begin, None
        self._left -= 1
        if self._due is not None:
            wait = self._due - monotonic()
            self._due += self.interval
            if wait > 0:
                await self._sleep(wait)
        elif self._left % self._breath == 0:
            await self._sleep(0)
        if self._left < 0:
            return False
        self.sent += 1
        return True

    def stop(self) -> None:
        """Send no more."""
        self._left = -1

    def heard(self, text: str) -> None:
        """A transcript was handed out. Its first word is the server's clock as it was sent."""
        self.transcripts += 1
        if self._heard is not None:
            self._heard(monotonic() - float(text.partition(" ")[0]))


class TtsJob:
    """Texts for one connection, and when their audio came.

    piece_seconds: of audio in each message. pause: seconds before each text. silently: the server says nothing
    after the audio. mark: called as a text is sent and as its end is known.

    The known ends are from the first audio: the server sends all there is at once, and some clients hold the last
    of it back until they know that it was the last.
    """

    def __init__(
        self,
        sleep: Sleep,
        texts: int,
        pieces: int,
        *,
        piece_seconds: float = 0.2,
        pause: float = 0.0,
        silently: bool = False,
        mark: Callable[[], None] | None = None,
    ) -> None:
        self.audio_bytes = 0
        self.first_audio: list[float] = []
        self.confirmed: list[float] = []
        self.inferred: list[float] = []
        self._sleep = sleep
        self._left = texts
        self._text = f"{pieces} pieces of {piece_seconds} s" + (" silently" if silently else "")
        self._pause = pause
        self._mark = mark or (lambda: None)
        self._asked = 0.0
        self._first: float | None = None

    async def again(self) -> bool:
        """Whether to speak another text. What can be done ahead, as connecting, is done before `ask`."""
        self._left -= 1
        if self._left >= 0 and self._pause:
            await self._sleep(self._pause)
        return self._left >= 0

    def ask(self) -> str:
        """The text, which is sent now."""
        self._first = None
        self._mark()
        self._asked = monotonic()
        return self._text

    def audio(self, size: int) -> None:
        """So many bytes of PCM were handed out."""
        if self._first is None:
            self._first = monotonic()
            self.first_audio.append(self._first - self._asked)
        self.audio_bytes += size

    def ended(self, *, inferred: bool = False) -> None:
        """The client knows that this text's audio is complete: the server's word proves it, or it is inferred.

        Of a text that is sent in a context no message says for certain that it was the last.
        """
        assert self._first is not None
        (self.inferred if inferred else self.confirmed).append(monotonic() - self._first)
        self._mark()
