"""The body of a spoken answer: from bytes cut anywhere to audio that can be played, in the format asked for."""

from __future__ import annotations

from collections.abc import Mapping

from smallest_proto.errors import ServerError
from smallest_proto.lightning.events import INVALID_AUDIO
from smallest_proto.lightning.http_request import OutputFormat
from smallest_proto.lightning.http_sniff import Container, sniff
from smallest_proto.wav import WavReader

_NO_PCM: Mapping[Container | None, str] = {
    "mp3": "MPEG audio",
    "flac": "FLAC",
    "gzip": "something compressed with gzip",
    "ogg": "an Ogg file",
    "text": "text",
    "webm": "a WebM file",
}
_NO_AUDIO = ("gzip", "text")


def invalid_audio(text: str) -> ServerError:
    """The error for audio that cannot be what it should be."""
    return ServerError(text, code=INVALID_AUDIO, retryable=True)


class AudioBody:
    """Reads one body. `feed` and then `finish` return bytes to hand on, or the error that ends it.

    For `pcm` these are whole samples, out of a WAV file too; an odd byte at the very end is dropped. Other
    formats go through untouched, whatever kind of audio it is. `size` counts what was handed on; `container`
    is what the bytes turned out to be, None when there were none.
    """

    def __init__(self, output_format: OutputFormat, sample_rate: int) -> None:
        self.size = 0
        self.container: Container | None = None
        self._format = output_format
        self._rate = sample_rate
        self._head = b""
        self._odd = b""
        self._wav: WavReader | None = WavReader()
        self._wav_bytes = 0

    def feed(self, data: bytes) -> bytes | ServerError:
        """Take a piece of the body. The first bytes are held back until they tell what it is."""
        if self.container is None:
            self._head += data
            self.container = sniff(self._head)
            if self.container is None:
                return b""
            data, self._head = self._head, b""
        return self._take(data)

    def finish(self) -> bytes | ServerError:
        """The body is complete."""
        head, self._head = self._head, b""
        if self.container is None and head:
            self.container = sniff(head, complete=True)
        return self._take(head)

    @property
    def seconds(self) -> float | None:
        """How long the audio is; None where only a decoder can tell: mp3, and other files without a header."""
        if self._format == "pcm":
            return self.size / (2 * self._rate)
        form = self._wav.format if self._wav is not None else None
        if self.container == "wav":
            return self._wav_bytes / form.byte_rate if form is not None and form.byte_rate else None
        if self._format in ("ulaw", "alaw") and self.container in ("raw", None):
            return self.size / self._rate
        return None

    def _take(self, data: bytes) -> bytes | ServerError:
        pcm = self._format == "pcm"
        if self.container in (_NO_PCM if pcm else _NO_AUDIO):
            asked = "PCM" if pcm else self._format
            return invalid_audio(f"the server sent {_NO_PCM[self.container]} where {asked} was asked for")
        return self._pcm(data) if pcm else self._measured(data)

    def _pcm(self, data: bytes) -> bytes | ServerError:
        if self.container == "wav" and self._wav is not None:
            readable = True
            try:
                data = self._wav.feed(data)
            except ValueError:
                readable = False
            form = self._wav.format
            # the format first: a file cut after it shows nothing else yet
            if form is not None and not form.is_pcm16_mono(self._rate):
                return invalid_audio("the server sent a WAV file of other than the PCM that was asked for")
            if not readable:
                return invalid_audio("the server sent a WAV file that cannot be read where PCM was asked for")
        data = self._odd + data
        whole = len(data) - len(data) % 2
        self._odd = data[whole:]
        self.size += whole
        return data[:whole]

    def _measured(self, data: bytes) -> bytes:
        """The same bytes, counted; of a WAV also its samples."""
        self.size += len(data)
        if self.container == "wav" and self._wav is not None:
            try:
                self._wav_bytes += len(self._wav.feed(data))
            except ValueError:
                self._wav = None  # its length stays unknown
        return data
