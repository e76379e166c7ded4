"""A server that loses a connection at a given second of speech, and tells just the audio that it heard."""

from __future__ import annotations

import json
from typing import Literal, get_args

import msgspec

from numbered_speech import RATE, Listener
from smallest_proto.pulse.messages import ServerMessage
from smallest_transports.loopback.engines.base import RecognizerSetup
from sockets import BINARY, CLOSE, PING, PONG, TEXT, Peer
from sockets import frame as control

Drop = Literal["RST", "FIN", "close 1011", "close 1000", "RST after end_input"]
DROPS: tuple[Drop, ...] = get_args(Drop)


class OneUtterance(Listener):
    """Says nothing before the end."""

    def hear(self, audio: bytes) -> None:
        """Listen."""
        self._heard.frombytes(audio)


class DroppingServer:
    """Give `behave` to `raw_server`: `numbered_speech` at 8 kHz in, one final for it all at the end.

    The first connection is lost after `at` seconds of audio, or where the client asks for the end, with nothing
    final yet. `heard` has the seconds of audio on each connection.
    """

    def __init__(self, drop: Drop, at: float) -> None:
        self.drop = drop
        self.at = at
        self.heard: list[float] = []
        self.targets: list[str] = []

    async def behave(self, peer: Peer) -> None:
        """One connection."""
        await peer.accept()
        number = len(self.heard)
        self.heard.append(0.0)
        self.targets.append(peer.request.split(" ")[1])
        listener = OneUtterance(RecognizerSetup(sample_rate=RATE))
        while True:
            opcode, payload = await peer.frame()
            if opcode == BINARY:
                self.heard[number] += len(payload) / 2 / RATE
                listener.hear(payload)
                if not number and self.heard[0] >= self.at - 1e-6 and self.drop != "RST after end_input":
                    return await self._lose(peer)
            elif opcode == TEXT:
                kind = json.loads(payload)["type"]
                if kind == "close_stream":
                    if not number and self.drop == "RST after end_input":
                        return await self._lose(peer)
                    _say(peer, *listener.finish())
                    peer.close_frame(1000)
                    return await peer.until_gone()
            elif opcode == PING:
                peer.send(control(PONG, payload))
            elif opcode == CLOSE:
                peer.close_frame(1000)
                return None

    async def _lose(self, peer: Peer) -> None:
        if self.drop.startswith("RST"):
            peer.reset()
        elif self.drop == "FIN":
            peer.writer.write_eof()
        else:
            peer.close_frame(int(self.drop.split()[1]))
        await peer.until_gone()


def _say(peer: Peer, *messages: ServerMessage) -> None:
    for message in messages:
        peer.text(msgspec.json.encode(message).decode())
