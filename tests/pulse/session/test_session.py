"""A session by hand: what it sends to whom, and what it tells, in each kind of trouble."""

from __future__ import annotations

import msgspec
import pytest

from pulse.session.hand import SECOND, Hand, audio_in, said, text, vad
from smallest_proto.errors import ConnectFailed, HandshakeRejected, LocalProtocolError, ServerError
from smallest_proto.events import NEED_DATA, ConnectionClosed, Event, ServerErrorReceived, UnknownMessage
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    FinalTranscript,
    Flush,
    KeepAlive,
    MigrationFailed,
    PulseConnection,
    PulseOptions,
    PulseSession,
    Reconnecting,
    Resumed,
    SessionConnection,
    SessionState,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    Usage,
)

FINALIZE, CLOSE, KEEPALIVE = '{"type":"finalize"}', '{"type":"close_stream"}', '{"type":"keepalive"}'
NO = ConnectFailed("no route")
WORDLESS = PulseOptions(word_timestamps=False)
LAST = said("bye", is_last=True)


def _texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, FinalTranscript)]


def _ends(events: list[Event]) -> ConnectionClosed:
    closed = events[-1]
    assert isinstance(closed, ConnectionClosed)
    return closed


# -- one connection


@pytest.mark.parametrize("compat", ["default", "seed"])
@pytest.mark.parametrize(
    "messages",
    [
        [said("a", final=False), said("a", "b"), said("c"), LAST],
        [said("a", final=False), "nonsense", text("x"), LAST],
        [vad("started", 0.1), said("a"), vad("ended", 0.9), said("late", at=0.5), LAST],
        [vad("started", 0.02), vad("ended", 0.04), vad("started", 0.06), said("a"), LAST],
    ],
)
def test_with_one_connection_it_tells_what_that_tells(messages: list[str], compat: str) -> None:
    options = PulseOptions(compat=compat, vad_events=True)  # type: ignore[arg-type]  # both are literals
    plain = PulseConnection(options)
    hand = Hand(options)
    connection = hand.open()
    plain.receive_open(0.0)
    for command in (Audio(bytes(SECOND)), Finalize(), CloseStream()):
        plain.send(command, 0.0)
        hand.session.send(command, 0.0)
    assert connection.messages_to_send() == plain.messages_to_send()
    for message in messages:
        plain.receive_message(message, 1.0)
        connection.receive_message(message, 1.0)
    plain.receive_close(1000, "", 1.0)
    expected: list[Event] = []
    while (event := plain.next_event()) is not NEED_DATA:
        expected.append(event)
    assert hand.events() == expected
    assert hand.session.closed == expected[-1]


def test_the_connection_is_a_message_layer() -> None:
    hand = Hand(PulseOptions(endpoint="live", heartbeat=7.0))
    connection = hand.open()
    assert connection.closed is None
    assert connection.heartbeat == 7.0
    assert connection.close_requested is None
    assert connection.next_deadline() == 5.0
    connection.handle_timeout(5.0)
    assert connection.messages_to_send() == [KEEPALIVE]
    hand.hear(connection, said("a", session_id="s1"))
    assert hand.session.session_id == connection.session_id == "s1"
    assert connection.next_event() is NEED_DATA
    hand.hear(connection, '{"type":"error","message":"secret"}')
    event = connection.next_event()
    assert isinstance(event, ServerErrorReceived)
    assert connection.close_requested == (1000, "")
    assert hand.session.session_id == ""
    hand.drop(connection)
    assert connection.closed is not None


def test_usage_and_unknown_messages_pass() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(6.0)
    hand.hear(connection, "[]")
    hand.now = 6.0
    hand.speak(1.0)
    (unknown, usage) = hand.events()
    assert isinstance(unknown, UnknownMessage)
    assert usage == Usage(audio_seconds=6.05)
    hand.session.close(7.0)
    assert hand.events()[0] == Usage(audio_seconds=0.95)


# -- what may be sent


def test_compressed_audio_is_refused() -> None:
    with pytest.raises(ValueError, match=r"options\.encoding='opus': expected an encoding of fixed width"):
        Hand(PulseOptions(encoding="opus"))


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (Audio("words"), "Audio.pcm is str: expected bytes"),  # type: ignore[arg-type]  # the caller's mistake
        (Audio(b""), "is empty"),
        (Audio(b"123"), "a multiple of 2"),
        ("finalize", "a session cannot send str"),
    ],
)
def test_a_refused_command_changes_nothing(command: object, text: str) -> None:
    hand = Hand()
    for _ in range(2):
        with pytest.raises(LocalProtocolError, match=text):
            hand.session.send(command, 0.0)  # type: ignore[arg-type]  # the caller's mistake
        assert hand.session.kept_seconds == 0.0
        if hand.session.state is SessionState.DIALLING:
            assert hand.open().messages_to_send() == []


def test_nothing_follows_the_end() -> None:
    hand = Hand()
    hand.session.send(CloseStream(), 0.0)
    with pytest.raises(LocalProtocolError, match="its input has ended"):
        hand.session.send(Audio(b"12"), 0.0)
    with pytest.raises(LocalProtocolError, match="the input has ended"):
        hand.session.update_options(PulseOptions(language="hi"), 0.0)
    hand.session.migrate(0.0)  # too late to be of use
    connection = hand.open()
    assert connection.messages_to_send() == [CLOSE]
    hand.session.migrate(0.0)
    assert hand.session.next_connection() is None
    hand.session.close(0.0)
    with pytest.raises(LocalProtocolError, match="the session has ended"):
        hand.session.send(KeepAlive(), 0.0)
    for refused in (hand.session.migrate, lambda now: hand.session.update_options(PulseOptions(), now)):
        with pytest.raises(LocalProtocolError, match="not allowed in state ended"):
            refused(0.0)


def test_keepalive_is_for_the_connection_there_is() -> None:
    hand = Hand()
    hand.session.send(KeepAlive(), 0.0)
    connection = hand.open()
    assert connection.messages_to_send() == []
    hand.session.send(KeepAlive(), 0.0)
    assert connection.messages_to_send() == [KEEPALIVE]
    hand.session.update_options(PulseOptions(language="hi"), 0.0)
    hand.session.send(KeepAlive(), 0.0)
    assert connection.messages_to_send() == [CLOSE]
    direct = Hand(PulseOptions(endpoint="transcribe"))
    with pytest.raises(LocalProtocolError, match="transcribe"):
        direct.session.send(KeepAlive(), 0.0)


def test_a_command_said_twice_in_one_place_goes_once() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(0.01)
    for command in (Flush(), Flush(), Finalize(), Finalize(), CloseStream()):
        hand.session.send(command, 0.0)
    assert connection.messages_to_send() == [bytes(320), FINALIZE, CLOSE]


# -- a connection is lost


def test_what_no_final_has_covered_is_replayed_and_live_audio_follows() -> None:
    hand = Hand(overlap=0.0)
    first = hand.open()
    one = bytes(range(256)) * 500
    hand.session.send(Audio(one), 0.0)
    hand.hear(first, said("one", at=0.5))
    hand.drop(first)
    two = bytes(reversed(range(256))) * 100
    hand.session.send(Audio(two), 0.0)
    reconnecting, second = hand.events()[-1], hand.dial_later()
    assert isinstance(reconnecting, Reconnecting)
    assert (reconnecting.attempt, reconnecting.delay) == (1, 0.125)
    assert hand.now == 0.125
    second.receive_open(hand.now)
    replay = b"".join(m for m in second.messages_to_send() if isinstance(m, bytes))
    expected = (one + two)[SECOND:]
    assert replay == expected[: len(expected) - len(expected) % 1600]
    assert hand.events() == [Resumed(attempt=1, replayed=len(expected) / SECOND, start=1.0)]
    hand.session.send(Flush(), hand.now)
    assert audio_in(second) == len(expected) % 1600
    hand.hear(second, said("two", at=0.25))
    (final,) = (event for event in hand.events() if isinstance(event, FinalTranscript))
    assert (final.start, final.end, final.words[0].start) == (1.25, 1.75, 1.25)


def test_finalize_and_close_stream_on_their_way_go_again_in_their_places() -> None:
    hand = Hand(overlap=0.0)
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(Finalize(), 0.0)
    hand.speak(0.5)
    hand.session.send(CloseStream(), 0.0)
    for _ in range(3):
        messages = connection.messages_to_send()
        assert [m if isinstance(m, str) else len(m) for m in messages] == [
            *[1600] * 20,
            FINALIZE,
            *[1600] * 10,
            CLOSE,
        ]
        hand.drop(connection)
        connection = hand.dial_later()
        connection.receive_open(hand.now)
    # an answer that is marked covers what was sent before the finalize; other finals do not answer it
    hand.hear(connection, text("a", from_finalize=True))
    hand.drop(connection)
    connection = hand.dial_later()
    connection.receive_open(hand.now)
    assert audio_in(connection) == 0.5 * SECOND


def test_a_final_that_is_not_marked_need_not_be_the_answer() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(Finalize(), 0.0)
    hand.hear(connection, text("a"), '{"type":"transcription","transcript":"","is_final":true}')
    hand.drop(connection)
    connection = hand.dial_later()
    connection.receive_open(hand.now)
    assert FINALIZE in connection.messages_to_send()


def test_a_mark_that_no_finalize_stands_for_covers_nothing() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.hear(connection, text("a", from_finalize=True))
    hand.session.send(Finalize(), 0.0)
    connection.receive_message(b"\xff", 0.0)
    hand.hear(connection, text("b", from_finalize=False))
    assert hand.session.kept_seconds == 1.0
    connection.receive_message(text("c", from_finalize=True).replace("true}", '"yes"}'), 0.0)
    assert hand.session.kept_seconds == 0.0


def test_an_answer_that_comes_with_the_end_of_the_connection_covers_its_words_only() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(Finalize(), 0.0)
    hand.hear(connection, said("a", from_finalize=True, is_last=True))
    assert hand.session.kept_seconds == 0.75


def test_a_pause_is_covered_by_what_follows_the_speech_after_it() -> None:
    hand = Hand(PulseOptions(vad_events=True, word_timestamps=False))
    connection = hand.open()
    hand.speak(4.0)
    hand.hear(connection, vad("started", 0.0), said("a", final=False), text("a"), vad("ended", 1.0))
    assert hand.session.kept_seconds == 4.0
    hand.hear(connection, vad("started", 2.0))
    hand.hear(connection, text("b"))
    assert hand.session.kept_seconds == 3.0
    hand.hear(connection, vad("ended", 2.5), text("b", "too"))
    assert hand.session.kept_seconds == 3.0  # that may be the rest of the same speech
    hand.hear(connection, text("c"))
    assert hand.session.kept_seconds == 1.5
    hand.drop(connection)
    again = hand.dial_later()
    again.receive_open(hand.now)
    hand.events()
    hand.hear(again, said("c", final=False), text("c", "d"))
    assert _texts(hand.events()) == ["d"]


def test_an_old_connection_is_not_heard_any_more() -> None:
    hand = Hand()
    first = hand.open()
    hand.drop(first)
    second = hand.dial_later()
    hand.events()
    hand.hear(first, said("late"))
    first.receive_close(1000, "", hand.now)
    first.receive_open(hand.now)
    first.handle_timeout(hand.now)
    assert hand.events() == []
    assert hand.session.state is SessionState.DIALLING
    hand.hear(second, said("early"))  # nor one that is not open yet
    assert hand.events() == []


def test_the_first_connection_must_come_about() -> None:
    hand = Hand()
    hand.speak(1.0)
    hand.drop(hand.dial(), error=NO)
    assert hand.events()[1] == ConnectionClosed(code=1006, expected=False, error=NO)
    assert hand.session.state is SessionState.ENDED
    patient = Hand(retry_first=True)
    patient.drop(patient.dial(), error=NO)
    assert patient.names() == ["Reconnecting"]
    patient.dial_later().receive_open(1.0)
    assert patient.events() == []  # nothing was there to resume


def test_attempts_are_counted_until_there_is_progress() -> None:
    hand = Hand(max_attempts=3)
    connection = hand.open()
    for attempt in (1, 2, 3):
        hand.drop(connection)
        connection = hand.dial_later()
        connection.receive_open(hand.now)
        (reconnecting, resumed) = hand.events()
        assert isinstance(reconnecting, Reconnecting)
        assert isinstance(resumed, Resumed)
        assert reconnecting.attempt == resumed.attempt == attempt
    hand.speak(1.0)
    hand.hear(connection, said("progress"))
    hand.drop(connection)
    connection = hand.dial_later()
    connection.receive_open(hand.now)
    hand.now += 10.0  # so is a connection that holds
    hand.drop(connection)
    reconnecting = hand.events()[-1]
    assert isinstance(reconnecting, Reconnecting)
    assert reconnecting.attempt == 1
    for _ in range(2):
        hand.drop(hand.dial_later(), error=NO)
    hand.drop(hand.dial_later(), error=HandshakeRejected("busy", status=503))
    assert _ends(hand.events()).error == HandshakeRejected("busy", status=503)


def test_a_server_says_when_to_come_back() -> None:
    hand = Hand()
    hand.drop(hand.open(), error=HandshakeRejected("busy", status=429, retry_after=20.0))
    assert hand.session.next_deadline() == 20.0


def test_an_error_message_is_the_reason_and_ends_the_connection() -> None:
    hand = Hand()
    first = hand.open()
    hand.hear(first, '{"type":"error","message":"oops"}')
    (reconnecting,) = hand.events()
    assert isinstance(reconnecting, Reconnecting)
    assert isinstance(reconnecting.error, ServerError)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.speak(1.0)
    hand.hear(second, said("a", final=False))
    hand.events()
    hand.hear(second, '{"type":"error","error_code":"MODEL_DEPRECATED","message":"gone"}')
    assert hand.names() == ["Usage", "ServerErrorReceived", "SpeechEnded", "AudioDropped", "ConnectionClosed"]


def test_is_last_that_nobody_asked_for_is_not_the_end() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(2.0)
    hand.hear(connection, LAST)
    events = hand.events()
    assert [type(e).__name__ for e in events] == ["SpeechStarted", "FinalTranscript", "Usage", "Reconnecting"]
    assert isinstance(events[1], FinalTranscript)
    assert not events[1].is_last
    assert connection.close_requested


def test_a_connection_that_the_driver_closes_is_lost() -> None:
    hand = Hand()
    connection = hand.open()
    connection.close(0.0)
    (event,) = hand.events()
    assert isinstance(event, Reconnecting)
    assert "from this side" in str(event.error)


# -- the end


def test_the_end_is_confirmed() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(CloseStream(), 0.0)
    hand.hear(connection, LAST)
    events = hand.events()
    assert isinstance(events[2], FinalTranscript)
    assert events[2].is_last
    assert events[-2:] == [StreamEnded(confirmed=True), ConnectionClosed(code=1000, expected=True)]
    assert hand.session.next_deadline() is None


def test_the_wait_for_the_end_is_bounded_across_connections() -> None:
    hand = Hand(max_attempts=1000, end_timeout=10.0, first_delay=0.5, longest_delay=0.5)
    connection = hand.open()
    hand.speak(1.0)
    hand.session.send(CloseStream(), 0.0)
    hand.now = 5.0
    hand.hear(connection, said("a"))  # progress: the wait begins anew
    while hand.session.closed is None:
        hand.drop(connection)
        hand.wait()
        connection = hand.session.next_connection() or connection
        connection.receive_open(hand.now)
        hand.now += 1.0
    assert hand.now <= 16.0
    events = hand.events()
    assert events[-2] == StreamEnded(confirmed=False, reason="drain_timeout")
    endless = Hand(end_timeout=None)
    endless.open()
    endless.session.send(CloseStream(), 0.0)
    assert endless.session.next_deadline() is None


def test_giving_up_ends_everything() -> None:
    hand = Hand()
    connection = hand.open()
    hand.speak(1.0)
    hand.hear(connection, said("a", final=False))
    hand.session.migrate(0.0)
    following = hand.dial()
    hand.events()
    hand.session.close(0.0)
    assert hand.names() == ["Usage", "SpeechEnded", "StreamEnded", "ConnectionClosed"]
    assert connection.close_requested
    assert following.close_requested
    hand.session.close(0.0)
    assert hand.events() == []


def test_giving_up_before_the_dial() -> None:
    hand = Hand()
    hand.session.close(0.0)
    assert hand.names() == ["StreamEnded", "ConnectionClosed"]
    assert hand.session.next_connection() is None


# -- turns


def test_a_turn_goes_on_over_a_drop() -> None:
    hand = Hand()
    first = hand.open()
    hand.speak(1.0)
    hand.hear(first, said("a", final=False))
    hand.drop(first)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.hear(second, said("a", "b", final=False), said("a", "b"))
    names = [name for name in hand.names() if name != "Usage"]
    assert names == [
        *("SpeechStarted", "InterimTranscript", "Reconnecting", "Resumed"),
        *("InterimTranscript", "FinalTranscript", "SpeechEnded"),
    ]
    hand.wait(10.0)
    assert hand.events() == []


def test_a_turn_that_does_not_go_on_ends() -> None:
    hand = Hand(turn_timeout=3.0)
    first = hand.open()
    hand.speak(1.0)
    hand.hear(first, said("a", final=False))
    hand.drop(first)
    hand.dial_later().receive_open(hand.now)
    hand.events()
    hand.wait(2.9)
    assert hand.events() == []
    hand.wait(0.2)
    assert hand.events() == [SpeechEnded(time=None)]


def test_speech_after_the_drop_is_another_turn() -> None:
    hand = Hand(PulseOptions(vad_events=True))
    first = hand.open()
    hand.speak(1.0)
    hand.hear(first, vad("started", 0.5))
    hand.drop(first)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.speak(1.0)
    hand.events()
    hand.hear(second, vad("started", 1.5))
    assert hand.events() == [SpeechEnded(), SpeechStarted(time=1.5, source="vad")]


def test_the_seed_leaves_its_turn_open() -> None:
    hand = Hand(PulseOptions(compat="seed"))
    first = hand.open()
    hand.hear(first, said("a", final=False))
    hand.session.close(0.0)
    assert "SpeechEnded" not in hand.names()


def test_what_the_vad_says_again_is_not_told_again() -> None:
    hand = Hand(PulseOptions(vad_events=True, word_timestamps=False))
    first = hand.open()
    hand.speak(2.0)
    hand.hear(first, vad("started", 0.2), said("a", final=False), vad("ended", 0.8), text("a"))
    hand.hear(first, vad("started", 1.5))
    hand.drop(first)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.events()
    hand.hear(second, vad("started", 0.2), said("a", final=False), vad("ended", 0.85), text("a"))
    assert hand.events() == []
    hand.hear(second, vad("started", 1.5), said("b", final=False), vad("ended", 1.9))
    assert hand.names() == ["InterimTranscript", "SpeechEnded"]


# -- a planned change


def test_the_same_options_change_nothing() -> None:
    hand = Hand()
    connection = hand.open()
    hand.session.update_options(PulseOptions(), 0.0)
    assert hand.session.state is SessionState.LIVE
    assert connection.messages_to_send() == []


@pytest.mark.parametrize(("field", "value"), [("sample_rate", 8000), ("encoding", "linear32")])
def test_the_kind_of_audio_cannot_change(field: str, value: object) -> None:
    hand = Hand()
    other = msgspec.structs.replace(PulseOptions(), **{field: value})
    with pytest.raises(LocalProtocolError, match=rf"options\.{field}={value!r}: expected"):
        hand.session.update_options(other, 0.0)
    assert hand.session.options == PulseOptions()


def test_new_options_take_another_connection() -> None:
    hand = Hand()
    first = hand.open()
    hand.speak(2.0)
    assert audio_in(first) == 2 * SECOND
    hand.session.update_options(PulseOptions(language="hi"), 0.0)
    assert first.messages_to_send() == [CLOSE]
    hand.speak(1.0)
    second = hand.dial()
    assert second.options.language == "hi"
    second.receive_open(0.0)
    assert audio_in(first) == audio_in(second) == 0
    hand.hear(first, said("old", is_last=True))
    assert audio_in(second) == SECOND
    hand.hear(second, said("neu"))
    events = [e for e in hand.events() if not isinstance(e, Usage)]
    assert [type(event).__name__ for event in events] == [
        *("SpeechStarted", "FinalTranscript", "Resumed", "FinalTranscript", "SpeechEnded"),
    ]
    assert isinstance(events[1], FinalTranscript)
    assert not events[1].is_last
    assert events[2] == Resumed(attempt=0, replayed=1.0, start=2.0)
    assert _texts(events) == ["old", "neu"]
    assert isinstance(events[3], FinalTranscript)
    assert events[3].start == 2.0


def test_the_old_connection_has_a_second() -> None:
    hand = Hand()
    first = hand.open()
    hand.speak(2.0)
    hand.session.update_options(PulseOptions(language="hi"), 0.0)
    second = hand.dial()
    second.receive_open(0.0)
    assert hand.session.next_deadline() == 1.0
    hand.wait(1.0)
    assert first.close_requested
    assert audio_in(second) == 2 * SECOND
    # nor does an old connection without an answer keep a new one waiting
    hand.session.update_options(PulseOptions(), 1.0)
    hand.hear(second, text("x"))
    hand.wait(1.0)
    assert hand.session.state is SessionState.DIALLING
    third = hand.dial()
    third.receive_open(2.0)
    assert audio_in(third) == 2 * SECOND


def test_the_old_connection_may_close_without_is_last() -> None:
    hand = Hand()
    first = hand.open()
    hand.speak(2.0)
    hand.session.update_options(PulseOptions(language="hi"), 0.0)
    hand.drop(first, 1000)
    assert audio_in(hand.open()) == 2 * SECOND


@pytest.mark.parametrize("open_first", [False, True])
@pytest.mark.parametrize("code", [1006, 1008])
def test_the_old_connection_may_break_while_it_is_changed(open_first: bool, code: int) -> None:
    hand = Hand()
    first = hand.open()
    hand.speak(2.0)
    hand.session.update_options(PulseOptions(language="hi"), 0.0)
    second = hand.dial()
    if open_first:
        second.receive_open(0.0)
    hand.drop(first, code)
    if not open_first:
        second.receive_open(0.0)
    assert audio_in(second) == 2 * SECOND
    assert "Reconnecting" not in hand.names()


@pytest.mark.parametrize("opened", [False, True])
def test_the_new_connection_may_break_while_it_is_changed(opened: bool) -> None:
    hand = Hand()
    hand.open()
    hand.session.update_options(PulseOptions(language="hi"), 0.0)
    second = hand.dial()
    if opened:
        second.receive_open(0.0)
    hand.drop(second)
    assert hand.names() == ["Reconnecting"]
    hand.session.update_options(PulseOptions(language="en"), 0.0)
    third = hand.dial_later()
    assert third.options.language == "en"
    hand.drop(third, error=HandshakeRejected("no", status=403))
    assert _ends(hand.events()).error == HandshakeRejected("no", status=403)


def test_options_may_change_at_any_time() -> None:
    hand = Hand()
    languages = iter(("hi", "de", "fr", "es", "it", "pt"))

    def change() -> None:
        hand.session.update_options(PulseOptions(language=next(languages)), 0.0)

    change()  # before the first dial
    first = hand.open()
    assert first.options.language == "hi"
    hand.session.migrate(0.0)
    following = hand.dial()
    change()  # while another connection warms
    assert following.close_requested
    change()  # while it changes
    second = hand.open()
    assert second.options.language == "fr"
    change()  # while it switches
    assert second.close_requested
    third = hand.open()
    hand.hear(first, said("", is_last=True))
    assert hand.session.state is SessionState.LIVE
    assert third.options.language == "es"


def test_a_change_in_the_middle_of_a_replay_does_not_cut_it() -> None:
    hand = Hand(replay_pace=2.0)
    first = hand.open()
    hand.speak(5.0)
    hand.drop(first)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.session.update_options(PulseOptions(language="hi"), hand.now)
    assert CLOSE not in second.messages_to_send()
    third = hand.open()
    hand.wait(0.1)
    assert second.close_requested
    assert audio_in(third) == 3 * 3200  # at once, after 50 ms, after 100 ms
    assert hand.session.state is SessionState.LIVE


# -- a handover


def test_the_next_connection_is_open_before_the_old_one_is_closed() -> None:
    hand = Hand()
    first = hand.open()
    hand.session.migrate(0.0)
    hand.session.migrate(0.0)
    second = hand.dial()
    hand.speak(1.0)
    assert audio_in(first) == SECOND
    second.receive_open(0.0)
    hand.session.migrate(0.0)
    assert first.messages_to_send() == [CLOSE]
    hand.speak(1.0)
    hand.hear(first, said("", is_last=True))
    assert audio_in(second) == SECOND
    assert [e for e in hand.events() if not isinstance(e, Usage)] == [
        Resumed(attempt=0, replayed=1.0, start=1.0)
    ]


@pytest.mark.parametrize("error", [NO, HandshakeRejected("no", status=403)])
def test_without_another_connection_everything_stays(error: ConnectFailed | HandshakeRejected) -> None:
    hand = Hand()
    first = hand.open()
    hand.session.migrate(0.0)
    hand.drop(hand.dial(), error=error)
    assert hand.events() == [MigrationFailed(error=error)]
    hand.speak(1.0)
    assert audio_in(first) == SECOND
    hand.session.migrate(0.0)
    assert hand.dial() is not first


def test_the_old_connection_may_break_while_the_next_is_dialled() -> None:
    hand = Hand()
    first = hand.open()
    hand.speak(1.0)
    hand.session.migrate(0.0)
    second = hand.dial()
    hand.drop(first)
    second.receive_open(0.0)
    reconnecting, resumed = (e for e in hand.events() if not isinstance(e, Usage))
    assert isinstance(reconnecting, Reconnecting)
    assert (reconnecting.attempt, reconnecting.delay) == (1, 0.0)
    assert resumed == Resumed(attempt=1, replayed=1.0, start=0.0)
    assert audio_in(second) == SECOND
    hand.session.migrate(0.0)
    hand.drop(second, 1008)
    assert hand.session.closed is not None
    assert hand.session.next_connection() is None


def test_the_input_may_end_during_a_handover() -> None:
    hand = Hand()
    first = hand.open()
    hand.session.migrate(0.0)
    hand.session.send(CloseStream(), 0.0)
    second = hand.dial()
    second.receive_open(0.0)
    assert first.messages_to_send() == [CLOSE]
    hand.hear(first, LAST)
    assert _ends(hand.events()).expected
    assert second.close_requested
    late = Hand()
    first = late.open()
    late.session.update_options(PulseOptions(language="hi"), 0.0)
    late.session.migrate(0.0)
    late.session.send(CloseStream(), 0.0)
    second = late.open()
    late.hear(first, said("x", is_last=True))
    assert second.messages_to_send() == [CLOSE]
    late.hear(second, said("", is_last=True))
    assert late.events()[-2] == StreamEnded(confirmed=True)


# -- a late driver, a mad server


def test_a_driver_that_is_far_too_late_finds_the_end() -> None:
    hand = Hand(replay_pace=2.0, end_timeout=5.0)
    first = hand.open()
    hand.speak(20.0)
    hand.drop(first)
    hand.session.send(CloseStream(), 0.0)
    hand.dial_later().receive_open(hand.now)
    hand.session.handle_timeout(1e6)
    assert hand.session.closed is None  # all of the replay was due, and the end thereafter
    hand.session.handle_timeout(2e6)
    assert hand.session.closed is not None
    tied = Hand(end_timeout=1.0)
    tied.open()
    tied.session.update_options(PulseOptions(language="hi"), 0.0)
    tied.session.send(CloseStream(), 0.0)
    tied.session.handle_timeout(1.0)
    assert tied.names() == ["StreamEnded", "ConnectionClosed"]


def test_finals_without_end_are_forgotten() -> None:
    hand = Hand(WORDLESS)
    connection = hand.open()
    for i in range(30):
        hand.hear(connection, text(*(f"w{i}-{j}" for j in range(100))))
    hand.drop(connection)
    again = hand.dial_later()
    again.receive_open(hand.now)
    hand.events()
    hand.hear(again, text("w29-98", "w29-99", "new"))
    assert len(_texts(hand.events())) == 1


# -- pace


def test_a_paced_replay_keeps_its_pace_and_then_is_live() -> None:
    hand = Hand(replay_pace=2.0)
    first = hand.open()
    hand.speak(1.0)
    hand.session.send(Finalize(), 0.0)
    hand.drop(first)
    second = hand.dial_later()
    second.receive_open(hand.now)
    assert audio_in(second) == 0.1 * SECOND
    for _ in range(4):
        hand.wait()
        assert audio_in(second) == 0.1 * SECOND
    hand.speak(0.5)
    assert audio_in(second) == 0
    hand.now += 0.3  # the driver was late
    hand.session.handle_timeout(hand.now)
    messages = second.messages_to_send()
    assert messages.index(FINALIZE) == 10
    assert len(messages) == 13
    hand.wait(1.0)
    assert audio_in(second) == 0.4 * SECOND
    hand.speak(0.5)
    assert audio_in(second) == 0.5 * SECOND


def test_a_paced_replay_puts_the_end_off() -> None:
    hand = Hand(replay_pace=2.0, end_timeout=1.0)
    first = hand.open()
    hand.speak(10.0)
    hand.drop(first)
    hand.session.send(CloseStream(), 0.0)
    second = hand.dial_later()
    second.receive_open(hand.now)
    hand.wait(5.0)
    assert hand.session.closed is None
    assert CLOSE in second.messages_to_send()
    hand.wait(1.1)
    assert hand.session.closed is not None


def test_a_session_and_its_connection_show_no_audio() -> None:
    session = PulseSession(PulseOptions(), random=lambda: 0.0)
    assert isinstance(session.next_connection(), SessionConnection)
    assert session.next_event() is NEED_DATA
