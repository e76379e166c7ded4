"""A Lightning client and a Lightning server over bytes that come late, in pieces, or not at all."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from smallest_proto.endpoints import ApiKey
from smallest_proto.events import Role
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
    SynthesisRequested,
    TextReceived,
    lightning_request,
)
from stateful.link import CALM, LinkMachine, is_subsequence

MODES = {
    "context": LightningOptions(text_mode="context", heartbeat=4.0),
    "continue": LightningOptions(text_mode="continue"),
    "segment": LightningOptions(text_mode="segment", keepalive_interval=3.0),
}


class LightningMachine(LinkMachine):
    @initialize(mode=st.sampled_from(sorted(MODES)), calm=CALM, rude=st.booleans())
    def begin(self, mode: str, calm: int, rude: bool) -> None:
        options = MODES[mode]
        self.rude = rude
        self.options = options
        self.chunks: list[bytes] = []
        self.texts: list[str] = []
        self.opened: list[str] = []
        request = lightning_request(options, api_key=ApiKey("sk_test"))
        server = LightningConnection(LightningOptions(idle_timeout=20), Role.SERVER)
        self.connect(LightningConnection(options), server, request, calm)

    def ask(self, command: object) -> bool:
        """A command of the client; what it opens is written down, even if it ends at once."""
        if not self.client_events:
            return False  # before the upgrade the wire keeps the events, and the books could not be kept
        told = len(self.client_events)
        taken = self.send(self.client, command)
        ended = [e.context_id for e in self.client_events[told:] if isinstance(e, ContextComplete)]
        for context_id in (*ended, self.client.context_id):
            if context_id is not None and context_id not in self.opened:
                self.opened.append(context_id)
        return taken

    @rule(blank=st.booleans())
    def the_client_sends_text(self, blank: bool) -> None:
        text = " " if blank else f"text {len(self.texts)}"
        kind = Speak if self.options.text_mode == "segment" else SendText
        if self.ask(kind(text)) and not blank:
            self.texts.append(text)

    @rule(command=st.sampled_from([FinishContext(), FlushText(), KeepAlive()]))
    def the_client_sends(self, command: object) -> None:
        self.ask(command)

    @precondition(lambda self: self.calm < 40)
    @rule()
    def the_client_interrupts(self) -> None:
        self.ask(CancelContext())

    @rule(command=st.sampled_from([SendText(""), SendText("a", "short"), Speak(""), SendAudio(b"ab"), None]))
    def the_client_is_refused(self, command: object) -> None:
        assert not self.ask(command)

    @rule(samples=st.integers(1, 100))
    def the_server_speaks(self, samples: int) -> None:
        pcm = len(self.chunks).to_bytes(2, "little") * samples
        if self.send(self.server, SendAudio(pcm)):
            self.chunks.append(pcm)

    @rule(
        command=st.sampled_from(
            [
                SendWord("a", 0.0, 0.1),
                SendComplete(),
                SendComplete(),
                SendComplete(last=False),
                SendError("no"),
            ]
        )
    )
    def the_server_sends(self, command: object) -> None:
        if self.server_events:  # a server says nothing before the upgrade
            self.send(self.server, command)

    @precondition(lambda self: self.calm < 0)
    @rule()
    def the_server_fails(self) -> None:
        self.send(self.server, SendError("no"))

    @invariant()
    def audio_comes_once_and_in_order(self) -> None:
        assert is_subsequence([e.pcm for e in self.client_events if isinstance(e, AudioChunk)], self.chunks)

    @invariant()
    def texts_come_once_and_in_order(self) -> None:
        heard = [
            e.text.strip() for e in self.server_events if isinstance(e, TextReceived | SynthesisRequested)
        ]
        assert is_subsequence([text for text in heard if text], self.texts)

    @invariant()
    def each_synthesis_ends_once_and_takes_its_audio_with_it(self) -> None:
        over: list[str] = []
        for event in self.client_events:
            if isinstance(event, AudioChunk):
                assert event.context_id == self.opened[len(over)]
            elif isinstance(event, ContextComplete | ContextCancelled | ContextFailed):
                over.append(event.context_id)
        assert over == self.opened[: len(over)]
        assert len(self.opened) - len(over) == (self.client.context_id is not None)

    def check_the_story(self, established: bool) -> None:
        assert self.client.context_id is None
        assert not self.client.reusable


LightningMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestLightning = LightningMachine.TestCase
