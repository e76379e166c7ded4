"""A Lightning client and a Lightning server with everything that either may do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from msgspec.structs import replace

from explorer.memento import Lens, dropped, relative_times
from explorer.world import Message, World
from smallest_proto.events import ConnectionClosed, Event, Role, ServerErrorReceived, UnknownMessage
from smallest_proto.lightning import (
    AudioChunk,
    CancelContext,
    ContextCancelled,
    ContextComplete,
    ContextFailed,
    FinishContext,
    FlushText,
    KeepAlive,
    LightningConnection,
    LightningOptions,
    SendAudio,
    SendComplete,
    SendError,
    SendText,
    SendWord,
    Speak,
    WordTimestamp,
)
from smallest_proto.lightning.client import ClientEnd
from smallest_proto.lightning.server import ServerEnd
from smallest_proto.lightning.states import State
from smallest_proto.message_layer import QueuedLayer

# the times are multiples of one another, so that few different ones are left to a deadline
BASE = LightningOptions(linger=5.0, silence_limit=5.0, first_audio_timeout=10.0)
MODES = {
    "lightning, context": BASE,
    "lightning, continue": replace(BASE, text_mode="continue"),
    "lightning, segment": replace(BASE, text_mode="segment", keepalive_interval=10.0),
}
SERVER = LightningOptions(idle_timeout=15)
CONTEXTS, TEXTS, REQUESTS = 2, 2, 3
"""Syntheses on a connection, texts in one, and releases of audio: the next would be like the one before."""

COMMANDS = {
    "text": SendText("a"),
    "a blank": SendText(" "),
    "a whole text": Speak("a"),
    "a whole text of blanks": Speak(" "),
    "finish": FinishContext(),
    "flush": FlushText(),
    "cancel": CancelContext(),
    "keep-alive": KeepAlive(),
}
ANSWERS = {
    "word": SendWord("a", 0.0, 0.1),
    "complete": SendComplete(),
    "complete of one release": SendComplete(last=False),
    "error": SendError("no"),
    "complete of an older request": SendComplete(request_id="task_1"),
}
CHUNK = "audio"
NONSENSE = {"nonsense": "[", "chunk without audio": '{"status":"chunk","data":{"audio":""}}'}
DAMAGED = {"damaged audio": '{"status":"chunk","data":{"audio":"?"}}'}
HEARING = (State.OPEN, State.DRAINING, State.LINGERING)


def payloads(value: list[Message], now: float) -> tuple[object, ...]:
    """Messages by what they do. Audio is told apart by nothing but the request that it belongs to."""
    return tuple(message.kind if message.kind.startswith(CHUNK) else message.data for message in value)


class LightningWorld(World):
    """Beside the channel: which synthesis is open, which have ended, and which audio came out."""

    lens = Lens(
        {
            **{("LightningWorld", name): dropped for name in ("now", "mark", "armed", "last_heard")},
            ("LightningWorld", "to_client"): payloads,
            ("LightningWorld", "to_server"): payloads,
            ("Timers", "_at"): relative_times,
            # decide what times a word has, and nothing else
            **{
                ("WordClock", name): dropped
                for name in ("_base", "_last_end", "_pcm", "_request", "_restarts")
            },
        }
    )
    """Not compared: the moment, the numbers of messages, and how much audio there was."""

    client: LightningConnection
    server: LightningConnection

    def __init__(self, options: LightningOptions, room: int) -> None:
        super().__init__(LightningConnection(options), LightningConnection(SERVER, Role.SERVER), room)
        self.fixed = options
        self.context = ""
        self.over: set[str] = set()
        self.last_heard = 0
        self.hearing = False
        del self.moves["wait for most of that"]
        self.moves |= {
            **{
                f"the client sends {name}": partial(self.send, self.client, c) for name, c in COMMANDS.items()
            },
            **{f"the server sends {name}": partial(self.send, self.server, c) for name, c in ANSWERS.items()},
            "the server sends audio": self.send_audio,
            **{
                f"the server sends {name}": partial(self.inject, data)
                for name, data in (NONSENSE | DAMAGED).items()
            },
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
        pcm = (self.mark + 1).to_bytes(4, "little")
        return self.send(self.server, SendAudio(pcm), f"{CHUNK} {self.ends[1]._requests}")

    def inject(self, data: str) -> bool:
        if self.server_hung_up or self.lost or len(self.to_client) >= self.room:
            return False
        self.to_client.append(Message(data, data, 0))
        return True

    # -- what must hold

    def client_event(self, event: Event, delivered: Message | None) -> None:
        match event:
            case AudioChunk():
                assert delivered is not None
                assert event.context_id == self.context, "audio outside its synthesis"
                assert event.pcm == delivered.mark.to_bytes(4, "little"), "not the audio that came"
                assert delivered.mark > self.last_heard, "audio twice, or out of order"
                self.last_heard = delivered.mark
            case WordTimestamp():
                assert event.context_id == self.context, "a word outside its synthesis"
            case ContextComplete() | ContextCancelled() | ContextFailed():
                assert event.context_id not in self.over, "a synthesis ended twice"
                assert self.context in ("", event.context_id), "another synthesis ended"
                self.over.add(event.context_id)
                self.context = ""
            case ConnectionClosed():
                assert not self.context, "the synthesis is open at the end of the connection"
                assert event.expected is (event.error is None)
            case UnknownMessage() | ServerErrorReceived():
                assert delivered is not None
            case _:
                raise AssertionError(f"the client told {event!r}")

    def server_event(self, event: Event, delivered: Message | None) -> None:
        if not isinstance(event, ConnectionClosed):
            assert delivered is not None, f"{type(event).__name__} without a message"

    def after(self, delivered: Message | None, heard: list[Event]) -> None:
        if delivered is not None and delivered.kind.startswith(CHUNK):
            told = [e for e in heard if isinstance(e, AudioChunk | UnknownMessage)]
            assert len(told) == 1, f"{len(told)} events for one chunk of audio"
            assert self.hearing or isinstance(told[0], UnknownMessage), "audio while none is expected"
        active = self.client.context_id
        assert active not in self.over, "a synthesis goes on after its end"
        assert not self.context or active == self.context, "a synthesis vanished"
        self.context = active or ""
        state = self.ends[0]._machine.state
        self.hearing = state in HEARING
        waiting = state in (State.DRAINING, State.LINGERING)
        assert not waiting or self.client.next_deadline() is not None, "a wait without a deadline"

    def patient(self) -> bool:
        return self.fixed.keepalive_interval is None

    def within_bounds(self) -> bool:
        client, server = self.ends
        context = client._context
        texts = context.policy._texts + len(context.blanks) if context else 0
        opened = len(self.over) + bool(self.context)
        return (
            super().within_bounds()
            and opened <= CONTEXTS
            and texts <= TEXTS
            and server._requests <= REQUESTS
            and client._keep_alives <= 1
        )

    def refusals(self) -> Iterable[tuple[QueuedLayer, object]]:
        client, server = self.client, self.server
        yield client, SendText("")
        yield client, SendText("a", "short")
        yield client, FlushText("elsewhere1")
        yield client, SendAudio(b"ab")
        yield server, SendAudio(b"odd")
        yield server, SendWord("a", float("nan"), 1.0)
        yield server, Speak("a")
        if self.ends[0]._machine.state in (State.SPENT, State.CLOSED):
            yield from ((client, command) for command in COMMANDS.values())
        if self.server.close_requested is not None or self.server_told:
            yield from ((server, command) for command in (*ANSWERS.values(), SendAudio(b"ab")))

    def late_messages(self) -> Iterable[tuple[QueuedLayer, str | bytes]]:
        if self.client_told:
            yield self.client, '{"status":"chunk","request_id":"new","data":{"audio":"AAAA"}}'
            yield self.client, '{"status":"error","message":"late"}'
        if self.server_told:
            yield self.server, '{"voice_id":"v","text":"late"}'
            yield self.server, "["
