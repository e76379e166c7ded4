"""What a server reads from the requests of HTTP clients, and from the webhooks of a service."""

from __future__ import annotations

import warnings

import msgspec

from fuzz import invariants, scenario
from smallest_proto.http_reply import HttpReply
from smallest_proto.lightning.http_server import SpeechAsked, speech_asked, speech_headers
from smallest_proto.lightning.voices import voices_asked
from smallest_proto.pulse.batch_decode import parse_webhook
from smallest_proto.pulse.batch_request import BatchUrl
from smallest_proto.pulse.batch_result import BatchResult
from smallest_proto.pulse.batch_server import BatchAsked, batch_asked, batch_reply, webhook_body
from smallest_proto.wire.http_server import HttpServerWire

TABLE: scenario.Table = {
    "method": ("POST", "GET"),
    "type": ("application/json", "audio/wav", "text/plain", ""),
}


def fuzz(data: bytes) -> None:
    """After the settings come the target, a line break, and the body. Something sensible, or a refusal."""
    settings, rest = scenario.split(data, TABLE)
    line, _, body = rest.partition(b"\n")
    target, method = scenario.text(line), settings["method"]
    headers = (("content-type", settings["type"]),)
    voices_asked(method, target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        look(batch_asked(method, target, headers, body))
        look(speech_asked(method, target, headers, body))
    webhook(body)


def look(found: BatchAsked | SpeechAsked | HttpReply | None) -> None:
    """What was understood makes sense."""
    if isinstance(found, HttpReply):
        assert found.status == 400
        assert isinstance(msgspec.json.decode(found.body), dict)
    elif isinstance(found, SpeechAsked):
        assert found.text.strip()
        sendable(speech_headers(found, request_id="r", session_id="s"))
    elif isinstance(found, BatchAsked):
        assert bool(found.audio) is (found.url is None)
        if found.url is not None:
            BatchUrl(found.url)


def sendable(headers: tuple[tuple[str, str], ...]) -> None:
    """An answer can carry these headers."""
    wire = HttpServerWire()
    wire.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    wire.respond(200, 0.0, headers, b"")


def webhook(body: bytes) -> None:
    """A result can be sent on, and is then read as it was."""
    found = parse_webhook(body)
    if not isinstance(found, BatchResult):
        invariants.clean_error(found)
        return
    assert isinstance(msgspec.json.decode(batch_reply(found).body), dict)
    again = parse_webhook(webhook_body(found))
    assert isinstance(again, BatchResult)
    assert again.text == found.text
