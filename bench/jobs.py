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

Sleep = Callable[[float], Awaitable[object]]


class Client(Protocol):
    """One way to speak both protocols. `url` is a base URL as `http://127.0.0.1:1234/waves/v1`."""

    def run(self, main: Callable[[Sleep], Awaitable[Any]]) -> None:
        """Run `main` on the client's own event loop, with that loop's sleep."""

    async def stt(self, url: str, job: SttJob) -> None:
        """One stream, from connecting to its confirmed end: send while `await job.pace()`."""

    async def tts(self, url: str, job: TtsJob) -> None:
        """One connection, on which texts are spoken one after the other while `job.again()`."""


class SttJob:
    """One stream's audio: so many seconds, as fast as it goes or at the rate of speech.

    A paced stream begins at `begin` on the monotonic clock and stops early once `stop()` was called.
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
        self._left = round(seconds / self.interval)
        self._breath = BREATH * len(PACKET) // len(frame)
        self._due = begin
        self._heard = heard

    async def pace(self) -> bool:
        """Whether to send another packet; waits until it is time to."""
        if self._left <= 0:
            return False
        self._left -= 1
        if self._due is not None:
            wait = self._due - monotonic()
            self._due += self.interval
            if wait > 0:
                await self._sleep(wait)
        elif self._left % self._breath == 0:
            await self._sleep(0)
        return self._left >= 0

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

    `end_known` is from the first audio: the server sends all there is at once, and some clients hold the last of
    it back until they know that it was the last.
    """

    def __init__(self, texts: int, pieces: int) -> None:
        self.audio_bytes = 0
        self.first_audio: list[float] = []
        self.end_known: list[float] = []
        self._left = texts
        self._text = f"{pieces} pieces"
        self._asked = 0.0
        self._first: float | None = None

    def again(self) -> bool:
        """Whether to speak another text. What can be done ahead, as connecting, is done between this and `ask`."""
        self._left -= 1
        return self._left >= 0

    def ask(self) -> str:
        """The text, which is sent now."""
        self._first = None
        self._asked = monotonic()
        return self._text

    def audio(self, size: int) -> None:
        """So many bytes of PCM were handed out."""
        if self._first is None:
            self._first = monotonic()
            self.first_audio.append(self._first - self._asked)
        self.audio_bytes += size

    def ended(self) -> None:
        """The client knows that this text's audio is complete."""
        assert self._first is not None
        self.end_known.append(monotonic() - self._first)
