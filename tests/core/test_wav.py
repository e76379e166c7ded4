"""WAV: written to the byte, and read out of pieces."""

from __future__ import annotations

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.wav import MAX_PCM_BYTES, WavFormat, WavReader, is_wav, wav_file, wav_header

PCM = st.binary(max_size=40).map(lambda b: b[: len(b) // 2 * 2])


@given(PCM, st.integers(1, 2**31 - 1))
def test_the_standard_library_reads_what_is_written(pcm: bytes, rate: int) -> None:
    with wave.open(io.BytesIO(wav_file(pcm, rate))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (rate, 1, 2)
        assert file.readframes(len(pcm)) == pcm
    assert len(wav_header(len(pcm), rate)) == 44


@pytest.mark.parametrize(
    ("size", "rate", "reason"),
    [
        (1, 8000, "^pcm_bytes=1: expected an even number"),
        (-2, 8000, "^pcm_bytes=-2"),
        (MAX_PCM_BYTES + 2, 8000, "^pcm_bytes="),
        (True, 8000, "^pcm_bytes=True"),
        (2, 0, "^sample_rate=0"),
        (2, 2**31, "^sample_rate="),
        (2, 8000.0, "^sample_rate=8000.0"),
    ],
)
def test_refused(size: int, rate: int, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        wav_header(size, rate)


def test_the_largest_header() -> None:
    assert wav_header(MAX_PCM_BYTES, 8000)[4:8] == struct.pack("<I", 2**32 - 8)


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(tag: int = 1, channels: int = 1, rate: int = 8000, bits: int = 16, more: bytes = b"") -> bytes:
    form = struct.pack(
        "<HHIIHH", tag, channels, rate, rate * channels * bits // 8, channels * bits // 8, bits
    )
    return chunk(b"fmt ", form + more)


HEAD = b"RIFF\0\0\0\0WAVE"
CHUNKS = st.lists(
    st.builds(chunk, st.sampled_from([b"LIST", b"fact"]), st.binary(max_size=9)), max_size=3
).map(b"".join)
CUTS = st.lists(st.integers(1, 20), min_size=1)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        found.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return found


@given(PCM, CHUNKS, CHUNKS, CHUNKS, st.booleans(), CUTS)
def test_samples_are_found_however_the_file_is_cut(
    pcm: bytes, before: bytes, between: bytes, after: bytes, sized: bool, cuts: list[int]
) -> None:
    after = after if sized and pcm else b""
    data = HEAD + before + fmt() + between + chunk(b"data", pcm, None if sized else 0xFFFFFFFF) + after
    reader = WavReader()
    assert b"".join(map(reader.feed, pieces(data, cuts))) == pcm
    assert reader.format == WavFormat(1, 1, 8000, 16000, 16)
    assert reader.format.is_pcm16_mono(8000)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF])
def test_a_size_that_means_unknown_bounds_nothing(size: int) -> None:
    assert WavReader().feed(HEAD + fmt() + chunk(b"data", b"abcd", size)) == b"abcd"


def test_extensible_and_other_formats() -> None:
    for more, tag in ((bytes(8) + b"\7\0" + bytes(14), 7), (bytes(4), 0xFFFE)):
        reader = WavReader()
        reader.feed(HEAD + fmt(0xFFFE, more=more))
        assert reader.format is not None
        assert reader.format.tag == tag
    for data in (fmt(channels=2), fmt(bits=8), fmt(tag=7), fmt(rate=16000)):
        reader = WavReader()
        reader.feed(HEAD + data)
        assert reader.format is not None
        assert not reader.format.is_pcm16_mono(8000)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"RIFX", "does not begin with RIFF"),
        (b"RIFF\0\0\0\0WAVX", "does not begin with RIFF"),
        (HEAD + chunk(b"data", b"ab"), "data come before their format"),
        (HEAD + chunk(b"fmt ", bytes(14)), "format is cut short"),
        (HEAD + b"LIST" + struct.pack("<I", 70_000), "64 KiB without a data chunk"),
    ],
)
def test_what_is_no_wav_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        WavReader().feed(data)


@given(st.lists(st.sampled_from([HEAD, fmt(), b"data", b"\4\0\0\0", b"a", b"\xff"]) | st.binary(max_size=9)))
def test_any_bytes_give_samples_or_a_value_error(parts: list[bytes]) -> None:
    reader = WavReader()
    try:
        for part in parts:
            reader.feed(part)
    except ValueError:
        return


def test_a_beginning_of_any_length() -> None:
    file = wav_file(b"ab", 8000)
    assert all(is_wav(file[:n]) for n in range(20))
    assert not is_wav(b"RIX")
