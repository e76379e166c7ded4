"""Bodies that are not what was asked for: told apart to the byte, and called by their names."""

from __future__ import annotations

import pytest

from smallest_proto.errors import ConnectionLost, RemoteProtocolError, ServerError
from smallest_proto.events import NEED_DATA
from smallest_proto.exchange import HttpExchange, RequestFailed
from smallest_proto.lightning import OutputFormat, SpeechExchange, VoicesExchange
from smallest_proto.lightning.events import INVALID_AUDIO
from smallest_proto.lightning.http_sniff import sniff
from smallest_proto.limits import Limits
from smallest_proto.wav import wav_file

MPEG = (b"\xff\xf3\x64\xc4" + bytes(140)) * 2  # 48 kbit/s at 24 kHz
PAGE = b"<html>" + b"." * 58


def failure(exchange: HttpExchange, body: bytes) -> Exception:
    exchange.receive_head(200, [("X-Request-Id", "r")])
    exchange.receive_body(body)
    exchange.receive_end()
    event = exchange.next_event()
    assert isinstance(event, RequestFailed)
    assert exchange.next_event() is NEED_DATA
    return event.error


@pytest.mark.parametrize(
    ("body", "output_format", "text"),
    [
        (MPEG, "pcm", "MPEG audio where PCM was asked for"),
        (b"fLaC", "pcm", "FLAC where PCM was asked for"),
        (b"OggS", "pcm", "an Ogg file where PCM was asked for"),
        (b"\x1a\x45\xdf\xa3", "pcm", "a WebM file where PCM was asked for"),
        (b"\x1f\x8b\x08", "pcm", "something compressed with gzip where PCM was asked for"),
        (b"\x1f\x8b\x08", "wav", "something compressed with gzip where wav was asked for"),
        (PAGE, "pcm", "text where PCM was asked for"),
        (PAGE, "mp3", "text where mp3 was asked for"),
        (b"<p>no</p> \n", "ulaw", "text where ulaw was asked for"),
        (wav_file(bytes(4), 8000), "pcm", "a WAV file of other than the PCM that was asked for"),
        (
            b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd",
            "pcm",
            "a WAV file that cannot be read where PCM was asked for",
        ),
    ],
)
def test_what_came_is_named(body: bytes, output_format: OutputFormat, text: str) -> None:
    error = failure(SpeechExchange(output_format=output_format), body)
    assert isinstance(error, ServerError)
    assert (str(error), error.code, error.retryable) == (f"the server sent {text}", INVALID_AUDIO, True)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", None),
        (b"<", None),
        (PAGE[:63], None),
        (PAGE, "text"),
        (b"{\t\n\r ~" + bytes([32]) * 58, "text"),
        (b"{" + b"\x7f" * 63, "raw"),
        (b"{\x1f", "raw"),
        (b"fLa", None),
        (b"fLaX", "raw"),
    ],
)
def test_what_the_first_bytes_tell(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


def test_the_end_makes_a_short_text_one() -> None:
    assert sniff(b'{"error":"no"}\n', complete=True) == "text"
    assert sniff(b"{ no end", complete=True) == "raw"
    assert sniff(b"fLa", complete=True) == "raw"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"x", "a catalogue of voices was expected, and the answer is not JSON"),
        (b"{}", "a catalogue of voices was expected, and the answer has none"),
        (b'{"error":""}', "a catalogue of voices was expected, and the answer has none"),
        (b'{"error_code":"X"}', "the server reported an error"),
    ],
)
def test_what_is_no_catalogue(body: bytes, text: str) -> None:
    error = failure(VoicesExchange(), body)
    assert str(error) == text
    if isinstance(error, ServerError):
        assert (error.code, error.request_id) == ("X", "r")


def test_an_answer_beyond_the_limit() -> None:
    error = failure(VoicesExchange(limits=Limits(max_message_bytes=3)), b"[1, 2]")
    assert isinstance(error, RemoteProtocolError)
    assert (str(error), error.status) == ("the server's answer is longer than max_message_bytes", 200)


def test_no_answer_at_all() -> None:
    exchange = SpeechExchange()
    exchange.receive_end()
    assert exchange.next_event() == RequestFailed(
        error=ConnectionLost("the exchange ended without a response")
    )
