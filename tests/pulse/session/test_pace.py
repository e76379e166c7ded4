"""A late driver, a server without end, a paced replay."""

from __future__ import annotations

from pulse.session.hand import CLOSE, FINALIZE, SECOND, WORDLESS, Hand, audio_in, text, texts
from smallest_proto.events import NEED_DATA
from smallest_proto.pulse import CloseStream, Finalize, PulseOptions, PulseSession, SessionConnection


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
    assert len(texts(hand.events())) == 1


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
