"""Speech over HTTP and SSE: its formats, its framing, and when it leaves."""

import json
import sys
import threading
from collections.abc import Iterator

import pytest

from loopback.over_http.clients import SPEAK, asked_once
from loopback.over_http.engines import Voice
from smallest_proto.lightning import AudioChunk
from smallest_transports.asyncio import synthesize
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.base import Speech, SynthesizerSetup
from sockets import run


@pytest.mark.parametrize("output_format", ["pcm", "wav", "mp3", "ulaw", "alaw"])
def test_the_type_is_what_the_service_says_of_every_format(output_format: str) -> None:
    body = json.dumps({**json.loads(SPEAK), "output_format": output_format, "request_id": "mine"}).encode()
    found = asked_once("POST", "/waves/v1/tts", body)
    assert (found.status, found.headers["content-type"]) == (200, "audio/wav")
    assert found.headers["x-external-request-id"] == "mine"
    assert found.headers["x-request-id"]
    assert found.headers["transfer-encoding"] == "chunked"
    assert found.body


@pytest.mark.parametrize("output_format", ["mp3", "ulaw", "alaw"])
def test_a_format_that_needs_a_package_says_so(output_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    body = json.dumps({**json.loads(SPEAK), "output_format": output_format}).encode()
    found = asked_once("POST", "/waves/v1/tts", body)
    assert found.status == 400
    assert "soundfile" in found.json["message"]  # type: ignore[index]  # or it fails


def test_events_are_in_the_current_framing() -> None:
    found = asked_once("POST", "/waves/v1/tts/live", SPEAK)
    assert found.headers["content-type"] == "text/event-stream"
    assert found.body.startswith(b"event: audio\n")
    assert b'"done":true' in found.body.split(b"\n\n")[-2]


def test_audio_leaves_as_it_is_made() -> None:
    held, spoken = threading.Event(), threading.Event()

    class Hesitant(Voice):
        def speak(self, setup: SynthesizerSetup, text: str) -> Iterator[Speech]:
            yield Speech(bytes(100))
            spoken.set()
            held.wait(10)
            yield Speech(bytes(60))

    async def main() -> None:
        async with serve(synthesizer=Hesitant()) as server:
            for via in ("http", "sse"):
                held.clear()
                async with synthesize("Hi", via=via, base_url=server.url) as speech:
                    assert isinstance(await anext(speech), AudioChunk)
                    held.set()
                    assert len([event async for event in speech]) >= 1

    run(main(), within=5)


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'{"text":"Hi"}', b'{"text":" ","voice_id":"x"}'])
def test_bad_requests_to_speak(body: bytes) -> None:
    assert asked_once("POST", "/waves/v1/tts", body).status == 400
