"""As little server as both protocols need, so that what is measured is the client. Over picows.

Pulse: an interim for every quarter of a second of audio, a final with words for every two seconds, and one with
`is_last` when the client closes the stream. A transcript begins with the clock's reading as it is sent.
Lightning: the text `"300 pieces of 0.2 s"` is answered by that many chunks of so much audio and one `complete`,
which is left out after `"300 pieces of 0.2 s silently"`.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Callable
from functools import cache
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
PCM_BYTES_PER_SECOND = 48000

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


@cache
def _chunk(seconds: float) -> str:
    """To be given a request's number."""
    audio = base64.b64encode(bytes(round(PCM_BYTES_PER_SECOND * seconds))).decode()
    return _BEGIN + '"chunk","data":{"audio":"' + audio + '"}}'


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
                pieces, _, _, seconds, *rest = self._text.split()
                chunk = (_chunk(float(seconds)) % self._requests).encode()
                for _ in range(int(pieces)):
                    transport.send(WSMsgType.TEXT, chunk)
                if "silently" not in rest:
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
    logging.getLogger("picows").setLevel(logging.ERROR)  # it warns of every pause in writing
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
