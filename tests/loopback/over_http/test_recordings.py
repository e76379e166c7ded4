"""Recordings: transcribed, decoded, or refused."""

import sys
from io import BytesIO

import numpy as np
import pytest
import soundfile

from loopback.over_http.clients import BATCH, WAV, asked_once
from loopback.over_http.engines import Engine
from smallest_proto.pulse import BatchOptions, BatchPcm, BatchResult
from smallest_proto.wav import wav_file
from smallest_transports.asyncio import transcribe
from smallest_transports.loopback import serve
from sockets import run


@pytest.mark.parametrize(
    "target", [BATCH, "/waves/v1/pulse/get_text?language=en&word_timestamps=true", f"/any/prefix{BATCH}"]
)
def test_a_recording_is_transcribed(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)  # the plainest of files needs no package
    found = asked_once("POST", target, WAV, Content_Type="audio/wav")
    assert found.status == 200
    assert found.headers["x-request-id"]
    document = found.json
    assert isinstance(document, dict)
    assert document["transcription"] == "heard 2.0 seconds"
    assert [word["word"] for word in document["words"]] == ["heard", "2.0", "seconds"]
    assert [(u["text"], u["end"]) for u in document["utterances"]] == [("heard 2.0 seconds", 2.0)]
    assert document["metadata"] == {"duration": 2.0}
    assert "request_id" not in document


def test_pulse_pro_answers_in_its_own_shape() -> None:
    found = asked_once("POST", BATCH.replace("pulse", "pulse-pro", 1), WAV, Content_Type="audio/wav")
    document = found.json
    assert isinstance(document, dict)
    assert document["language"] == "en"
    assert document["request_id"]
    assert "utterances" not in document


def encoded(kind: str, channels: int = 1, rate: int = 16000, subtype: str | None = None) -> bytes:
    file = BytesIO()
    soundfile.write(file, np.zeros((rate * 2, channels)), rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        encoded("WAV", channels=2),
        encoded("WAV", subtype="FLOAT"),
        encoded("WAV", rate=11025),
        encoded("FLAC", rate=44100),
        encoded("OGG"),
        wav_file(bytes(64000), 16000)[:-1] + b"\0" + b"LIST\x04\0\0\0abcd",
    ],
    ids=["stereo", "float", "an odd rate", "flac", "ogg", "chunks after the samples"],
)
def test_other_recordings_are_decoded(data: bytes) -> None:
    found = asked_once("POST", BATCH, data, Content_Type="application/octet-stream")
    assert found.status == 200, found.body
    assert found.json["transcription"] == "heard 2.0 seconds"  # type: ignore[index]  # or it fails


NOT_SOUND = [
    b"no sound at all",
    b"RIFF",
    b"RIFF\0\0\0\0WAVE",
    wav_file(b"", 16000),
    WAV[:45],
    wav_file(b"\0\0", 3),
]


@pytest.mark.parametrize("data", NOT_SOUND)
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    found = asked_once("POST", BATCH, data, Content_Type="audio/wav")
    assert found.status == 400
    assert "the recording" in found.json["error"]  # type: ignore[index]  # or it fails


def test_a_recording_that_needs_a_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    found = asked_once("POST", BATCH, b"fLaC", Content_Type="audio/flac")
    assert found.status == 400
    assert "soundfile" in found.json["error"]  # type: ignore[index]  # or it fails


@pytest.mark.parametrize(
    ("query", "body", "content_type", "words"),
    [
        ("", b'{"url":"http://127.0.0.1/x.wav"}', "application/json", "fetches nothing"),
        ("&webhook_url=http://127.0.0.1/x", WAV, "audio/wav", "calls no webhook"),
        ("", b"", "audio/wav", "no audio"),
        ("", WAV, "text/plain", "file type"),
        ("", b"{}", "application/json", "url"),
    ],
)
def test_what_is_not_done_here_is_refused(query: str, body: bytes, content_type: str, words: str) -> None:
    found = asked_once("POST", BATCH + query, body, Content_Type=content_type)
    assert found.status == 400
    assert words in found.json["error"]  # type: ignore[index]  # or it fails


def test_an_unknown_language_is_no_business_of_the_servers_user() -> None:
    assert asked_once("POST", BATCH.replace("=en", "=tlh"), WAV, Content_Type="audio/wav").status == 200


def test_the_engine_is_told_what_was_asked() -> None:
    engine = Engine()

    async def main() -> None:
        async with serve(recognizer=engine) as server:
            for model, words in (("pulse", True), ("pulse", False), ("pulse-pro", True)):
                options = BatchOptions(model=model, word_timestamps=words)
                result = await transcribe(BatchPcm(bytes(200_000), 8000), options, base_url=server.url)
                assert isinstance(result, BatchResult)
                assert result.text == "all"

    run(main())
    assert [(s.sample_rate, s.word_timestamps, s.sentence_timestamps) for s in engine.setups] == [
        (8000, True, True),
        (8000, False, False),
        (8000, True, False),
    ]
    assert engine.calls[:7] == ["open", *["feed"] * 4, "finish", "close"]
