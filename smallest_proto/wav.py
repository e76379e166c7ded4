"""WAV, as far as speech needs it: a header for 16-bit mono PCM, and the samples out of a file in pieces."""

from __future__ import annotations

import struct

import msgspec

from smallest_proto import checks

HEADER_BYTES = 44
MAX_PCM_BYTES = 2**32 - HEADER_BYTES
"""A WAV counts its bytes in 32 bits."""

_MAX_HEAD = 64 * 1024
_PCM, _EXTENSIBLE = 1, 0xFFFE
_UNKNOWN_SIZE = 0x7FFFF000  # streams write 0, or about 2 or 4 GiB, for a size they do not know yet


def wav_header(pcm_bytes: int, sample_rate: int) -> bytes:
    """The 44 bytes that go before `pcm_bytes` of 16-bit little-endian mono PCM at `sample_rate` Hz.

    Raises ValueError for an odd or impossible number of bytes or a rate that is not positive.
    """
    checks.integer("sample_rate", sample_rate, 1, 2**31 - 1)
    checks.integer("pcm_bytes", pcm_bytes, 0, MAX_PCM_BYTES)
    if pcm_bytes % 2:
        raise checks.refuse("pcm_bytes", pcm_bytes, "an even number: a sample has 2 bytes")
    riff = struct.pack("<4sI4s", b"RIFF", HEADER_BYTES - 8 + pcm_bytes, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, _PCM, 1, sample_rate, 2 * sample_rate, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", pcm_bytes)


def wav_file(pcm: bytes, sample_rate: int) -> bytes:
    """A WAV file of 16-bit little-endian mono PCM. Raises ValueError as `wav_header` does."""
    return wav_header(len(pcm), sample_rate) + pcm


class WavFormat(msgspec.Struct, frozen=True):
    """The `fmt` chunk: `tag` 1 is PCM, 6 A-law, 7 mu-law; `sample_rate` in Hz, `byte_rate` in bytes a second."""

    tag: int
    channels: int
    sample_rate: int
    byte_rate: int
    bits: int

    def is_pcm16_mono(self, sample_rate: int) -> bool:
        """Whether the samples are 16-bit mono PCM at this rate."""
        return (self.tag, self.channels, self.sample_rate, self.bits) == (_PCM, 1, sample_rate, 16)


class WavReader:
    """Takes the bytes of a WAV file, cut in any way, and hands out those of its `data` chunk.

    `format` is None until the `fmt` chunk was read, which is before any byte is handed out. What follows the
    data is dropped, unless the file does not know its length, as a stream does not.
    """

    def __init__(self) -> None:
        self.format: WavFormat | None = None
        self._head = bytearray()
        self._at = 12  # of the chunk to read next; before it: RIFF, size, WAVE
        self._in_data = False
        self._left: int | None = None

    def feed(self, data: bytes) -> bytes:
        """The bytes of samples in this piece. Raises ValueError for what is not a WAV file."""
        if self._in_data:
            return self._samples(data)
        self._head += data
        if not is_wav(self._head):
            raise ValueError("not a WAV file: it does not begin with RIFF and WAVE")
        while len(self._head) >= self._at + 8:
            name, size = struct.unpack_from("<4sI", self._head, self._at)
            start = self._at + 8
            if name == b"data":
                return self._begin(start, size)
            end = start + size + size % 2
            if end > _MAX_HEAD:
                raise ValueError("not a usable WAV file: 64 KiB without a data chunk")
            if len(self._head) < end:
                break
            if name == b"fmt " and self.format is None:  # the first one counts, wherever the bytes are cut
                self.format = _format(bytes(self._head[start:end]))
            self._at = end
        return b""

    def _begin(self, start: int, size: int) -> bytes:
        if self.format is None:
            raise ValueError("not a usable WAV file: its data come before their format")
        self._in_data, self._left = True, size if 0 < size < _UNKNOWN_SIZE else None
        samples, self._head = bytes(self._head[start:]), bytearray()
        return self._samples(samples)

    def _samples(self, data: bytes) -> bytes:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data


def is_wav(head: bytes | bytearray) -> bool:
    """Whether these first bytes, of any number, can be those of a WAV file."""
    return b"RIFF".startswith(head[:4]) and b"WAVE".startswith(head[8:12])


def _format(chunk: bytes) -> WavFormat:
    if len(chunk) < 16:
        raise ValueError("not a usable WAV file: its format is cut short")
    tag, channels, sample_rate, byte_rate, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = int.from_bytes(chunk[24:26], "little")
    return WavFormat(tag, channels, sample_rate, byte_rate, bits)
