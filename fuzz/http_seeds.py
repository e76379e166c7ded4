"""Seeds for the targets of HTTP: requests, answers and bodies, as documented and as broken."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping

from fuzz.more_seeds import ERRORS
from smallest_proto.wav import wav_file

AUDIO = base64.b64encode(bytes(range(12))).decode()
TRANSCRIPTS = (
    {
        "status": "success",
        "transcription": "Hi Ana. Hello.",
        "words": [
            {
                "start": 0.1,
                "end": 0.4,
                "speaker": 0,
                "speaker_confidence": 0.99,
                "word": "Hi",
                "confidence": 0.96,
            },
            {"start": 1.2, "end": 1.7, "speaker": "speaker_1", "word": "Hello.", "confidence": 0.97},
        ],
        "utterances": [{"start": 0.1, "end": 0.8, "speaker": 0, "text": "Hi Ana."}],
        "metadata": {"duration": 1.9, "fileSize": 60844, "filename": "call.wav"},
    },
    {
        "status": "success",
        "transcription": "Nine percent.",
        "language": "en",
        "metadata": {"duration": 3.02, "rtfx": 30.7},
        "request_id": "0b1c",
        "emotions": {"happy": 0.4, "sad": "x"},
        "gender": "female",
        "case": "42",
    },
    {"transcript": "old", "audio_length": "2.5", "words": None},
    {"status": "processing", "request_id": "f3a1"},
    {"status": "failed", "request_id": "f3a1"},
)
"""[openapi stt], [openapi pulse], [docs webhooks]"""

VOICES = {
    "voices": [{"voiceId": "sophia", "displayName": "Sophia", "tags": {"language": ["english"], "age": 1}}, 7]
}
STREAMS = (
    f'event: audio\ndata: {{"audio":"{AUDIO}","done":false,"status":"206"}}\n\n'
    'data: {"status":"200","done":true}\n\n',
    f'data: {{"audio":"{AUDIO}"}}\r\n\r\n: comment\r\ndata: {{"done":true}}\r\n\r\n',
    f'\ufeffid: 1\rdata: {{"status":"chunk",\rdata: "data":{{"audio":"{AUDIO}"}}}}\r\rdata: {{"status":"complete"}}',
    'event: error\ndata: {"error":"no"}\n\n',
    "event: error\ndata: it broke\n\n",
    'data: {"audio":"!"}\n\ndata: {"status":"error","message":"x"}\n\ndata\nevent\n\nretry: 5\n\n',
)
FILES = (
    wav_file(bytes(range(10)), 24000),
    wav_file(bytes(range(10)), 8000)[:30],
    wav_file(b"ab", 24000).replace(b"WAVE", b"WAVELIST\x03\0\0\0abc\0"),
    wav_file(b"abcd", 24000)[:40] + b"\xff\xff\xff\xffabcdef",
    wav_file(b"abcd", 24000).replace(b"\x10\0\0\0\x01\0", b"\x10\0\0\0\xfe\xff"),
    b"RIFF\0\0\0\0WAVEdata\x04\0\0\0abcd",
    b"ID3\x04\0\0\0\0\0\x0aabc",
    b"\xff\xf3\x14\xc4" + bytes(44) + b"\xff\xf3\x14\xc4" + bytes(8),
    bytes(range(20)),
)
_HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = (
    _HEAD + b"Content-Length: 5\r\n\r\nhello\n%%\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX: y\r\n\r\n",
    _HEAD + b"\r\nto the end",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\n"
    + _HEAD
    + b"Content-Length: 1\r\n\r\nx",
    _HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nhi",
    _HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _HEAD + b"Content-Length: 2\r\n\r\nhi and more",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No\r\n\r\n\n%%\nHTTP/1.1 304 No\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    b'HTTP/1.1 401 No\r\nContent-Length: 25\r\n\r\n{"message":"sk_0123456789abcdef"}',
    _HEAD + b"A: b\r\n" * 7 + b"\r\n",
    _HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n",
    b"nonsense\r\n\r\n",
)
REQUESTS = (
    b"POST /stt/?model=pulse&language=en HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /tts HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    b"HEAD /a HTTP/1.0\r\n\r\n",
    b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n" + b"x" * 300,
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01",
)
ASKED = (
    b'/waves/v1/tts\n{"text":"Hi.","voice_id":"meher","output_format":"mp3","request_id":"a b"}',
    b'/tts/live\n{"text":"Hi.","voice_id":"meher","speed":3}',
    b"/stt/?model=pulse&language=en&diarize=true&webhook_url=https://a.example/cb&webhook_extra=case:42\nRIFF",
    b'/stt/?model=pulse&language=en\n{"url":"https://a.example/x.wav"}',
    b"/pulse/get_text?sample_rate=16000&punctuate=true\nRIFF",
    b"/stt/?model=pulse-pro\nx",
)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


_RESPONSES = (
    *(b"%d0%d00\nx-request-id: 3f\n\n" % (kind, 1) + _json(t) for kind in (0, 1) for t in TRANSCRIPTS),
    *(b"0%d210\nretry-after: 2\n\n" % (3 + i % 7) + _json(error) for i, (_, error) in enumerate(ERRORS)),
    b"20000\n\n\n" + _json(VOICES),
    *(b"30%d00\n\n\n" % (i % 4) + stream.encode() for i, stream in enumerate(STREAMS)),
    *(b"%d0%d00\nx-session-id: s\n\n" % (kind, kind % 4) + file for kind in (4, 5, 6, 7) for file in FILES),
    b"30201\n\n\n" + STREAMS[0].encode()[:60],
)

SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "http_client_bytes": tuple(
        b"%d%d%d%d\n" % (i % 5, limits, (i + limits) % 3, (i + 2 * limits) % 3) + data
        for limits in (0, 1)
        for i, data in enumerate(ANSWERS)
    ),
    "http_server_bytes": tuple(
        b"%d%d%d%d%d\n" % (i % 5, limits, i % 3, when, (i + when) % 3) + data
        for limits in (0, 1)
        for when in (0, 1, 2)
        for i, data in enumerate(REQUESTS)
    ),
    "http_responses": _RESPONSES,
    "http_requests": (
        *(b"00\n" + data for data in ASKED),
        *(b"01\n" + data for data in ASKED),
        *(b"00\n/stt/?model=pulse&language=en\n" + _json(t) for t in TRANSCRIPTS),
    ),
    "sse_bytes": tuple(b"%d%d\n" % (i % 4, i % 2) + stream.encode() for i, stream in enumerate(STREAMS)),
    "wav_bytes": tuple(b"%d\n" % (i % 4) + file for i, file in enumerate(FILES)),
}
"""Settings lines are those of the targets' tables."""
