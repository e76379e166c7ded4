"""Plays the vectors of `tests/vectors/http`: one request over HTTP each; the format is in the README there."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from smallest_proto.errors import ConnectionLost
from smallest_proto.events import NEED_DATA, Event
from smallest_proto.exchange import HttpExchange
from smallest_proto.http_reply import HttpReply
from smallest_proto.http_request import HttpRequest
from smallest_proto.lightning import (
    LightningOptions,
    SpeechEventsExchange,
    SpeechExchange,
    Voice,
    VoicesExchange,
    audio_event,
    busy_refusal,
    deprecated_refusal,
    done_event,
    error_event,
    speech_asked,
    speech_request,
    speech_stream_request,
    voice_refusal,
    voices_asked,
    voices_reply,
    voices_request,
)
from smallest_proto.pulse import (
    BatchAccepted,
    BatchAudio,
    BatchExchange,
    BatchOptions,
    BatchPcm,
    BatchRefusal,
    BatchResult,
    BatchUrl,
    batch_accepted_reply,
    batch_asked,
    batch_refusal,
    batch_reply,
    batch_request,
    failed_webhook_body,
    parse_webhook,
    webhook_body,
)
from vectors_runner import mismatch, to_json

VECTORS = Path(__file__).parent / "vectors" / "http"


def load(*protocols: str) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text("utf-8")) | {"path": path} for path in sorted(VECTORS.glob("*.json"))]
    assert all(v["id"] == v.pop("path").stem for v in found)
    return [v for v in found if v["protocol"] in protocols]


def cases(*protocols: str) -> Iterator[tuple[dict[str, Any], str]]:
    for vector in load(*protocols):
        for variant in vector["events"]:
            yield vector, variant


def content(body: Mapping[str, Any]) -> bytes:
    """The bytes that a body in a vector stands for."""
    match body:
        case {"json": value}:
            return json.dumps(value, ensure_ascii=False).encode()
        case {"text": text}:
            return str(text).encode()
        case {"base64": data}:
            return base64.b64decode(data)
        case {"zeros": count}:
            return bytes(count)
    raise AssertionError(f"a body that means nothing: {body}")


def options(vector: Mapping[str, Any], variant: str) -> Any:
    batch = vector["protocol"] in ("batch", "webhook")
    given = {**vector["options"], "compat": variant} if batch else vector["options"]
    return msgspec.convert(given, BatchOptions if batch else LightningOptions)


def request(vector: Mapping[str, Any], variant: str) -> HttpRequest:
    """What the client asks."""
    settings, ask = options(vector, variant), vector.get("ask", {})
    match vector["protocol"], ask:
        case "batch", {"url": url}:
            return batch_request(BatchUrl(url), settings, api_key=None)
        case "batch", {"pcm": pcm, "sample_rate": rate}:
            return batch_request(BatchPcm(base64.b64decode(pcm), rate), settings, api_key=None)
        case "batch", {"file": data}:
            source = BatchAudio(
                base64.b64decode(data), *([ask["content_type"]] if "content_type" in ask else [])
            )
            return batch_request(source, settings, api_key=None)
        case "speech", {"text": text}:
            return speech_request(text, settings, output_format=ask.get("output_format", "pcm"), api_key=None)
        case "speech_events", {"text": text}:
            return speech_stream_request(text, settings, api_key=None)
        case "voices", _:
            return voices_request(api_key=None)
    raise AssertionError(f"a request that means nothing: {ask}")


def check_request(vector: Mapping[str, Any], variant: str) -> None:
    """The client writes this request, and the server end reads out of it what was asked."""
    expected, made = vector["request"], request(vector, variant)
    sent = {"method": made.method, "target": made.target}
    assert sent == {name: expected[name] for name in sent}, sent
    headers = {name.lower(): value for name, value in made.headers}
    assert headers.items() >= expected.get("headers", {}).items(), headers
    if "json" in expected.get("body", {}):
        assert list(json.loads(made.body).items()) == list(expected["body"]["json"].items())
    else:
        assert made.body == content(expected.get("body", {"zeros": 0}))
    lower = [(name.lower(), value) for name, value in made.headers]
    asked: Any
    if vector["protocol"] == "batch":
        asked = batch_asked(made.method, made.target, lower, made.body)
    elif vector["protocol"] == "voices":
        asked = voices_asked(made.method, made.target)
    else:
        asked = speech_asked(made.method, made.target, lower, made.body)
    wrong = mismatch(vector["asked"], to_json(asked))
    assert wrong is None, f"{vector['id']}: asked{wrong}"


_EXCHANGES: Mapping[str, Callable[[Any, Mapping[str, Any]], HttpExchange]] = {
    "batch": lambda settings, _: BatchExchange(settings),
    "speech": lambda settings, ask: SpeechExchange(settings, ask.get("output_format", "pcm")),
    "speech_events": lambda settings, _: SpeechEventsExchange(settings),
    "voices": lambda *_: VoicesExchange(),
}


def exchange_for(vector: Mapping[str, Any], settings: Any) -> HttpExchange:
    """The machine that reads the response of this vector."""
    return _EXCHANGES[vector["protocol"]](settings, vector.get("ask", {}))


def play(vector: Mapping[str, Any], variant: str, cut: int) -> list[dict[str, Any]]:
    """The events for the response, its body cut into pieces of that many bytes."""
    settings, response = options(vector, variant), vector["response"]
    body = content(response.get("body", {"zeros": 0}))
    if vector["protocol"] == "webhook":
        return [to_json(parse_webhook(body, settings))]
    exchange = exchange_for(vector, settings)
    if "status" in response:
        exchange.receive_head(response["status"], response.get("headers", {}).items())
        for start in range(0, len(body), cut):
            exchange.receive_body(body[start : start + cut])
    if response.get("end") == "lost":
        exchange.receive_failure(ConnectionLost("the connection ended early"))
    else:
        exchange.receive_end()
    assert exchange.over
    return [to_json(event) for event in joined(exchange)]


def joined(exchange: HttpExchange) -> list[Event]:
    """The events, audio that lies side by side made one: how it is cut means nothing."""
    events: list[Any] = []
    while (event := exchange.next_event()) is not NEED_DATA:
        last: Any = events[-1] if events else None
        audio = {"AudioChunk": "pcm", "EncodedAudio": "data"}.get(type(event).__name__)
        if audio is not None and type(last) is type(event):
            event = msgspec.structs.replace(last, **{audio: getattr(last, audio) + getattr(event, audio)})
            events.pop()
        events.append(event)
    return events


def check(vector: Mapping[str, Any], variant: str, cut: int) -> None:
    actual, expected = play(vector, variant, cut), vector["events"][variant]
    assert [e["type"] for e in actual] == [e["type"] for e in expected], actual
    for number, (e, a) in enumerate(zip(expected, actual, strict=True)):
        wrong = mismatch(e, a)
        assert wrong is None, f"{vector['id']}: event {number}{wrong}"


def check_reply(vector: Mapping[str, Any], variant: str) -> None:
    """The server end writes this response."""
    settings, response = options(vector, variant), vector["response"]
    written = _written(vector["reply"], settings)
    if isinstance(written, HttpReply):
        headers = {name.lower(): value for name, value in written.headers}
        assert written.status == response["status"]
        assert headers.items() >= {k.lower(): v for k, v in response.get("headers", {}).items()}.items()
        written = written.body
    if "json" in response["body"]:
        assert json.loads(written) == response["body"]["json"]
    else:
        assert written.decode() == response["body"]["text"]


def _written(reply: Mapping[str, Any], settings: Any) -> HttpReply | bytes:
    match reply:
        case {"refusal": case, "endpoint": endpoint, **facts}:
            return batch_refusal(BatchRefusal[case], endpoint, **facts)
        case {"result": fields}:
            return batch_reply(msgspec.convert(fields, BatchResult), settings)
        case {"accepted": request_id}:
            return batch_accepted_reply(BatchAccepted(request_id=request_id).request_id)
        case {"webhook": fields}:
            return webhook_body(msgspec.convert(fields, BatchResult), settings)
        case {"failed_webhook": request_id}:
            return failed_webhook_body(request_id)
        case {"voices": voices}:
            return voices_reply(msgspec.convert(voices, list[Voice]))
        case {"events": pieces, "framing": framing}:
            audio = [audio_event(base64.b64decode(piece), framing) for piece in pieces]
            return b"".join([*audio, done_event(framing)])
        case {"error_event": [message, code]}:
            return error_event(message, code)
        case {"voice": _}:
            return voice_refusal()
        case {"deprecated": endpoint}:
            return deprecated_refusal(endpoint)
        case {"busy": seconds}:
            return busy_refusal(seconds)
        case {"asked": body}:
            asked = speech_asked("POST", "/tts", (), content({"json": body}))
            assert isinstance(asked, HttpReply)
            return asked
    raise AssertionError(f"a reply that means nothing: {reply}")
