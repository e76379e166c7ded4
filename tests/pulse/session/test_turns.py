"""Turns of speech over a connection that is lost: they go on, or they end."""

from __future__ import annotations

from pulse.session.hand import Hand, said, text, vad
from smallest_proto.pulse import (
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
)


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
