"""Spoken answers: however a body is cut the audio is the same, and whatever it is nothing is raised."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_vectors import joined
from smallest_proto.errors import ConnectionLost, RemoteProtocolError, ServerError
from smallest_proto.events import UnknownMessage
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.lightning import (
    AudioChunk,
    EncodedAudio,
    LightningOptions,
    OutputFormat,
    SpeechComplete,
    SpeechEventsExchange,
    SpeechExchange,
    audio_event,
    done_event,
)
from smallest_proto.lightning.events import INVALID_AUDIO
from smallest_proto.lightning.http_request import OUTPUT_FORMATS
from smallest_proto.lightning.http_server import Framing
from smallest_proto.lightning.http_sniff import sniff
from smallest_proto.limits import Limits
from smallest_proto.wav import wav_file

OTHER_FILES = (b"fLaC", b"OggS", b"\x1f\x8b\x08", b"\x1a\x45\xdf\xa3")
TEXTS = (b"{" + b" " * 70, b"<html>" + b"a" * 70, b'{"error":"no"}', b"<p>no</p>\n")
PCM = st.binary(max_size=60).filter(lambda data: not data.startswith((*OTHER_FILES, b"{", b"<")))
CUTS = st.lists(st.integers(1, 25), min_size=1, max_size=6)
FRAMINGS = st.sampled_from(["current", "older", "nested"])


def events_of(exchange: HttpExchange, body: bytes, cuts: list[int], *, lost: bool = False) -> list[Any]:
    exchange.receive_head(200, [("x-request-id", "q")])
    at = turn = 0
    while at < len(body):
        exchange.receive_body(body[at : at + cuts[turn % len(cuts)]])
        at, turn = at + cuts[turn % len(cuts)], turn + 1
    if lost:
        exchange.receive_failure(ConnectionLost("gone"))
    else:
        exchange.receive_end()
    assert exchange.over
    return list(joined(exchange))


def mpeg(frames: int, *, version: int = 3, kbits: int = 9, rate: int = 0, padding: int = 0) -> bytes:
    """Silent layer III frames; 3 is MPEG-1. `kbits` and `rate` are the header's indices."""
    head = bytes([0xFF, 0xE3 | version << 3, kbits << 4 | rate << 2 | padding << 1, 0xC4])
    return (head + bytes(length(version, kbits, rate, padding) - 4)) * frames


def length(version: int, kbits: int, rate: int, padding: int) -> int:
    table = (
        "0 32 40 48 56 64 80 96 112 128 160 192 224 256 320"
        if version == 3
        else "0 8 16 24 32 40 48 56 64 80 96 112 128 144 160"
    )
    hertz = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}[version][rate]
    return int(table.split()[kbits]) * 1000 * (144 if version == 3 else 72) // hertz + padding


@given(PCM, CUTS, st.booleans())
def test_pcm_is_the_same_however_it_is_cut(pcm: bytes, cuts: list[int], wrapped: bool) -> None:
    whole = pcm[: len(pcm) // 2 * 2]
    body = wav_file(whole, 24000) if wrapped else pcm
    *audio, last = events_of(SpeechExchange(), body, cuts)
    assert audio == ([AudioChunk(pcm=whole, context_id="", request_id="q")] if whole else [])
    assert isinstance(last, SpeechComplete)
    assert (last.size, last.seconds) == (len(whole), len(whole) / 48000)
    assert last.container == ("wav" if wrapped else "raw" if pcm else None)


@given(PCM, CUTS, st.sampled_from(OTHER_FILES))
def test_another_file_is_none_however_it_is_cut(rest: bytes, cuts: list[int], magic: bytes) -> None:
    (last,) = events_of(SpeechExchange(), magic + rest, cuts)
    assert isinstance(last, RequestFailed)
    assert last.error.code == INVALID_AUDIO


@given(CUTS, st.sampled_from(TEXTS), st.sampled_from(OUTPUT_FORMATS))
def test_text_is_no_audio_however_it_is_cut(
    cuts: list[int], body: bytes, output_format: OutputFormat
) -> None:
    (last,) = events_of(SpeechExchange(output_format=output_format), body, cuts)
    assert isinstance(last, RequestFailed)
    assert last.error.code == INVALID_AUDIO


@given(PCM, CUTS, st.sampled_from(OUTPUT_FORMATS[1:]))
def test_other_formats_go_through_untouched(
    data: bytes, cuts: list[int], output_format: OutputFormat
) -> None:
    for body in (data, wav_file(data[: len(data) // 2 * 2], 8000), mpeg(2) + data):
        *audio, last = events_of(SpeechExchange(output_format=output_format), body, cuts)
        expected = EncodedAudio(data=body, output_format=output_format, request_id="q")
        assert audio == ([expected] if body else [])
        assert isinstance(last, SpeechComplete)
        assert (last.size, last.output_format) == (len(body), output_format)


def test_lengths_that_can_be_told() -> None:
    options = LightningOptions(sample_rate=8000)
    cases: list[tuple[OutputFormat, bytes, float | None]] = [
        ("ulaw", bytes(8000), 1.0),
        ("alaw", b"", 0.0),
        ("ulaw", wav_file(bytes(8000), 8000), 0.5),
        ("alaw", mpeg(2), None),
        ("mp3", mpeg(2), None),
        ("wav", bytes(8000), None),
        ("wav", b"RIFF\0\0\0\0WAVE", None),  # its format is missing
        ("wav", b"RIFF\0\0\0\0WAVEdata\2\0\0\0ab" + bytes(99), None),
        ("wav", wav_file(b"", 8000).replace(b"\x80\x3e\0\0", bytes(4)) + b"ab", None),  # 0 bytes a second
    ]
    for output_format, body, seconds in cases:
        for cut in (1, 10**6):
            last = events_of(SpeechExchange(options, output_format), body, [cut])[-1]
            assert isinstance(last, SpeechComplete)
            assert last.seconds == seconds, (output_format, body[:60])


@given(PCM, CUTS)
def test_a_body_that_breaks_off_fails(pcm: bytes, cuts: list[int]) -> None:
    last = events_of(SpeechExchange(), pcm, cuts, lost=True)[-1]
    assert last == RequestFailed(error=ConnectionLost("gone"))


@pytest.mark.parametrize(("version", "rate"), [(v, r) for v in (3, 2, 0) for r in range(3)])
@pytest.mark.parametrize("kbits", range(1, 15))
def test_mpeg_is_told_from_samples(version: int, rate: int, kbits: int) -> None:
    for padding in (0, 1):
        data = mpeg(2, version=version, kbits=kbits, rate=rate, padding=padding)
        one = len(data) // 2
        assert sniff(data) == sniff(data[: one + 4]) == "mp3"
        assert all(sniff(data[:n]) is None for n in range(one + 4))
        assert sniff(data[: one + 3], complete=True) == "raw"
        assert sniff(data[:one] + bytes(4)) == "raw"
        assert sniff(data[:one] + data[:2] + bytes([data[2] ^ 4]) + data[3:4]) == "raw"  # another rate
        assert sniff(data[:one] + bytes([0xFF, data[1] ^ 1]) + data[2:4]) == "raw"  # another header
        assert sniff(data[:one] + data[:2] + bytes([data[2] & 15 | 0xF0]) + data[3:4]) == "raw"  # no frame


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", None),
        (b"\xff", None),
        (b"\xff\xf3", None),
        (b"\xff\xf3\x80", None),
        (b"\xff\x01", "raw"),
        (b"\xff\xeb\x80\0", "raw"),  # a reserved version
        (b"\xff\xf5\x80\0", "raw"),  # layer II
        (b"\xff\xfb\x00\0", "raw"),  # free bit rate
        (b"\xff\xfb\xf0\0", "raw"),
        (b"\xff\xfb\x9c\0", "raw"),  # a reserved sample rate
        (b"ID", None),
        (b"ID3\x04\0\0\0\0\x7f", None),
        (b"ID3\x04\0\0\0\0\x7f\x7f", "mp3"),
        (b"ID3\xff", "raw"),
        (b"ID3\x04\0\0\x80", "raw"),
        (b"IE3", "raw"),
        (b"RIFF\0\0\0\0WAV", None),
        (b"RIFF\0\0\0\0WAVE", "wav"),
        (b"RIFF\0\0\0\0WAVX", "raw"),
        (b"\0", "raw"),
    ],
)
def test_first_bytes(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind
    assert sniff(head, complete=True) == (kind or "raw")


PIECES = st.lists(st.binary(max_size=9), max_size=6)


@given(PIECES, FRAMINGS, CUTS, st.booleans())
def test_events_are_the_same_however_they_are_cut(
    pieces: list[bytes], framing: Framing, cuts: list[int], crlf: bool
) -> None:
    even = [piece[: len(piece) // 2 * 2] for piece in pieces]
    body = b"".join([*(audio_event(piece, framing) for piece in even), done_event(framing)])
    body = body.replace(b"\n", b"\r\n") if crlf else body
    *audio, last = events_of(SpeechEventsExchange(), body, cuts)
    pcm = b"".join(even)
    assert audio == ([AudioChunk(pcm=pcm, context_id="", request_id="q")] if pcm else [])
    assert isinstance(last, SpeechComplete)
    assert (last.size, last.seconds, last.request_id) == (len(pcm), len(pcm) / 48000, "q")


@given(PCM, st.lists(st.integers(0, 60)), CUTS)
def test_samples_that_are_cut_between_events_are_whole_again(
    pcm: bytes, ats: list[int], cuts: list[int]
) -> None:
    pcm = pcm[: len(pcm) // 2 * 2]
    edges = [0, *sorted(ats), len(pcm)]
    body = b"".join(audio_event(pcm[a:b]) for a, b in pairwise(edges) if a < b) + done_event()
    audio = events_of(SpeechEventsExchange(), body, cuts)[:-1]
    assert b"".join(chunk.pcm for chunk in audio) == pcm


@given(PIECES, FRAMINGS, CUTS)
def test_events_without_an_end_fail(pieces: list[bytes], framing: Framing, cuts: list[int]) -> None:
    last = events_of(SpeechEventsExchange(), b"".join(audio_event(p, framing) for p in pieces), cuts)[-1]
    assert isinstance(last, RequestFailed)
    assert isinstance(last.error, ConnectionLost)
    assert last.error.retryable
    assert str(last.error) == "the server's event stream ended before it was done"


def test_the_end_is_told_at_once() -> None:
    exchange = SpeechEventsExchange()
    exchange.receive_head(200)
    exchange.receive_body(audio_event(b"ab") + done_event())
    assert exchange.over
    assert [type(event) for event in joined(exchange)] == [AudioChunk, SpeechComplete]


@pytest.mark.parametrize("body", [b"data: " + b"x" * 200 + b"\n", b"data: " + b"x" * 99, b"data:x\n" * 90])
def test_an_event_is_bounded(body: bytes) -> None:
    exchange = SpeechEventsExchange(limits=Limits(max_message_bytes=50))
    last = events_of(exchange, body, [7])[-1]
    assert isinstance(last, RequestFailed)
    assert isinstance(last.error, RemoteProtocolError)


VALUES = (
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=4)
    | st.just("AAA=")
    | st.lists(st.none())
)
FRAMES = st.dictionaries(
    st.sampled_from(["audio", "done", "status", "data", "error", "errors", "error_code", "type", "message"]),
    VALUES
    | st.dictionaries(st.sampled_from(["audio", "code"]), VALUES)
    | st.sampled_from(["chunk", "complete", "error"]),
).map(lambda value: b"data: " + json.dumps(value).encode() + b"\n\n")
LINES = st.lists(
    FRAMES | st.binary(max_size=9) | st.sampled_from([b"event: error\n", b"data: {\n", b"\n"])
).map(b"".join)


@given(st.integers(200, 299) | st.integers(300, 599), st.binary() | LINES, CUTS, st.booleans())
def test_any_response_ends_in_an_event(status: int, body: bytes, cuts: list[int], lost: bool) -> None:
    exchanges: list[HttpExchange] = [
        SpeechEventsExchange(),
        *(SpeechExchange(output_format=f) for f in OUTPUT_FORMATS),
    ]
    for exchange in exchanges:
        *before, last = events_of(exchange, body, cuts, lost=lost)
        assert isinstance(last, SpeechComplete | RequestFailed)
        assert all(isinstance(event, AudioChunk | EncodedAudio | UnknownMessage) for event in before)
        assert all(len(event.pcm) % 2 == 0 for event in before if isinstance(event, AudioChunk))
    refused = SpeechEventsExchange()
    refused.receive_head(status)
    refused.receive_body(body)
    refused.receive_end()
    if status >= 300:
        (last,) = joined(refused)
        assert isinstance(last, RequestFailed)
        assert isinstance(last.error, ServerError)
        assert (last.error.status, str(last.error)) == (
            status,
            f"the server answered with HTTP status {status}",
        )


@given(st.binary(max_size=8))
def test_damaged_audio_is_not_guessed_at(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    for damaged in (text[:-1] + "%", text + "A", "é" + text):
        body = b"data: " + json.dumps({"audio": damaged}).encode() + b"\n\n"
        last = events_of(SpeechEventsExchange(), body + done_event(), [10**6])[-1]
        assert isinstance(last, RequestFailed)
        assert last.error.code == "INVALID_AUDIO"
