"""Inputs made to hurt: `python -m fuzz.hostile` shows how each ends, and how far memory grew meanwhile.

Growth is that of the process' resident memory at its peak, where Linux tells it, and of traced allocations
elsewhere. What the input itself takes is not counted.
"""

from __future__ import annotations

import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from fuzz import wires
from smallest_proto import Event, Role
from smallest_proto.events import NEED_DATA, ConnectionClosed, UnknownMessage
from smallest_proto.http_request import http_request
from smallest_proto.lightning import LightningConnection, LightningOptions, Speak
from smallest_proto.lightning.events import ContextFailed
from smallest_proto.message_layer import MessageLayer
from smallest_proto.pulse import PulseConnection, PulseOptions
from smallest_proto.wire.http_client import HttpWire
from smallest_proto.wire.http_events import ExchangeFailed
from smallest_proto.wire.http_server import HttpServerWire
from smallest_proto.wire.websocket import WebSocketServerWire, WebSocketWire

MEGABYTE = 1 << 20
MOST_GROWTH = 32 * MEGABYTE
HEAD = b"HTTP/1.1 200 OK\r\n"
TOO_LONG = "max_handshake_bytes"
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Case(NamedTuple):
    """An input, who meets it, and words that stand in each outcome."""

    name: str
    data: bytes
    meet: Callable[[bytes], Iterator[Event]]
    outcome: str


def frame(data: bytes, first: int = 0x81) -> bytes:
    """A frame of a server with this first byte."""
    size = bytes([len(data)]) if len(data) < 126 else b"\x7f" + len(data).to_bytes(8, "big")
    return bytes([first]) + size + data


def bomb() -> bytes:
    """200 MB of spaces, deflated to 200 KB."""
    squeeze = zlib.compressobj(wbits=-15)
    block = b" " * MEGABYTE
    return b"".join(squeeze.compress(block) for _ in range(200)) + squeeze.flush(zlib.Z_SYNC_FLUSH)


def open_socket(data: bytes) -> Iterator[Event]:
    """An open client meets these bytes of its server."""
    yield from _client(wires.ANSWER, data)


def every_head(data: bytes) -> Iterator[Event]:
    """All four ends of HTTP and WebSocket read this head, of an answer or of a request."""
    yield from _client(data)
    accepting, serving, asking = WebSocketServerWire(), HttpServerWire(), HttpWire()
    accepting.connect(0.0)
    asking.start(http_request("http://h", "/", (), method="GET", api_key=None), 0.0)
    rest = memoryview(data)[len(HEAD) :]
    for wire, line in ((accepting, b"GET / HTTP/1.1\r\n"), (serving, b"GET / HTTP/1.1\r\n"), (asking, HEAD)):
        _feed(wire, line)
        _feed(wire, rest)
        yield from _events(wire)


def _client(*parts: bytes) -> Iterator[Event]:
    with wires.nothing_random():
        wire = WebSocketWire(PulseConnection(PulseOptions()), wires.request("pulse"))
        wire.connect(0.0)
        for part in parts:
            _feed(wire, memoryview(part))
    yield from (event for event in _events(wire) if not type(event).__name__.startswith("Handshake"))


def _feed(wire: wires.Wire | HttpWire | HttpServerWire, data: bytes | memoryview) -> None:
    for start in range(0, len(data), 65536):
        wire.receive_data(data[start : start + 65536], 0.0)


def every_reader(data: bytes) -> Iterator[Event]:
    """Both protocols, in both roles, read this message."""
    for role in Role:
        for layer in (PulseConnection(PulseOptions(), role), LightningConnection(LightningOptions(), role)):
            layer.receive_message(data.decode(), 0.0)
            yield from _events(layer)


def speaking(data: bytes) -> Iterator[Event]:
    """A client that waits for audio reads this message."""
    layer = LightningConnection(LightningOptions(text_mode="segment"))
    layer.send(Speak("Hello."), 0.0)
    layer.receive_message(data.decode(), 0.0)
    yield from _events(layer)


def _events(source: MessageLayer | wires.Wire | HttpWire | HttpServerWire) -> Iterator[Event]:
    while (event := source.next_event()) is not NEED_DATA:
        yield event


def cases() -> Iterator[Case]:
    """Every input, one at a time, as some are large."""
    yield Case("200 KB that would inflate to 200 MB", frame(bomb(), 0xC1), open_socket, "1002")
    yield Case("RSV1 without an extension", frame(b"{}", 0xC1), open_socket, "1002")
    yield Case("a handshake of 16 MB", HEAD + b"X: " + b"x" * 16 * MEGABYTE, every_head, TOO_LONG)
    yield Case("100,000 headers", HEAD + b"A: b\r\n" * 100_000 + b"\r\n", every_head, TOO_LONG)
    nested = b'{"type":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    yield Case("JSON nested 100,000 deep", nested, every_reader, "nested too deep")
    yield Case("a text message of 20 MB", frame(b" " * 20 * MEGABYTE), open_socket, "1009")
    chunk = b'{"status":"chunk","request_id":"r","data":{"audio":"*"}}'
    yield Case("audio that is not base64", chunk, speaking, "INVALID_AUDIO")
    yield Case("a lone surrogate in UTF-8", frame(b'{"type":"\xed\xa0\x80"}'), open_socket, "1007")
    yield Case("a lone surrogate, escaped", rb'{"type":"\ud800"}', every_reader, "not JSON")
    yield Case("NaN", b'{"type":"transcription","start":NaN}', every_reader, "not JSON")


def told(event: Event) -> str:
    """What an event says of a fault."""
    match event:
        case ConnectionClosed(code=code, error=error):
            return f"{code}: {error}"
        case UnknownMessage(reason=reason):
            return reason
        case ContextFailed(error=error):
            return f"{error.code}: {error}"
        case ExchangeFailed(error=error):
            return str(error)
    return repr(event)


def measured(case: Case) -> tuple[list[str], int]:
    """What the case ends in, each once, and the growth of memory in bytes."""
    if _CLEAR.exists():
        _CLEAR.write_text("5")  # the peak begins anew
        before = _resident("VmRSS")
        outcomes = [told(event) for event in case.meet(case.data)]
        return list(dict.fromkeys(outcomes)), max(0, _resident("VmHWM") - before)
    tracemalloc.start()
    outcomes = [told(event) for event in case.meet(case.data)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return list(dict.fromkeys(outcomes)), peak


def _resident(name: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def main() -> int:
    """The command."""
    bad = 0
    for case in cases():
        outcomes, growth = measured(case)
        fine = bool(outcomes) and all(case.outcome in o for o in outcomes) and growth < MOST_GROWTH
        bad += not fine
        print(
            f"{'ok ' if fine else 'BAD'} {case.name:36} {growth / MEGABYTE:5.1f} MB  {' | '.join(outcomes)}"
        )
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
