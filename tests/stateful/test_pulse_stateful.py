"""A Pulse client and a Pulse server over bytes that come late, in pieces, or not at all."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from smallest_proto.endpoints import ApiKey
from smallest_proto.events import ConnectionClosed, Role
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
    VadMessage,
    pulse_request,
)
from stateful.link import CALM, LinkMachine, is_subsequence

MODES = {
    "live with VAD events": PulseOptions(endpoint="live", vad_events=True),
    "live": PulseOptions(endpoint="live"),
    "seed": PulseOptions(compat="seed"),
    "direct server": PulseOptions(endpoint="transcribe"),
}


class PulseMachine(LinkMachine):
    @initialize(mode=st.sampled_from(sorted(MODES)), calm=CALM, rude=st.booleans())
    def begin(self, mode: str, calm: int, rude: bool) -> None:
        options = MODES[mode]
        self.rude = rude
        self.options = options
        self.audio = bytearray()
        self.texts: list[str] = []
        request = pulse_request(options, api_key=ApiKey("sk_test"))
        self.connect(PulseConnection(options), PulseConnection(options, Role.SERVER), request, calm)

    @rule(samples=st.sampled_from([1, 400, 800, 2000]))
    def the_client_sends_audio(self, samples: int) -> None:
        start = len(self.audio) // 2
        pcm = b"".join((i % 65536).to_bytes(2, "little") for i in range(start, start + samples))
        if self.send(self.client, Audio(pcm)):
            self.audio += pcm

    @rule(command=st.sampled_from([Finalize(), Flush(), KeepAlive(), Audio(b""), TranscriptMessage()]))
    def the_client_sends(self, command: object) -> None:
        self.send(self.client, command)

    @precondition(lambda self: self.calm < 40)
    @rule()
    def the_client_ends_its_stream(self) -> None:
        self.send(self.client, CloseStream())

    @rule(
        final=st.booleans(),
        flag=st.sampled_from([None, True, False]),
        blank=st.booleans(),
        seconds=st.integers(0, 3),
    )
    def the_server_transcribes(self, final: bool, flag: bool | None, blank: bool, seconds: int) -> None:
        text = "" if blank else f"text {len(self.texts)}"
        flag = flag if final else None
        message = TranscriptMessage(transcript=text, is_final=final, from_finalize=flag)
        if self.server_ready() and self.send(self.server, message) and text:
            self.texts.append(text)

    @rule(kind=st.sampled_from(["speech_started", "speech_ended", "speech_paused"]))
    def the_server_hears_speech(self, kind: str) -> None:
        if self.server_ready():
            self.send(self.server, VadMessage(type=kind, timestamp=self.now))

    @precondition(lambda self: any(isinstance(e, CloseStreamReceived) for e in self.server_events))
    @rule(final=st.booleans())
    def the_server_sends_the_last(self, final: bool) -> None:
        text = f"text {len(self.texts)}"
        message = TranscriptMessage(transcript=text, is_final=final, is_last=True)
        if self.send(self.server, message):
            self.texts.append(text)

    @precondition(lambda self: self.calm < 0)
    @rule()
    def the_server_fails(self) -> None:
        self.send(self.server, ErrorMessage(message="no"))

    def server_ready(self) -> bool:
        """A server says nothing before the upgrade."""
        return len(self.server_events) > 0

    @invariant()
    def turns_alternate(self) -> None:
        edges = [type(e) for e in self.client_events if isinstance(e, SpeechStarted | SpeechEnded)]
        assert edges == ([SpeechStarted, SpeechEnded] * len(edges))[: len(edges)]

    @invariant()
    def texts_come_once_and_in_order(self) -> None:
        told = [e.text for e in self.client_events if isinstance(e, InterimTranscript | FinalTranscript)]
        assert is_subsequence(told, self.texts)

    @invariant()
    def audio_arrives_as_it_was(self) -> None:
        heard = b"".join(e.audio for e in self.server_events if isinstance(e, AudioReceived))
        assert self.audio.startswith(heard)
        if any(isinstance(e, CloseStreamReceived) for e in self.server_events):
            assert heard == self.audio

    @invariant()
    def no_finalize_is_answered_twice(self) -> None:
        assert self.client.finalizes_outstanding >= 0

    def check_the_story(self, established: bool) -> None:
        kinds = [type(event) for event in self.client_events]
        assert kinds.count(StreamEnded) <= 1
        if StreamEnded in kinds:
            assert kinds[kinds.index(StreamEnded) + 1 :] == [ConnectionClosed]
        if self.options.compat == "default":
            assert kinds.count(SpeechStarted) == kinds.count(SpeechEnded)


PulseMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestPulse = PulseMachine.TestCase
