"""The client's side of a stream: packets, refusals, keepalives, deadlines, usage, a second connection."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import ConnectionLost, LocalProtocolError, ServerError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, Role
from smallest_proto.limits import Limits
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    ErrorMessage,
    Finalize,
    FinalTranscript,
    Flush,
    InterimTranscript,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    StreamEnded,
    TranscriptMessage,
    Usage,
)
from smallest_proto.pulse.usage import UsageMeter
from snapshots import snapshot

FINAL = '{"transcript": "one", "is_final": true}'


def events(connection: PulseConnection) -> list[Event]:
    found = []
    while (event := connection.next_event()) is not NEED_DATA:
        found.append(event)
    return found


@given(
    st.lists(st.binary(min_size=1, max_size=3000).filter(lambda pcm: len(pcm) % 2 == 0), max_size=8),
    st.sampled_from([20, 37, 50, 200]),
    st.sampled_from([8000, 16000, 22050]),
    st.lists(st.integers(0, 8)),
)
def test_what_goes_in_comes_out(pieces: list[bytes], packet_ms: int, rate: int, flushes: list[int]) -> None:
    options = PulseOptions(packet_ms=packet_ms, sample_rate=rate)
    connection = PulseConnection(options)
    size = rate * packet_ms // 1000 * 2
    out: list[str | bytes] = []
    for i, pcm in enumerate(pieces):
        connection.send(Audio(pcm), 0.0)
        whole = connection.messages_to_send()
        assert all(len(packet) == size for packet in whole)
        out += whole
        if i in flushes:
            connection.send(Flush(), 0.0)
            out += connection.messages_to_send()
    connection.send(CloseStream(), 0.0)
    out += connection.messages_to_send()
    assert out.pop() == '{"type":"close_stream"}'
    assert b"".join(p for p in out if isinstance(p, bytes)) == b"".join(pieces)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_audio_of_any_bytes_like_type(kind: type) -> None:
    connection = PulseConnection(PulseOptions())
    connection.send(Audio(kind(b"ab" * 800)), 0.0)
    (packet,) = connection.messages_to_send()
    assert type(packet) is bytes


def test_compressed_audio_is_not_cut() -> None:
    connection = PulseConnection(PulseOptions(encoding="opus", sample_rate=48000))
    for size in (1, 333, 5000):
        connection.send(Audio(b"x" * size), 0.0)
    connection.send(CloseStream(), 9.0)
    *audio, _ = connection.messages_to_send()
    assert [len(packet) for packet in audio] == [1, 333, 5000]
    assert events(connection) == []  # nobody knows how long it is


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (Audio(b""), "Audio.pcm is empty: expected at least one sample"),
        (Audio(b"abc"), "Audio.pcm has 3 bytes: expected whole samples, a multiple of 2 for linear16"),
        (Audio("ab"), "Audio.pcm is str: expected bytes"),  # type: ignore[arg-type]  # on purpose
        (None, "a client cannot send NoneType; expected Audio, Flush, Finalize, KeepAlive, CloseStream"),
        (TranscriptMessage(), "a client cannot send TranscriptMessage"),
        (Audio, "a client cannot send StructMeta"),
    ],
)
def test_malformed_commands_change_nothing(command: Any, reason: str) -> None:
    connection = PulseConnection(PulseOptions())
    connection.send(Audio(b"ab"), 0.0)
    before = snapshot(connection)
    with pytest.raises(LocalProtocolError) as caught:
        connection.send(command, 1.0)
    assert str(caught.value).startswith(reason)
    assert snapshot(connection) == before


@pytest.mark.parametrize("command", [Audio(b"ab"), Flush(), Finalize(), KeepAlive(), CloseStream()])
def test_nothing_follows_close_stream(command: Any) -> None:
    connection = PulseConnection(PulseOptions())
    connection.send(CloseStream(), 0.0)
    before = snapshot(connection)
    with pytest.raises(
        LocalProtocolError, match=r"is not allowed in state draining; allowed there: abandon$"
    ):
        connection.send(command, 1.0)
    assert snapshot(connection) == before


def test_a_direct_server_is_sent_no_keepalive() -> None:
    connection = PulseConnection(PulseOptions(endpoint="transcribe"))
    before = snapshot(connection)
    with pytest.raises(LocalProtocolError, match="KeepAlive is not for endpoint 'transcribe'"):
        connection.send(KeepAlive(), 0.0)
    assert snapshot(connection) == before


def test_a_server_refuses_what_it_cannot_write() -> None:
    connection = PulseConnection(PulseOptions(), Role.SERVER)
    for command, reason in (
        (Finalize(), "a server cannot send Finalize; expected TranscriptMessage"),
        (TranscriptMessage(transcript="\udc00"), "TranscriptMessage cannot be written as JSON"),
        (ErrorMessage(message=object()), "ErrorMessage cannot be written as JSON"),  # type: ignore[arg-type]
    ):
        before = snapshot(connection)
        with pytest.raises(LocalProtocolError) as caught:
            connection.send(command, 0.0)
        assert str(caught.value).startswith(reason)
        assert snapshot(connection) == before


def test_keepalives_follow_the_last_message_not_the_clock() -> None:
    connection = PulseConnection(PulseOptions(endpoint="live"))
    assert connection.next_deadline() is None
    connection.receive_open(100.0)
    assert connection.next_deadline() == 105.0
    connection.send(Audio(b"ab"), 103.0)  # held back: no message yet
    assert connection.next_deadline() == 105.0
    connection.send(Flush(), 104.0)
    assert connection.next_deadline() == 109.0
    connection.messages_to_send()
    connection.handle_timeout(108.9)
    assert connection.messages_to_send() == []
    connection.handle_timeout(112.0)
    assert connection.messages_to_send() == ['{"type":"keepalive"}']
    assert connection.next_deadline() == 117.0
    connection.receive_message('{"type":"pong"}', 116.0)
    assert connection.next_deadline() == 117.0


def test_the_drain_deadline_counts_from_the_last_sign_of_work() -> None:
    connection = PulseConnection(PulseOptions(endpoint="live"), limits=Limits(drain_timeout=3.0))
    connection.receive_open(0.0)
    connection.send(CloseStream(), 1.0)
    assert connection.next_deadline() == 4.0
    for message, deadline in (
        ('{"type":"pong"}', 4.0),
        ("nonsense", 4.0),
        ('{"transcript":""}', 6.5),
        ('{"type":"speech_ended"}', 6.5),
    ):
        connection.receive_message(message, 3.5)
        assert connection.next_deadline() == deadline
    connection.receive_open(3.6)  # late, and no keepalive starts now
    assert connection.next_deadline() == 6.5
    events(connection)
    connection.handle_timeout(6.4)
    assert events(connection) == []
    connection.handle_timeout(6.5)
    assert events(connection) == [StreamEnded(confirmed=False, reason="drain_timeout")]
    assert connection.close_requested == (1000, "")
    assert connection.next_deadline() is None


def test_opening_after_the_end_starts_nothing() -> None:
    connection = PulseConnection(PulseOptions(endpoint="live"))
    connection.receive_close(1006, "", 0.0)
    connection.receive_open(1.0)
    assert connection.next_deadline() is None


def test_what_is_queued_is_handed_out_once() -> None:
    connection = PulseConnection(PulseOptions())
    connection.send(Finalize(), 0.0)
    assert connection.messages_to_send() == ['{"type":"finalize"}']
    assert connection.messages_to_send() == []
    connection.send(Finalize(), 0.0)
    connection.receive_close(1006, "", 0.0)
    assert connection.messages_to_send() == []  # nobody is there any more


def test_the_heartbeat_is_the_clients() -> None:
    assert PulseConnection(PulseOptions()).heartbeat == 5.0
    assert PulseConnection(PulseOptions(heartbeat=None)).heartbeat is None
    assert PulseConnection(PulseOptions(), Role.SERVER).heartbeat is None


@pytest.mark.parametrize("compat", ["default", "seed"])
def test_finalizes_are_counted(compat: Any) -> None:
    connection = PulseConnection(PulseOptions(compat=compat))
    connection.send(Finalize(), 0.0)
    connection.send(Finalize(), 0.0)
    assert connection.finalizes_outstanding == 2
    found = []
    for message, left in (
        ('{"transcript": "a", "is_final": true, "from_finalize": false}', 2),  # one that was on its way
        ('{"transcript": "b", "is_final": false}', 2),
        ('{"transcript": "c", "is_final": true}', 1),
        ('{"transcript": "", "is_final": true, "from_finalize": true}', 0),
        ('{"transcript": "d", "is_final": true}', 0),
        ('{"transcript": "e", "is_final": true, "from_finalize": true}', 0),
    ):
        connection.receive_message(message, 0.0)
        assert connection.finalizes_outstanding == left
        found += [(e.text, e.from_finalize) for e in events(connection) if isinstance(e, FinalTranscript)]
    assert found == [("a", False), ("c", True), ("d", None), ("e", True)]


def test_closes_and_their_errors() -> None:
    for code, kind in (
        (1000, ConnectionLost),
        (1006, ConnectionLost),
        (1011, ConnectionLost),
        (1008, ServerError),
    ):
        connection = PulseConnection(PulseOptions())
        connection.receive_close(code, "secret text", 0.0)
        (closed,) = events(connection)
        assert isinstance(closed, ConnectionClosed)
        assert (closed.code, closed.reason, closed.expected) == (code, "secret text", False)
        assert type(closed.error) is kind
        assert closed.error is not None
        assert closed.error.status == code
        assert closed.error.retryable
        assert "secret" not in str(closed.error)


def test_an_error_of_the_byte_level_makes_a_clean_code_a_broken_one() -> None:
    lost = ConnectionLost("gone")
    connection = PulseConnection(PulseOptions())
    connection.send(CloseStream(), 0.0)
    connection.receive_close(1000, "", 0.0, error=lost)
    assert events(connection) == [ConnectionClosed(code=1000, expected=False, error=lost)]
    server = PulseConnection(PulseOptions(), Role.SERVER)
    server.receive_close(1006, "", 0.0, error=lost)
    assert events(server) == [ConnectionClosed(code=1006, expected=False, error=lost)]


# --- usage ----------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 100), st.floats(0, 12), st.booleans()), max_size=30))
def test_reports_add_up(pushes: list[tuple[int, float, bool]]) -> None:
    meter = UsageMeter()
    now = reported = pushed = 0.0
    meter.start(now)
    last = now
    for packets, gap, flush in pushes:
        now += gap
        report = meter.push(packets * 0.05, now)
        assert (report > 0) is (now - last >= 5.0)
        if report:
            last = now
        reported += report
        pushed += packets * 0.05
        if flush:
            reported += meter.flush(now)
            last = now
    assert reported + meter.flush(now) == pytest.approx(pushed)
    assert meter.flush(now) == 0.0


def test_usage_in_real_time() -> None:
    connection = PulseConnection(PulseOptions())
    connection.receive_open(0.0)
    reports = []
    for i in range(246):
        now = round(0.05 * (i + 1), 6)
        connection.send(Audio(bytes(1600)), now)
        reports += [(now, e.audio_seconds) for e in events(connection) if isinstance(e, Usage)]
    connection.send(CloseStream(), 12.3)
    reports += [(12.3, e.audio_seconds) for e in events(connection) if isinstance(e, Usage)]
    assert [at for at, _ in reports] == [5.0, 10.0, 12.3]
    assert [seconds for _, seconds in reports] == pytest.approx([5.0, 5.0, 2.3])


def test_without_an_opening_the_first_packet_starts_the_period() -> None:
    connection = PulseConnection(PulseOptions())
    connection.send(Audio(bytes(1600)), 100.0)
    connection.send(Audio(bytes(1600)), 104.9)
    assert events(connection) == []
    connection.send(Audio(bytes(1600)), 105.0)
    (usage,) = events(connection)
    assert isinstance(usage, Usage)
    assert math.isclose(usage.audio_seconds, 0.15)


# --- a connection in the place of another ------------------------------------------------------------------


def test_held_audio_is_cut_to_the_new_packets() -> None:
    old = PulseConnection(PulseOptions(packet_ms=200))
    old.send(Audio(b"ab" * 2000), 0.0)  # 4,000 of 6,400 bytes: all held back
    old.close(1.0)
    assert old.messages_to_send() == []
    new = PulseConnection(PulseOptions(packet_ms=50), previous=old)
    new.send(Flush(), 2.0)
    assert [len(packet) for packet in new.messages_to_send()] == [1600, 1600, 800]
    assert sum(e.audio_seconds for e in events(new) if isinstance(e, Usage)) == pytest.approx(0.125)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=4), st.lists(st.integers(1, 5000), max_size=4))
def test_times_and_audio_go_on_over_connections(before: list[int], after: list[int]) -> None:
    old = PulseConnection(PulseOptions())
    for samples in before:
        old.send(Audio(b"ab" * samples), 0.0)
    sent = old.messages_to_send()
    old.close(0.0)
    new = PulseConnection(PulseOptions(language="hi"), previous=old)
    assert new.session_id == old.session_id == ""
    new.receive_message(
        '{"session_id": "n", "transcript": "a", "words": [{"word": "a", "start": 1, "end": 2}]}', 0.0
    )
    (interim,) = (e for e in events(new) if isinstance(e, InterimTranscript))
    assert interim.words[0].start == pytest.approx(1 + sum(map(len, sent)) / 32000)
    for samples in after:
        new.send(Audio(b"ab" * samples), 0.0)
    new.send(Flush(), 0.0)
    sent += new.messages_to_send()
    assert sum(map(len, sent)) == 2 * (sum(before) + sum(after))
    assert new.session_id == "n"


def test_a_server_end_replaces_nothing() -> None:
    server = PulseConnection(PulseOptions(), Role.SERVER)
    PulseConnection(PulseOptions(), previous=server).receive_message(FINAL, 0.0)
    PulseConnection(PulseOptions(), Role.SERVER, previous=server).receive_message(FINAL, 0.0)
