"""What a body is, by its first bytes: of audio the Content-Type says `audio/wav` always [probe tts].

A type that says that it is no audio is believed, though: nobody labels speech as JSON or as a web page.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from smallest_proto.error_shapes import Headers, find_header
from smallest_proto.wav import is_wav

Container: TypeAlias = Literal["raw", "wav", "mp3", "flac", "gzip", "ogg", "text", "webm"]

_DOCUMENT = re.compile(r"\s*(application/(.+\+)?(json|xml)|text/(html|plain|xml))\s*(;|$)", re.IGNORECASE)


def is_document(headers: Headers) -> bool:
    """Whether the Content-Type says that the body is for reading: an error, or a proxy's page."""
    return _DOCUMENT.match(find_header(headers, "content-type")) is not None


_KBITS = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""By the two bits of the MPEG version: 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5."""

_ID3_HEAD = 10

_MAGIC: tuple[tuple[bytes, Container], ...] = (
    (b"fLaC", "flac"),  # RFC 9639 section 8
    (b"\x1f\x8b\x08", "gzip"),  # RFC 1952 section 2.3
    (b"OggS", "ogg"),  # RFC 3533 section 6
    (b"\x1a\x45\xdf\xa3", "webm"),  # RFC 8794 section 8.1
)

_TEXT = 64
"""Bytes that must be printable ASCII for a body to be called text: samples that are would be no sound."""


def sniff(head: bytes, *, complete: bool = False) -> Container | None:
    """The container that these bytes begin, None while more are needed; `complete` says that there are no more.

    Samples can look like the start of an MPEG frame, so a second frame must stand where the first one ends.
    """
    verdicts = (_wav(head), _id3(head), _mpeg(head), _other(head), _text(head, complete))
    found = next((kind for kind in verdicts if kind not in ("raw", None)), None)
    if found is not None or None not in verdicts:
        return found or "raw"
    return "raw" if complete else None


def _wav(head: bytes) -> Container | None:
    if not is_wav(head):
        return "raw"
    return "wav" if len(head) >= 12 else None


def _other(head: bytes) -> Container | None:
    for magic, kind in _MAGIC:
        if magic.startswith(head[: len(magic)]):
            return kind if len(head) >= len(magic) else None
    return "raw"


def _text(head: bytes, complete: bool) -> Container | None:
    """JSON, HTML or XML."""
    if not head.startswith((b"{", b"<")) or any(not _is_printable(b) for b in head[:_TEXT]):
        return "raw" if head else None
    if complete:
        return "text" if head.rstrip().endswith((b"}", b">")) else "raw"
    return "text" if len(head) >= _TEXT else None


def _is_printable(byte: int) -> bool:
    return 0x20 <= byte < 0x7F or byte in b"\t\n\r"


def _id3(head: bytes) -> Container | None:
    """A tag: version bytes below 255, four bytes of size below 128 [ID3v2 section 3.1]."""
    if not b"ID3".startswith(head[:3]) or 0xFF in head[3:5] or any(b > 0x7F for b in head[6:_ID3_HEAD]):
        return "raw"
    return "mp3" if len(head) >= _ID3_HEAD else None


def _mpeg(head: bytes) -> Container | None:
    if len(head) < 4:
        starts = b"\xff".startswith(head[:1]) and (len(head) < 2 or head[1] & 0xE6 == 0xE2)
        return None if starts else "raw"
    length = _frame_bytes(head)
    if length is None:
        return "raw"
    second = head[length : length + 4]
    if len(second) < 4:
        return None
    # version, layer and sample rate are those of the first frame
    same = second[:2] == head[:2] and (second[2] ^ head[2]) & 0x0C == 0
    return "mp3" if same and _frame_bytes(second) else "raw"


def _frame_bytes(head: bytes) -> int | None:
    """Length of the MPEG layer III frame with this header of four bytes, None when it is none."""
    version = head[1] >> 3 & 3
    if head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or version not in _RATES:
        return None
    kbits, rate_index = _KBITS[1 if version == 3 else 2][head[2] >> 4], head[2] >> 2 & 3
    if not kbits or rate_index == 3:
        return None
    return (144 if version == 3 else 72) * kbits * 1000 // _RATES[version][rate_index] + (head[2] >> 1 & 1)
