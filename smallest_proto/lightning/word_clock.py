"""Word times on one clock, though servers count either from the start of the turn or of each request."""

from __future__ import annotations


class WordClock:
    """Shifts word times to the start of the context, under both readings of the documents.

    The guides count from the start of the audio; [pipecat 1.14] saw each `request_id` begin again near 0.
    Which one a server does shows at the first word of a later request, and then holds for the connection.
    """

    __slots__ = ("_base", "_bytes_per_second", "_last_end", "_pcm", "_request", "_restarts")

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._restarts: bool | None = None
        self.begin_context()

    def begin_context(self) -> None:
        """Count from 0 again; what was learnt about the server stays."""
        self._base = 0.0
        self._request = ""
        self._pcm = 0
        self._last_end = 0.0

    def frame(self, request_id: str) -> None:
        """Any frame of this request came. A new request begins where the audio of the one before ends."""
        if request_id and request_id != self._request:
            self._base += self._pcm / self._bytes_per_second if self._pcm else self._last_end
            self._request, self._pcm, self._last_end = request_id, 0, 0.0

    def audio(self, size: int) -> None:
        """That many bytes of PCM came for the current request."""
        self._pcm += size

    def place(self, start: float, end: float) -> tuple[float, float]:
        """The times of a word of the current request, in seconds from the start of the context."""
        self._last_end = max(self._last_end, end)
        if self._base > 0 and self._restarts is None:
            self._restarts = start < self._base * 0.5
        shift = self._base if self._restarts else 0.0
        return start + shift, end + shift
