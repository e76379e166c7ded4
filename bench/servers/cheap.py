"""As little server as both protocols need, so that what is measured is the client. Over picows.

Pulse: an interim for every quarter of a second of audio, a final with words for every two seconds, and one with
`is_last` when the client closes the stream. A transcript begins with the clock's reading as it is sent.
Lightning: a text `"300 pieces"` is answered by that many chunks of 0.2 s.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from time import monotonic

import msgspec
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from bench.servers.child import arguments, until_parent_ends

INTERIM_EVERY = 5
FINAL_EVERY = 40
PACKET_SECONDS = 0.05
WORDS = ("would", "like", "two", "large", "pizzas", "please")
PIECE = bytes(9600)
PIECE_SECONDS = 0.2

_SAID = " ".join(WORDS)
INTERIM = (
    '{"type":"transcription","status":"success","session_id":"5d0c7c1e","transcript":"%(clock).6f '
    + _SAID
    + '",'
    '"transcription":"%(clock).6f ' + _SAID + '","is_final":false,"is_last":false,"language":"en"}'
)
_WORD = '{"word":"%s","start":%.2f,"end":%.2f,"confidence":0.97}'
FINAL = (
    INTERIM.replace('"is_final":false', '"is_final":true')[:-1] + ',"languages":["en"],"words":[%(words)s]}'
)
LAST = (
    '{"type":"transcription","status":"success","session_id":"5d0c7c1e","transcript":"",'
    '"is_final":true,"is_last":true}'
)
_BEGIN = '{"session_id":"ws_550e","request_id":"task_%d","status":'
_CHUNK = _BEGIN + '"chunk","data":{"audio":"' + base64.b64encode(PIECE).decode() + '"}}'
_COMPLETE = _BEGIN + '"complete"}'


class Control(msgspec.Struct):
    """What either protocol's client messages have that matters here."""

    type: str = ""
    text: str = ""
    more: bool = msgspec.field(name="continue", default=False)


_control = msgspec.json.Decoder(Control)


def final(packets: int) -> bytes:
    """The final after so many packets: its words lie within the last two seconds of them."""
    end = packets * PACKET_SECONDS
    step = FINAL_EVERY * PACKET_SECONDS / len(WORDS)
    begin = end - step * len(WORDS)
    words = ",".join(_WORD % (word, begin + i * step, begin + (i + 1) * step) for i, word in enumerate(WORDS))
    return (FINAL % {"clock": monotonic(), "words": words}).encode()


class Pulse(WSListener):
    """One stream."""

    def __init__(self) -> None:
        self._packets = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count audio, answer what is due."""
        if frame.msg_type == WSMsgType.BINARY:
            self._packets += 1
            if self._packets % FINAL_EVERY == 0:
                transport.send(WSMsgType.TEXT, final(self._packets))
            elif self._packets % INTERIM_EVERY == 0:
                transport.send(WSMsgType.TEXT, (INTERIM % {"clock": monotonic()}).encode())
        elif frame.msg_type == WSMsgType.TEXT:
            kind = _control.decode(frame.get_payload_as_memoryview()).type
            if kind == "close_stream":
                transport.send(WSMsgType.TEXT, LAST.encode())
                transport.send_close(WSCloseCode.OK)
            elif kind == "keepalive":
                transport.send(WSMsgType.TEXT, b'{"type":"pong"}')
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()


class Lightning(WSListener):
    """One connection."""

    def __init__(self) -> None:
        self._text = ""
        self._requests = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Gather text; speak when no more follows."""
        if frame.msg_type == WSMsgType.TEXT:
            message = _control.decode(frame.get_payload_as_memoryview())
            self._text += message.text
            if not message.more and self._text.strip():
                self._requests += 1  # a request's id is its own: what comes for one that ended is dropped
                chunk = (_CHUNK % self._requests).encode()
                for _ in range(int(self._text.split()[0])):
                    transport.send(WSMsgType.TEXT, chunk)
                transport.send(WSMsgType.TEXT, (_COMPLETE % self._requests).encode())
                self._text = ""
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()


def _listener(request: WSUpgradeRequest) -> WSListener:
    kind: Callable[[], WSListener] = Lightning if b"/tts/" in bytes(request.path) else Pulse
    return kind()


async def main(pem: str | None) -> None:
    """Serve until the parent ends."""
    context: ssl.SSLContext | None = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    server = await ws_create_server(_listener, "127.0.0.1", 0, backlog=1024, ssl=context)
    port = server.sockets[0].getsockname()[1]
    address = f"http://127.0.0.1:{port}" if pem is None else f"https://localhost:{port}"
    await until_parent_ends(f"{address}/waves/v1")


if __name__ == "__main__":
    asyncio.run(main(arguments(__doc__).tls))
