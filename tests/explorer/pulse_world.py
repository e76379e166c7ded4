"""A Pulse client and a Pulse server with everything that either may do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from explorer.memento import Lens, dropped, relative_times
from explorer.world import Message, World
from smallest_proto.events import ConnectionClosed, Event, Role, ServerErrorReceived, UnknownMessage
from smallest_proto.message_layer import QueuedLayer
from smallest_proto.pulse import (
    Audio,
    AudioReceived,
    CloseStream,
    CloseStreamReceived,
    ErrorMessage,
    Finalize,
    FinalTranscript,
    Flush,
    InterimTranscript,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    TranscriptMessage,
    Usage,
    VadMessage,
    Word,
)
from smallest_proto.pulse.client import ClientEnd
from smallest_proto.pulse.server import ServerEnd
from smallest_proto.pulse.states import State

MODES = {
    "pulse, VAD events": PulseOptions(endpoint="live", vad_events=True, sample_rate=8000, packet_ms=20),
    "pulse, no VAD events": PulseOptions(endpoint="live", sample_rate=8000, packet_ms=20),
    "pulse, seed": PulseOptions(compat="seed", sample_rate=8000, packet_ms=20),
}
PACKET = 320
PIECE = PACKET * 3 // 2
"""Bytes that the user hands over at a time: every second time half a packet is held back."""

FINALIZES = 2
"""Finalizes without an answer: a third is like the second."""

SPOKEN_UNTIL, VAD_ENDED_AT = 1.0, 2.0
TRANSCRIPTS: dict[str, dict[str, Any]] = {
    "interim": {"transcript": "interim"},
    "blank interim": {},
    "final": {"transcript": "final", "is_final": True},
    "final of words long spoken": {
        "transcript": "final",
        "is_final": True,
        "words": (Word(word="w", end=SPOKEN_UNTIL),),
    },
    "blank final": {"is_final": True},
    "final that answers": {"transcript": "final", "is_final": True, "from_finalize": True},
    "blank final that answers": {"is_final": True, "from_finalize": True},
    "final that does not answer": {"transcript": "final", "is_final": True, "from_finalize": False},
    "last final": {"transcript": "final", "is_final": True, "is_last": True},
    "blank last": {"is_last": True},
}
VADS = {
    "speech_started": VadMessage(type="speech_started", timestamp=0.5),
    "speech_ended": VadMessage(type="speech_ended", timestamp=VAD_ENDED_AT),
}
COMMANDS = {
    "finalize": Finalize(),
    "flush": Flush(),
    "keepalive": KeepAlive(),
    "close_stream": CloseStream(),
}


def samples(start: int, size: int) -> bytes:
    """The audio from that byte on: each sample is its own number, so nothing can be lost or swapped unseen."""
    return b"".join((i // 2 % 65536).to_bytes(2, "little") for i in range(start, start + size, 2))


def kinds(value: list[Message], now: float) -> tuple[str, ...]:
    """Messages by what they do."""
    return tuple(message.kind for message in value)


class PulseWorld(World):
    """Beside the channel: the turn, the audio and the texts, as the users of both ends see them."""

    lens = Lens(
        {
            **{("PulseWorld", name): dropped for name in ("now", "mark", "armed", "finals", "metered")},
            **{("PulseWorld", name): dropped for name in ("accepted", "sent", "received")},
            ("PulseWorld", "to_client"): kinds,
            ("PulseWorld", "to_server"): kinds,
            ("Timers", "_at"): relative_times,
            # decide when usage is reported, and nothing else
            ("UsageMeter", "_since"): dropped,
            ("UsageMeter", "_total"): dropped,
            ("ClientEnd", "_sent_bytes"): dropped,
            ("ClientEnd", "_heard_anything"): dropped,  # counts for languages of one region only
            ("Chunker", "_rest"): lambda value, now: len(value),
        }
    )
    """Not compared: the moment, the numbers of messages, and how much audio there was, only what is on its way."""

    client: PulseConnection
    server: PulseConnection

    def __init__(self, options: PulseOptions, room: int) -> None:
        super().__init__(PulseConnection(options), PulseConnection(options, Role.SERVER), room)
        self.fixed = options
        self.accepted = self.sent = self.received = self.unheard = 0
        self.metered = 0.0
        self.finals: set[int] = set()
        self.speaking = self.ended = self.failed = False
        self.live = True
        self.moves |= {
            "the client sends audio": self.send_audio,
            **{
                f"the client sends {name}": partial(self.send, self.client, c) for name, c in COMMANDS.items()
            },
            **{f"the server sends {name}": partial(self.send_transcript, name) for name in TRANSCRIPTS},
            **{
                f"the server sends {name}": partial(self.send, self.server, m, name)
                for name, m in VADS.items()
            },
            "the server sends an error": partial(self.send, self.server, ErrorMessage(message="no"), "error"),
            "the server sends nonsense": self.send_nonsense,
            "a VAD event overtakes text": self.overtake,
        }

    @property
    def ends(self) -> tuple[ClientEnd, ServerEnd]:
        """What the connections hide."""
        client, server = self.client._end, self.server._end
        assert isinstance(client, ClientEnd)
        assert isinstance(server, ServerEnd)
        return client, server

    # -- moves

    def send_audio(self) -> bool:
        if not self.send(self.client, Audio(samples(self.accepted, PIECE))):
            return False
        self.accepted += PIECE
        self.unheard += PIECE
        return True

    def send_transcript(self, kind: str) -> bool:
        fields = dict(TRANSCRIPTS[kind])
        if "transcript" in fields:
            fields["transcript"] += f" {self.mark + 1}"
        return self.send(self.server, TranscriptMessage(**fields), kind)

    def send_nonsense(self) -> bool:
        if self.server_hung_up or self.lost or len(self.to_client) >= self.room:
            return False
        self.to_client.append(Message("nonsense", "[", 0))
        return True

    def overtake(self) -> bool:
        for position, message in enumerate(self.to_client):
            if message.kind in VADS:
                return position > 0 and self.deliver_to_client(position)
        return False

    # -- what must hold

    def carried(self, end: QueuedLayer, data: str | bytes) -> None:
        if end is self.client and isinstance(data, bytes):
            self.sent += len(data)

    def client_event(self, event: Event, delivered: Message | None) -> None:
        default = self.fixed.compat == "default"
        assert not self.ended or isinstance(event, ConnectionClosed), (
            f"{type(event).__name__} after StreamEnded"
        )
        match event:
            case SpeechStarted():
                assert not self.speaking, "SpeechStarted twice"
                self.speaking = True
            case SpeechEnded():
                assert self.speaking, "SpeechEnded without SpeechStarted"
                self.speaking = False
            case InterimTranscript():
                assert delivered is not None
                assert event.text == f"interim {delivered.mark}"
                assert self.speaking, "an interim outside a turn"
            case FinalTranscript():
                assert delivered is not None
                assert event.text == f"final {delivered.mark}"
                assert delivered.mark not in self.finals, "a final was emitted twice"
                assert self.speaking or "long spoken" in delivered.kind, "a final outside a turn"
                self.finals.add(delivered.mark)
            case StreamEnded():
                self.ended = True
                assert not (default and self.speaking), "the turn is open at the end of the stream"
            case ConnectionClosed():
                assert event.expected is (event.error is None)
                assert not (default and self.speaking), "the turn is open at the end of the connection"
                assert not (default and self.ends[0]._usage._total), "usage is left over"
            case Usage():
                assert event.audio_seconds > 0
                self.metered += event.audio_seconds
            case ServerErrorReceived():
                assert delivered is not None
                assert delivered.kind == "error"
                assert not self.failed, "two errors"
                self.failed = True
            case UnknownMessage():
                assert delivered is not None
                assert delivered.kind == "nonsense"
            case _:
                raise AssertionError(f"the client told {event!r}")

    def server_event(self, event: Event, delivered: Message | None) -> None:
        match event:
            case AudioReceived():
                assert event.audio == samples(self.received, len(event.audio)), "audio was lost or mixed up"
                self.received += len(event.audio)
                self.unheard -= len(event.audio)
            case CloseStreamReceived():
                assert not self.unheard, "audio is missing at the end of the stream"
            case UnknownMessage():
                raise AssertionError(f"the client sent what the server does not expect: {event.reason}")
            case _:
                pass

    def after(self, delivered: Message | None, heard: list[Event]) -> None:
        if delivered is not None and self.live:
            texts = [e for e in heard if isinstance(e, InterimTranscript | FinalTranscript)]
            wordful = "transcript" in TRANSCRIPTS.get(delivered.kind, {})
            assert len(texts) == wordful, f"{len(texts)} texts told of one {delivered.kind}"
        metered = self.metered + self.ends[0]._usage._total
        assert abs(metered - self.fixed.audio_format.seconds(self.sent)) < 1e-6, "the usage does not add up"
        if self.ends[1]._machine.state not in (State.OPEN, State.DRAINING):
            self.unheard = 0  # nobody listens any more
        state = self.ends[0]._machine.state
        self.live = state in (State.OPEN, State.DRAINING)
        assert self.client.finalizes_outstanding >= 0
        assert state is not State.DRAINING or self.client.next_deadline() is not None, (
            "a wait without a deadline"
        )

    def patient(self) -> bool:
        return self.ends[0]._machine.state is not State.OPEN

    def within_bounds(self) -> bool:
        return super().within_bounds() and self.client.finalizes_outstanding <= FINALIZES

    def refusals(self) -> Iterable[tuple[QueuedLayer, object]]:
        client, server = self.client, self.server
        yield client, Audio(b"")
        yield client, Audio(b"odd")
        yield client, TranscriptMessage()
        yield server, Finalize()
        yield server, VadMessage(type="speech_paused", session_id="new")
        if self.ends[0]._machine.state is not State.OPEN:
            yield from ((client, command) for command in (*COMMANDS.values(), Audio(bytes(PACKET))))
        if self.ends[1]._machine.state not in (State.OPEN, State.DRAINING):
            messages = (TranscriptMessage(**fields, session_id="new") for fields in TRANSCRIPTS.values())
            yield from ((server, message) for message in (*messages, *VADS.values(), ErrorMessage()))

    def late_messages(self) -> Iterable[tuple[QueuedLayer, str | bytes]]:
        if self.client_told:
            yield self.client, '{"transcript": "late", "is_final": true}'
            yield self.client, '{"type": "speech_started"}'
            yield self.client, '{"type": "error", "message": "late"}'
        if self.server_told:
            yield self.server, b"late"
            yield self.server, '{"type": "close_stream"}'
