"""Both ends, message to message: what one end says is what the other end hears."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_strategies import TRANSCRIPTS
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role
from smallest_proto.pulse import (
    Audio,
    AudioReceived,
    CloseStream,
    CloseStreamReceived,
    ErrorMessage,
    Finalize,
    FinalizeReceived,
    FinalTranscript,
    InterimTranscript,
    KeepAlive,
    KeepAliveReceived,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    TranscriptMessage,
    VadMessage,
)
from smallest_proto.pulse.transcript import has_words


class Pair:
    """Two ends and two lists of what they told their users."""

    def __init__(self, **options: Any) -> None:
        self.client = PulseConnection(PulseOptions(**options))
        self.server = PulseConnection(PulseOptions(**options), Role.SERVER)
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []

    def exchange(self) -> None:
        for sender, receiver in (
            (self.client, self.server),
            (self.server, self.client),
            (self.client, self.server),
        ):
            for message in sender.messages_to_send():
                receiver.receive_message(message, 0.0)
        for end, other in ((self.server, self.client), (self.client, self.server)):
            if end.close_requested:
                end.receive_close(*end.close_requested, 0.0)
                other.receive_close(*end.close_requested, 0.0)
        for end, events in ((self.client, self.client_events), (self.server, self.server_events)):
            while (event := end.next_event()) is not NEED_DATA:
                events.append(event)


AUDIO = st.binary(min_size=2, max_size=4000).filter(lambda pcm: len(pcm) % 2 == 0).map(Audio)
COMMANDS = st.lists(AUDIO | st.sampled_from([Finalize(), KeepAlive()]), max_size=12)


@given(COMMANDS)
def test_commands_arrive(commands: Sequence[Any]) -> None:
    pair = Pair()
    for command in commands:
        pair.client.send(command, 0.0)
        pair.exchange()
    pair.client.send(CloseStream(), 0.0)
    pair.exchange()
    audio = b"".join(e.audio for e in pair.server_events if isinstance(e, AudioReceived))
    assert audio == b"".join(c.pcm for c in commands if isinstance(c, Audio))
    heard = [type(e) for e in pair.server_events if not isinstance(e, AudioReceived)]
    kinds = {Finalize: FinalizeReceived, KeepAlive: KeepAliveReceived}
    assert heard == [kinds[type(c)] for c in commands if not isinstance(c, Audio)] + [CloseStreamReceived]


@given(st.lists(TRANSCRIPTS, max_size=6), st.sampled_from(["default", "seed"]))
def test_transcripts_arrive(contents: list[dict[str, Any]], compat: Any) -> None:
    pair = Pair(compat=compat)
    said = [msgspec.convert(content, TranscriptMessage) for content in contents]
    for message in said:
        pair.server.send(message, 0.0)
        pair.exchange()
    shared = {
        "words",
        "utterances",
        "languages",
        "redacted_entities",
        "full_transcript",
        "from_finalize",
        "is_last",
    }
    if compat == "seed":
        expected = [(m, m.transcript) for m in said if m.transcript]
    else:
        texts = [(m, (m.transcript or m.transcription or "").strip()) for m in said]
        expected = [(m, text) for m, text in texts if has_words(text)]
    heard = [e for e in pair.client_events if isinstance(e, InterimTranscript | FinalTranscript)]
    assert [e.text for e in heard] == [text for _, text in expected]
    for event, (message, _) in zip(heard, expected, strict=True):
        assert isinstance(event, FinalTranscript) is message.is_final
        assert event.language == (message.language or "en")
        for name in shared & set(event.__struct_fields__):
            assert getattr(event, name) == getattr(message, name)
    assert pair.client.session_id == pair.server.session_id


@pytest.mark.parametrize("compat", ["default", "seed"])
def test_a_whole_session(compat: Any) -> None:
    pair = Pair(vad_events=True, compat=compat)
    pair.client.send(Audio(bytes(3300)), 0.0)
    pair.server.send(VadMessage(type="speech_started", session_id="s", timestamp=0.25), 0.0)
    pair.server.send(TranscriptMessage(session_id="s", transcript="hello"), 0.0)
    pair.exchange()
    pair.client.send(CloseStream(), 0.0)
    pair.exchange()
    assert isinstance(pair.server_events[-1], CloseStreamReceived)
    pair.server.send(TranscriptMessage(transcript="Hello.", is_final=True, is_last=True), 0.0)
    pair.exchange()
    heard = [type(e) for e in pair.client_events if type(e).__name__ != "Usage"]
    assert heard == [
        *(SpeechStarted, InterimTranscript, FinalTranscript, SpeechEnded, StreamEnded, ConnectionClosed),
    ]
    started = pair.client_events[0]
    assert isinstance(started, SpeechStarted)
    assert (started.time, started.source) == ((0.25, "vad") if compat == "default" else (None, "inferred"))
    for last in (pair.client_events[-1], pair.server_events[-1]):
        assert last == ConnectionClosed(code=1000, expected=True)


def test_an_error_arrives_with_its_code() -> None:
    pair = Pair()
    pair.server.send(ErrorMessage(error_code="LANGUAGE_NOT_ENABLED_IN_REGION", message="not here"), 0.0)
    pair.exchange()
    reported, closed = pair.client_events
    assert isinstance(closed, ConnectionClosed)
    assert closed.error == reported.error  # type: ignore[attr-defined]  # a ServerErrorReceived
    assert closed.error is not None
    assert (closed.error.code, closed.error.retryable) == ("LANGUAGE_NOT_ENABLED_IN_REGION", False)
    assert pair.server_events == [ConnectionClosed(code=1000, expected=True)]


def test_a_server_without_keepalive_ends_the_session() -> None:
    server = PulseConnection(PulseOptions(endpoint="transcribe"), Role.SERVER)
    client = PulseConnection(PulseOptions())  # one that does not know
    client.send(KeepAlive(), 0.0)
    for message in client.messages_to_send():
        server.receive_message(message, 0.0)
    for message in server.messages_to_send():
        client.receive_message(message, 0.0)
    assert server.close_requested
    assert client.close_requested
