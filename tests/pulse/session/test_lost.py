"""A connection of a session is lost: what goes again, what is covered, and how often it is dialled."""

from __future__ import annotations

from pulse.session.hand import CLOSE, FINALIZE, LAST, NO, SECOND, Hand, audio_in, ends, said, text, texts, vad
from smallest_proto.errors import HandshakeRejected, ServerError
from smallest_proto.events import ConnectionClosed
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    FinalTranscript,
    Flush,
    PulseOptions,
    Reconnecting,
    Resumed,
    SessionState,
)


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
    assert texts(hand.events()) == ["d"]


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
    assert ends(hand.events()).error == HandshakeRejected("busy", status=503)


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
    assert events[1].is_last is False
    assert connection.close_requested


def test_a_connection_that_the_driver_closes_is_lost() -> None:
    hand = Hand()
    connection = hand.open()
    connection.close(0.0)
    (event,) = hand.events()
    assert isinstance(event, Reconnecting)
    assert "from this side" in str(event.error)
