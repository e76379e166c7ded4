"""Seeds that no session vector holds: answers to upgrades, errors of HTTP, URLs, odd options, odd frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fuzz.messages import pack
from fuzz.wires import ANSWER, REQUEST

ERRORS: tuple[tuple[int, object], ...] = (
    (400, {"error": "Pulse Pro cannot stream; use the HTTP endpoint", "request_id": "6f0e"}),
    (401, {"message": "Unauthorized: No tokens provided"}),
    (401, {"error": "unauthorized"}),
    (429, {"error": "Rate limit exceeded", "request_id": "6f10"}),
    (413, {"error": "File size exceeds maximum limit of 250MB.", "request_id": "87dd"}),
    (400, {"errors": "Audio data too large", "status": "error", "message": "Error handling audio data"}),
    (
        400,
        {
            "status": "error",
            "error_code": "LANGUAGE_NOT_ENABLED_IN_REGION",
            "message": "not enabled here",
            "language": "multi-asian",
            "region": "ap-south-1",
        },
    ),
    (400, {"status": False, "errors": ["Your plan has no access to this model"]}),
    (
        400,
        {
            "error": [
                {
                    "code": "invalid_enum_value",
                    "options": ["wav", "ulaw", 1, True],
                    "path": ["output_format", 0],
                    "message": "Invalid enum value",
                }
            ]
        },
    ),
    (400, {"error": [{"code": "custom", "path": "voice_id", "message": "Invalid Voice ID"}]}),
    (400, {"error": "InvalidRequest", "message": "text is required"}),
    (410, {"status": "error", "error_code": "MODEL_DEPRECATED", "recommended_endpoint": "/x/get_speech"}),
    (
        400,
        {"error": {"message": "Text rejected", "code": 7, "details": ["a", {"path": "b", "message": "c"}]}},
    ),
    (502, "Bad Gateway"),
)
"""Bodies of refusals [asyncapi stt-live], [openapi stt], [openapi tts], [probe tts], with the status of each."""

HEADERS = (
    b":retry-after: 2",
    b":retry-after: Wed, 21 Oct 2026 07:28:00 GMT\n:date: Wed, 21 Oct 2026 07:27:00 GMT",
    b":retry-after: Wed, 31 Feb 2026 07:28:00 GMT\n:x-request-id: 9f",
    b":retry-after: 1e9\n:x-request-id:",
)


def _body(error: object) -> bytes:
    return json.dumps(error, separators=(",", ":")).encode()


def _answer(status: int, error: object) -> bytes:
    body = _body(error)
    head = f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\nRetry-After: 2\r\n\r\n"
    return head.encode() + body


def _frame(opcode: int, payload: bytes = b"", *, mask: bool = False, fin: bool = True, rsv: int = 0) -> bytes:
    head = bytes([fin << 7 | rsv << 4 | opcode, mask << 7 | len(payload)])
    return head + (b"\0\0\0\0" if mask else b"") + payload


def _frames(mask: bool) -> tuple[bytes, ...]:
    def f(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> bytes:
        return _frame(opcode, payload, mask=mask, fin=fin, rsv=rsv)

    return (
        f(1, b'{"type":', fin=False) + f(9, b"p") + f(0, b'"pong"}') + f(10, b"p") + f(8, b"\x03\xe8"),
        f(1, "ü".encode()[:1], fin=False) + f(0, "ü".encode()[1:]) + f(2, b"\x00\x01") + f(8),
        f(1, b"{}", rsv=4),
        f(1, b"\xed\xa0\x80"),
        f(0, b"x"),
        f(1, b"a", fin=False) + f(1, b"b"),
        f(9, b"x", fin=False),
        f(8, b"\x03"),
        f(8, b"\x03\xed"),
        f(1, b"", fin=False) + f(0, b"", fin=False) * 6,
        f(2, b"x" * 120) * 3,
        bytes([0x81, 0x7F | mask << 7]) + (1 << 40).to_bytes(8, "big"),
        bytes([0x81, 0x7E | mask << 7, 0, 5]) + b"hello hello",
        _frame(1, b"{}", mask=not mask),
    )


_UPGRADES = (
    ANSWER + _frame(1, b'{"type":"pong"}'),
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + ANSWER,
    ANSWER.replace(b"\r\n", b"\n"),
    ANSWER.replace(b"ICX+", b"ICX-"),
    ANSWER.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    ANSWER.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: x\r\n\r\n"),
    b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n40;x=y\r\n"
    + b"b" * 64
    + b"\r\n0\r\n\r\n",
    b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.0 404 No\r\n\r\nto the end of the stream",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
    b"\x16\x03\x01 TLS",
    b"\r\n\r\n",
    *(_answer(status, error) for status, error in ERRORS),
)
_REQUESTS = (
    REQUEST,
    REQUEST.replace(b"\r\n", b"\n"),
    REQUEST.replace(b"Version: 13", b"Version: 8"),
    REQUEST.replace(b"HTTP/1.1", b"HTTP/1.0"),
    REQUEST.replace(b"Upgrade: websocket\r\n", b""),
    REQUEST.replace(b"AAAA==", b"AAA="),
    REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc"),
    b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
)

_PULSE: tuple[dict[str, Any], ...] = (
    {
        "type": "transcription",
        "transcript": "Hi there.",
        "is_final": True,
        "words": [{"word": "x", "start": 0.5}],
    },
    {"type": "speech_started", "timestamp": 0.5, "session_id": "x"},
    {"status": "error", "error_code": "x", "message": "Hi there."},
)
_LIGHTNING: tuple[dict[str, Any], ...] = (
    {"status": "chunk", "request_id": "task_1", "data": {"audio": "AAABAA=="}},
    {
        "status": "word_timestamp",
        "request_id": "x",
        "data": {"word": "x", "start": 0.5, "end": 0.5, "id": 24000},
    },
    {"status": "complete", "request_id": "x"},
    {"status": "error", "error": {"message": "x", "code": 24000, "details": [1]}},
)
_ASKED: tuple[dict[str, Any], ...] = (
    {"voice_id": "x", "text": "Hi there.", "context_id": "x", "continue": True, "sample_rate": 24000},
    {"voice_id": "x", "text": "", "flush": True, "content_filter": {"enabled": True, "action": "reject"}},
)


def _packed(line: bytes, messages: tuple[dict[str, Any], ...]) -> tuple[bytes, ...]:
    return tuple(line + b"\nj" + pack(message) for message in messages)


SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "pulse_messages": _packed(b"0", _PULSE),
    "pulse_server": _packed(b"0", ({"type": "finalize"}, {"type": "keepalive"}, {"type": "close_stream"})),
    "lightning_messages": _packed(b"0\n!tHello. \n!f", _LIGHTNING),
    "lightning_server": _packed(b"0", _ASKED),
    "websocket_client_bytes": (
        *(b"00010%d\n" % 0 + data for data in _frames(mask=False)),
        *(b"10%d110\n" % (i % 2) + data for i, data in enumerate(_frames(mask=False))),
        *(b"210011\n" + data for data in _UPGRADES),
        *(b"4111%d0\n" % (i % 3) + data for i, data in enumerate(_UPGRADES)),
    ),
    "websocket_server_bytes": (
        *(b"1000%d%d\n" % (i % 3, i % 4) + data for i, data in enumerate(_frames(mask=True))),
        *(b"30%d110\n" % (i % 2) + data for i, data in enumerate(_frames(mask=True))),
        *(b"41000%d\n" % (i % 4) + data for i, data in enumerate(_REQUESTS)),
        b"1101%b1\n" % b"0" + REQUEST + _frame(1, b'{"type":"keepalive"}', mask=True) * 3,
    ),
    "error_shapes": (
        *_packed(b"30", (*_PULSE, *_LIGHTNING)),
        *(b"%c0\n" % (48 + i) + _body(error) for i, (_, error) in enumerate(ERRORS)),
        *(b"83\n" + header + b"\n{}" for header in HEADERS),
        b"03\nxtoo many sessions",
    ),
    "urls_and_headers": (
        b"0\nuwss://api.us.smallest.ai/waves/v1/\nksk_0123456789abcdef\n:X-Trace:1\nqtimeout:5",
        b"1\nuhttp://[::1]:8080\nqlanguage:en\nqkeywords:Jensen Huang:2",
        b"2\nuws://localhost:99999",
        b"3\nuhttps://u:p@h/?q#f\nk \xff\n:Host:x\n:a b:c\n:X:\r\ny",
        b"0\n/tts/live?timeout=0\n/stt/live?model=pulse-pro\n/pulse/get_text?keywords=a:b:c&sample_rate=7",
        b"0\n/a/transcribe?model=pulse&eou_timeout_ms=0&vad_threshold=nan&max_words=%F0",
    ),
    "options": (
        b'0\nkeywords([["a",2],"b"]\nlanguage="zh"\nextra{name "value"',
        b'0\nendpoint="live"\nmodel="pulse-pro"\nkeepalive_interval=0\nvad_threshold=1e-7',
        b'0\neou_timeout_ms=0\nexternal_session_id="a.b"\nnumerals="auto"\npacket_ms=20',
        b'1\ntext_mode="segment"\nextra{k [1,{"a":null}]\npronunciation_dicts(["d"]\ncontent_filter="flag"',
        b'1\nvoice_id="x"\nspeed=2\nidle_timeout=5\nlinger=0\nkeepalive_interval~13',
        b"2\nmax_message_bytes=1\nclose_timeout=null\ndrain_timeout~8",
    ),
}
"""Settings lines are those of the targets' tables."""
