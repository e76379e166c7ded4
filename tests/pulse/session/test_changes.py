"""Options that change, and connections that are handed over, in the middle of a session."""

from __future__ import annotations

import msgspec
import pytest

from pulse.session.hand import CLOSE, LAST, NO, SECOND, Hand, audio_in, ends, said, text, texts
from smallest_proto.errors import ConnectFailed, HandshakeRejected, LocalProtocolError
from smallest_proto.pulse import (
    CloseStream,
    FinalTranscript,
    MigrationFailed,
    PulseOptions,
    Reconnecting,
    Resumed,
    SessionState,
    StreamEnded,
    Usage,
)


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
    assert texts(events) == ["old", "neu"]
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
    assert ends(hand.events()).error == HandshakeRejected("no", status=403)


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
    assert ends(hand.events()).expected
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
