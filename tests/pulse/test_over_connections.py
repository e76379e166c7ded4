"""What a chain of connections carries over, what a final carries, and how turns end at a server without VAD events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pulse_strategies import TRANSCRIPTS
from smallest_proto.events import NEED_DATA, Event, Role
from smallest_proto.pulse import (
    Audio,
    FinalTranscript,
    Flush,
    PulseConnection,
    PulseOptions,
    SpeechEnded,
    TranscriptMessage,
    Usage,
)
from smallest_proto.pulse.decode import parse

AS_IT_CAME = frozenset(FinalTranscript.__struct_fields__) & frozenset(TranscriptMessage.__struct_fields__) - {
    *("words", "utterances", "language", "from_finalize", "session_id")  # read, shifted or kept from before
}


def events(connection: PulseConnection) -> list[Event]:
    found: list[Event] = []
    while (event := connection.next_event()) is not NEED_DATA:
        found.append(event)
    return found


def final(text: str) -> str:
    return json.dumps({"type": "transcription", "transcript": text, "is_final": True})


@given(
    st.lists(
        st.tuples(st.integers(20, 200), st.lists(st.integers(1, 7000), max_size=3)), min_size=1, max_size=5
    )
)
@example([(200, [3000]), (20, []), (50, [])])
def test_no_byte_is_lost_or_added_over_a_chain_of_connections(chain: list[tuple[int, list[int]]]) -> None:
    """However large the packets of each are: one may hold back several packets of the next."""
    stream, sent, count = b"", b"", 0
    connection = None
    for packet_ms, sizes in chain:
        connection = PulseConnection(PulseOptions(packet_ms=packet_ms), previous=connection)
        for size in sizes:
            pcm = b"".join((count + i).to_bytes(2) for i in range(size))
            count += size
            stream += pcm
            connection.send(Audio(pcm), 0.0)
        sent += b"".join(packet for packet in connection.messages_to_send() if isinstance(packet, bytes))
        connection.close(0.0)
    last = PulseConnection(PulseOptions(), previous=connection)
    last.send(Flush(), 0.0)
    sent += b"".join(packet for packet in last.messages_to_send() if isinstance(packet, bytes))
    assert sent == stream


@given(TRANSCRIPTS, st.integers(0, 40))
def test_a_final_carries_what_its_message_does_with_all_times_on_the_clock_of_the_first_connection(
    message: dict[str, Any], packets: int
) -> None:
    text = json.dumps(message | {"transcript": "hi", "is_final": True})
    read = parse(text)
    assert isinstance(read, TranscriptMessage)
    first = PulseConnection(PulseOptions())
    for _ in range(packets):
        first.send(Audio(bytes(1600)), 0.0)
    first.close(0.0)
    second = PulseConnection(PulseOptions(), previous=first)
    second.receive_message(text, 0.0)
    (event,) = (event for event in events(second) if isinstance(event, FinalTranscript))
    for name in AS_IT_CAME:
        assert getattr(event, name) == getattr(read, name), name
    for told, came in ((event.words, read.words), (event.utterances, read.utterances)):
        assert [part.start for part in told] == pytest.approx([part.start + packets * 0.05 for part in came])
        assert [part.end for part in told] == pytest.approx([part.end + packets * 0.05 for part in came])


@given(st.lists(st.sampled_from(["Hi.", "there", "", "."]), max_size=8))
def test_without_vad_events_every_final_with_words_but_the_first_ends_its_turn(texts: list[str]) -> None:
    """Whatever finals without words come between."""
    connection = PulseConnection(PulseOptions(vad_events=True))
    spoken = 0
    for text in texts:
        connection.receive_message(final(text), 0.0)
        found = events(connection)
        if text.isascii() and any(map(str.isalpha, text)):
            spoken += 1
            assert isinstance(found[-1], SpeechEnded) is (spoken > 1)


def test_a_flush_begins_a_period_of_usage() -> None:
    connection = PulseConnection(PulseOptions())
    connection.receive_open(0.0)
    connection.send(Audio(bytes(1600)), 1.0)
    connection.send(Flush(), 2.0)
    assert events(connection) == [Usage(audio_seconds=0.05)]
    connection.send(Audio(bytes(1600)), 6.9)
    assert events(connection) == []
    connection.send(Audio(bytes(1600)), 7.0)
    assert events(connection) == [Usage(audio_seconds=0.1)]


@pytest.mark.parametrize("role", Role)
def test_a_connection_knows_its_role(role: Role) -> None:
    assert PulseConnection(PulseOptions(), role).role is role
