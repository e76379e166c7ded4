"""A session with one connection: what it tells, and what may be sent."""

from __future__ import annotations

import pytest

from pulse.session.hand import CLOSE, FINALIZE, KEEPALIVE, LAST, SECOND, Hand, said, text, vad
from smallest_proto.errors import LocalProtocolError
from smallest_proto.events import NEED_DATA, Event, ServerErrorReceived, UnknownMessage
from smallest_proto.pulse import (
    Audio,
    CloseStream,
    Finalize,
    Flush,
    KeepAlive,
    PulseConnection,
    PulseOptions,
    SessionState,
    Usage,
)


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
