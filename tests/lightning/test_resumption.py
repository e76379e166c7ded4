"""A synthesis that outlives its connections: what is said again, and what is told where it cannot be."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ProtocolError,
    ServerError,
    Truncated,
)
from smallest_proto.lightning import (
    AudioChunk,
    ContextCancelled,
    ContextComplete,
    FinishContext,
    FlushText,
    LightningOptions,
    ResumableSpeech,
    SendText,
    Speak,
    SpeechResumed,
    WordTimestamp,
)
from smallest_proto.lightning.resumption import MAX_ATTEMPTS, SpeechHeard

ID = "context1"
RATE = 8000
WORD = 0.5
"""Seconds that the voice here takes for a word."""

DROP = ConnectionLost("gone", status=1006)
MODES = {
    mode: LightningOptions(text_mode=mode, sample_rate=RATE) for mode in ("context", "continue", "segment")
}


def speech_in(mode: str, text: str) -> ResumableSpeech:
    speech = ResumableSpeech(MODES[mode], ID)
    if mode == "segment":
        speech.ask(Speak(text, ID))
    else:
        speech.ask(SendText(text, ID))
        speech.ask(FinishContext(ID))
    return speech


def commands(speech: ResumableSpeech) -> list[object]:
    found: list[object] = []
    while (command := speech.next_command()) is not None:
        found.append(command)
    return found


def events(speech: ResumableSpeech) -> list[SpeechHeard]:
    found = []
    while (event := speech.next_event()) is not None:
        found.append(event)
    return found


def audio(seconds: float) -> AudioChunk:
    return AudioChunk(pcm=bytes(2 * round(seconds * RATE)), context_id=ID)


def word(text: str, index: int) -> WordTimestamp:
    return WordTimestamp(word=text, start=index * WORD, end=(index + 1) * WORD, index=index, context_id=ID)


def say(speech: ResumableSpeech, text: str, ticks: int, ahead: int = 0) -> bool:
    """Speak as a server does, in tenths of a second, words announced `ahead` of their audio; whether it got done."""
    words = text.split()
    told = 0
    for tick in range(ticks):
        if tick >= 5 * len(words):
            break
        while told < len(words) and told <= tick // 5 + ahead:
            speech.receive(word(words[told], told))
            told += 1
        speech.receive(audio(0.1))
    return ticks >= 5 * len(words)


def text_of(asked: Sequence[object]) -> str:
    return "".join(command.text for command in asked if isinstance(command, SendText | Speak))


@given(
    mode=st.sampled_from(sorted(MODES)),
    words=st.lists(st.sampled_from(["one", "two", "Three,", "two", "four."]), min_size=1, max_size=12),
    drops=st.lists(st.integers(1, 40), max_size=6),
    ahead=st.integers(0, 3),
)
def test_every_word_is_said_and_told_once_whatever_drops(
    mode: str, words: list[str], drops: list[int], ahead: int
) -> None:
    speech = speech_in(mode, " ".join(words))
    heard: list[SpeechHeard] = []
    for ticks in [*drops, 10_000]:
        done = say(speech, text_of(commands(speech)), ticks, ahead)
        if done:
            speech.receive(ContextComplete(context_id=ID, confirmed=True))
            heard += events(speech)
            break
        failure = speech.fail(DROP)
        heard += events(speech)
        if isinstance(failure, Truncated):  # it broke off before the first whole word since
            assert ticks < 5
            return
        assert failure is None
        if heard and isinstance(heard[-1], ContextComplete):
            break
    told = [event for event in heard if isinstance(event, WordTimestamp)]
    assert [event.word for event in told] == words
    assert all(a.end <= b.start + 0.03 or a.start < b.start for a, b in pairwise(told))
    seconds = sum(len(event.pcm) for event in heard if isinstance(event, AudioChunk)) / (2 * RATE)
    assert seconds == pytest.approx(speech.audio_seconds)
    assert told[-1].end == pytest.approx(seconds, abs=WORD + 0.03)
    assert isinstance(heard[-1], ContextComplete)


@pytest.mark.parametrize("mode", sorted(MODES))
def test_before_any_sound_all_is_asked_again(mode: str) -> None:
    speech = speech_in(mode, "Good morning.")
    asked = commands(speech)
    assert speech.fail(DROP) is None
    assert commands(speech) == asked
    assert events(speech) == []
    assert speech.attempts == 1


def test_the_words_after_a_break_follow_on_the_same_clock() -> None:
    speech = speech_in("context", "one two three")
    commands(speech)
    speech.receive(word("one", 0))
    speech.receive(audio(0.7))
    assert events(speech) == [audio(0.7), word("one", 0)]
    assert speech.fail(DROP) is None
    assert events(speech) == [SpeechResumed(context_id=ID, audio_seconds=0.7)]
    assert commands(speech) == [SendText("two three", ID), FinishContext(ID)]
    speech.receive(word("two", 0))
    speech.receive(audio(0.5))
    second = events(speech)[-1]
    assert isinstance(second, WordTimestamp)
    assert (second.start, second.end) == (0.7, 1.2)


def test_a_second_break_before_any_sound_asks_for_the_same_again() -> None:
    speech = speech_in("context", "one two")
    commands(speech)
    say(speech, "one two", 6)
    assert speech.fail(DROP) is None
    rest = commands(speech)
    assert speech.fail(DROP) is None
    assert commands(speech) == rest == [SendText("two", ID), FinishContext(ID)]


def test_text_that_comes_after_the_break_follows() -> None:
    speech = ResumableSpeech(MODES["context"], ID)
    speech.ask(SendText("one ", ID))
    commands(speech)
    say(speech, "one", 5)
    assert speech.fail(DROP) is None
    assert commands(speech) == []
    speech.ask(SendText("two", ID))
    speech.ask(FinishContext(ID))
    assert commands(speech) == [SendText("two", ID), FinishContext(ID)]


def test_a_flush_that_was_asked_for_last_is_asked_for_again() -> None:
    speech = ResumableSpeech(MODES["continue"], ID)
    speech.ask(SendText("one two", ID))
    speech.ask(FlushText(ID))
    commands(speech)
    say(speech, "one two", 6)
    assert speech.fail(DROP) is None
    assert commands(speech) == [SendText("two", ID), FlushText(ID)]


def test_after_the_last_word_nothing_is_left_to_say() -> None:
    speech = speech_in("context", "one")
    commands(speech)
    say(speech, "one", 5)
    assert speech.fail(DROP) is None
    assert events(speech)[-1] == ContextComplete(context_id=ID, confirmed=False)


def test_a_number_that_is_spelled_out_does_not_lose_the_place() -> None:
    speech = speech_in("context", "take 42 and — go home")
    commands(speech)
    for index, said in enumerate(["take", "forty-two", "and", "go"]):
        speech.receive(word(said, index))
    speech.receive(audio(4 * WORD))
    assert speech.fail(DROP) is None
    assert text_of(commands(speech)) == "home"


def test_without_word_times_what_was_heard_cannot_go_on() -> None:
    speech = speech_in("context", "one two")
    commands(speech)
    speech.receive(audio(1.5))
    error = speech.fail(ConnectionLost("gone", status=1011, request_id="r1"))
    assert isinstance(error, Truncated)
    assert (error.audio_seconds, error.status, error.request_id) == (1.5, 1011, "r1")
    assert not error.retryable
    assert "1.50 s" in str(error)


def test_a_refusal_is_not_asked_again() -> None:
    speech = speech_in("context", "one two")
    refusal = ServerError("no", message="bad voice")
    assert speech.fail(refusal) is refusal


@pytest.mark.parametrize(("heard", "kind"), [(False, DeadlineExceeded), (True, Truncated)])
def test_it_does_not_try_for_ever(heard: bool, kind: type[ProtocolError]) -> None:
    speech = speech_in("context", "one two")
    commands(speech)
    if heard:
        say(speech, "one two", 6)
    late = DeadlineExceeded("no audio", code="first_audio")
    assert [speech.fail(late) for _ in range(MAX_ATTEMPTS)] == [None] * MAX_ATTEMPTS
    assert type(speech.fail(late)) is kind


def test_what_no_connection_would_take_is_refused_at_once() -> None:
    speech = ResumableSpeech(MODES["context"], ID)
    for command in (SendText("", ID), Speak("x", ID), FlushText(ID), SendText("x", "short")):
        with pytest.raises(LocalProtocolError):
            speech.ask(command)
    speech.ask(SendText("one", ID))
    speech.ask(FinishContext(ID))
    with pytest.raises(LocalProtocolError, match="after the end"):
        speech.ask(SendText("more", ID))
    assert commands(speech) == [SendText("one", ID), FinishContext(ID)]


def test_a_cancellation_is_the_end() -> None:
    speech = speech_in("context", "one two")
    speech.receive(word("one", 0))
    speech.receive(ContextCancelled(context_id=ID))
    assert events(speech) == [word("one", 0), ContextCancelled(context_id=ID)]
