"""The hot paths, each beside what a hand-written client would do for the same bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import msgspec
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, TextMessage

from bench.timing import Case
from smallest_proto.endpoints import UpgradeRequest
from smallest_proto.events import NEED_DATA, Role
from smallest_proto.lightning import LightningConnection, LightningOptions, OpenContext, SendText
from smallest_proto.message_layer import MessageLayer
from smallest_proto.pulse import Audio, PulseConnection, PulseOptions, TranscriptMessage, Word
from smallest_proto.wire import UpgradeReceived, WebSocketServerWire, WebSocketWire

PACKET = bytes(1600)
PACKET_SECONDS = 0.05
CHUNK_PCM = bytes(9600)
CHUNK_SECONDS = 0.2
_WORDS = ["I", "would", "like", "two", "large", "pizzas", "please"]
TRANSCRIPT = msgspec.json.encode(
    TranscriptMessage(
        type="transcription",
        status="success",
        session_id="5d0c7c1e",
        transcript=" ".join(_WORDS),
        transcription=" ".join(_WORDS),
        is_final=True,
        language="en",
        languages=("en",),
        words=tuple(Word(w, 0.31 * i, 0.31 * i + 0.25, 0.97) for i, w in enumerate(_WORDS)),
    )
).decode()
CHUNK = json.dumps(
    {
        "session_id": "ws_550e",
        "request_id": "task_6ba7",
        "status": "chunk",
        "data": {"audio": base64.b64encode(CHUNK_PCM).decode()},
    }
)


def cases() -> list[Case]:
    """All of them, the peer before what is compared with it."""
    transcript, chunk = _server_frame(TRANSCRIPT), _server_frame(CHUNK)
    return [
        Case("audio out, bare wsproto", _wsproto_out(), PACKET_SECONDS),
        Case("audio out, messages", _pulse_out(), PACKET_SECONDS, "audio out, bare wsproto"),
        Case("audio out, whole wire", _wire_out(), PACKET_SECONDS, "audio out, bare wsproto"),
        Case("transcript in, json.loads", _repeat(lambda: json.loads(TRANSCRIPT)), 0),
        Case("transcript in, messages", _receive(_pulse(), TRANSCRIPT), 0, "transcript in, json.loads"),
        Case("transcript in, wsproto + json", _wsproto_in(transcript, json.loads), 0),
        Case("transcript in, whole wire", _wire_in(_pulse(), transcript), 0, "transcript in, wsproto + json"),
        Case("speech in, json + base64", _repeat(lambda: _json_base64(CHUNK)), CHUNK_SECONDS),
        Case("speech in, messages", _receive(_lightning(), CHUNK), CHUNK_SECONDS, "speech in, json + base64"),
        Case("speech in, wsproto + json + base64", _wsproto_in(chunk, _json_base64), CHUNK_SECONDS),
        Case(
            "speech in, whole wire",
            _wire_in(_lightning(), chunk),
            CHUNK_SECONDS,
            "speech in, wsproto + json + base64",
        ),
    ]


def _repeat(call: Callable[[], object]) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            call()

    return run


def _json_base64(text: str) -> bytes:
    return base64.b64decode(json.loads(text)["data"]["audio"])


def _server_frame(text: str) -> bytes:
    return bytes(Connection(ConnectionType.SERVER).send(TextMessage(data=text)))


def _wsproto_out() -> Callable[[int], None]:
    connection = Connection(ConnectionType.CLIENT)
    return _repeat(lambda: connection.send(BytesMessage(data=PACKET)))


def _wsproto_in(frame: bytes, use: Callable[[str], object]) -> Callable[[int], None]:
    connection = Connection(ConnectionType.CLIENT)

    def run(count: int) -> None:
        for _ in range(count):
            connection.receive_data(frame)
            for event in connection.events():
                assert isinstance(event, TextMessage)
                use(event.data)

    return run


def _pulse() -> PulseConnection:
    return PulseConnection(PulseOptions())


def _lightning() -> LightningConnection:
    conn = LightningConnection(LightningOptions())
    conn.send(OpenContext("context1"), 0.0)
    conn.send(SendText("text", "context1"), 0.0)
    conn.messages_to_send()
    return conn


def _pulse_out() -> Callable[[int], None]:
    conn = _pulse()

    def run(count: int) -> None:
        for _ in range(count):
            conn.send(Audio(PACKET), 0.0)
            conn.messages_to_send()

    return run


def _receive(conn: MessageLayer, message: str) -> Callable[[int], None]:
    def run(count: int) -> None:
        for _ in range(count):
            conn.receive_message(message, 0.0)
            while conn.next_event() is not NEED_DATA:
                pass

    return run


def _open_wire(conn: MessageLayer) -> WebSocketWire:
    request = UpgradeRequest(host="localhost", port=80, secure=False, target="/", headers=())
    wire, server = WebSocketWire(conn, request), WebSocketServerWire()
    wire.connect(0.0)
    server.connect(0.0)
    server.receive_data(wire.data_to_send(), 0.0)
    assert isinstance(server.next_event(), UpgradeReceived)
    server.accept(PulseConnection(PulseOptions(), Role.SERVER), 0.0)
    wire.receive_data(server.data_to_send(), 0.0)
    wire.data_to_send()
    return wire


def _wire_out() -> Callable[[int], None]:
    conn = _pulse()
    wire = _open_wire(conn)

    def run(count: int) -> None:
        for _ in range(count):
            conn.send(Audio(PACKET), 0.0)
            wire.data_to_send()

    return run


def _wire_in(conn: MessageLayer, frame: bytes) -> Callable[[int], None]:
    wire = _open_wire(conn)

    def run(count: int) -> None:
        for _ in range(count):
            wire.receive_data(frame, 0.0)
            wire.data_to_send()
            while wire.next_event() is not NEED_DATA:
                pass

    return run
