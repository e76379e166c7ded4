"""After a break: what a fresh connection is asked to say, when a word counts as told, and where speech is cut off."""

from __future__ import annotations

import math
from itertools import groupby
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.errors import (
    ConnectionLost,
    DeadlineExceeded,
    LocalProtocolError,
    ProtocolError,
    Truncated,
)
from smallest_proto.lightning import (
    AudioChunk,
    ContextComplete,
    FinishContext,
    FlushText,
    LightningConnection,
    LightningOptions,
    OpenContext,
    ResumableSpeech,
    SendText,
    Speak,
    WordTimestamp,
)
from smallest_proto.lightning.resumption import ROUNDING, SpeechCommand, SpeechHeard

Mode = Literal["context", "continue", "segment"]

ID = "context1"
RATE = 8000
DROP = ConnectionLost("gone", status=1006)
SAID = {
    "one": "one",
    "Two,": "two",
    "\u201cThree\u201d": "THREE",
    "don\u2019t!": "don't",
    "Stra\u00dfe": "STRASSE",
    "\u2014": None,
}
"""Words as they are written, and as a service that has marks and cases of its own names them."""


def audio(samples: int) -> AudioChunk:
    return AudioChunk(pcm=bytes(2 * samples), context_id=ID)


def word(said: str, end: float = 0.0) -> WordTimestamp:
    return WordTimestamp(word=said, start=0.0, end=end, context_id=ID)


def commands(speech: ResumableSpeech) -> list[SpeechCommand]:
    found: list[SpeechCommand] = []
    while (command := speech.next_command()) is not None:
        found.append(command)
    return found


def events(speech: ResumableSpeech) -> list[SpeechHeard]:
    found: list[SpeechHeard] = []
    while (event := speech.next_event()) is not None:
        found.append(event)
    return found


def said_by_a_fresh_connection(speech: ResumableSpeech, options: LightningOptions) -> list[str]:
    """The words that a new connection, which must take all that it is given, is asked to say."""
    connection = LightningConnection(options)
    if options.text_mode != "segment":
        connection.send(OpenContext(ID), 0.0)
    asked = commands(speech)
    for command in asked:
        connection.send(command, 0.0)
        assert connection.context_id in (ID, None)  # None: it had nothing to say
    written = "".join(command.text for command in asked if isinstance(command, SendText | Speak)).split()
    return [said for token in written if (said := SAID[token]) is not None]


@given(
    mode=st.sampled_from(["context", "continue", "segment"]),
    written=st.lists(st.sampled_from(sorted(SAID)), min_size=1, max_size=9),
    finished=st.booleans(),
    heard=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_a_fresh_connection_takes_what_it_is_given_and_says_exactly_the_words_not_told_yet(
    mode: Mode, written: list[str], finished: bool, heard: list[int]
) -> None:
    written = [
        token for token, _ in groupby(["one", *written, "one"])
    ]  # a row of dashes would lose the place
    left = [said for token in written if (said := SAID[token]) is not None]
    options = LightningOptions(text_mode=mode, sample_rate=RATE)
    speech = ResumableSpeech(options, ID)
    if mode == "segment":
        speech.ask(Speak(" ".join(written), ID))
    else:
        for token in written:
            speech.ask(SendText(f"{token} "))
        if finished:
            speech.ask(FinishContext())
    for count in heard:
        assert said_by_a_fresh_connection(speech, options) == left
        told, left = left[:count], left[count:]
        for said in told:
            speech.receive(word(said))
        speech.receive(audio(800))
        assert speech.fail(DROP) is None
        if not left:
            break
    if left:
        assert said_by_a_fresh_connection(speech, options) == left
    elif finished or mode == "segment":
        assert events(speech)[-1] == ContextComplete(context_id=ID, confirmed=False)
    else:
        assert said_by_a_fresh_connection(speech, options) == []
        speech.ask(SendText("Two, one"))
        assert commands(speech) == [SendText("Two, one")]


WORDS = ["one", "two", "three", "four", "five", "six", "seven"]


def flushed(asked: list[SpeechCommand]) -> list[str]:
    """What is to be spoken at once, a text for each time; the rest last."""
    texts = [""]
    for command in asked:
        if isinstance(command, SendText):
            texts[-1] += command.text
        else:
            texts.append("")
    return [text.strip() for text in texts if text.strip()]


@given(
    flushes=st.lists(st.integers(0, 2), min_size=7, max_size=7), heard=st.lists(st.integers(1, 3), max_size=3)
)
def test_what_was_to_be_spoken_at_once_still_is_after_a_break(flushes: list[int], heard: list[int]) -> None:
    speech = ResumableSpeech(LightningOptions(text_mode="continue", sample_rate=RATE), ID)
    for spoken, times in zip(WORDS, flushes, strict=True):
        speech.ask(SendText(f"{spoken} "))
        for _ in range(times):
            speech.ask(FlushText())
            speech.ask(SendText(" "))
    told = 0
    for count in heard:
        for spoken in WORDS[told : told + count]:
            speech.receive(word(spoken))
        speech.receive(audio(800))
        assert speech.fail(DROP) is None
        told += count
        expected = [""]
        for index in range(told, len(WORDS)):
            expected[-1] += f" {WORDS[index]}"
            if flushes[index]:
                expected.append("")
        assert flushed(commands(speech)) == [text.strip() for text in expected if text]
        if told >= len(WORDS):
            break


@given(samples=st.integers(1, 5 * RATE), audio_first=st.booleans())
def test_a_word_is_told_once_its_audio_has_come_whichever_came_first(samples: int, audio_first: bool) -> None:
    end = samples / RATE + ROUNDING
    for last in (end, math.nextafter(end, math.inf)):
        speech = ResumableSpeech(LightningOptions(sample_rate=RATE), ID)
        for event in (
            (audio(samples), word("one", last)) if audio_first else (word("one", last), audio(samples))
        ):
            speech.receive(event)
        assert (word("one", last) in events(speech)) is (last == end)
        speech.receive(ContextComplete(context_id=ID, confirmed=True))
        assert [type(event) for event in events(speech)][-1] is ContextComplete


@pytest.mark.parametrize("breaks", [0, 1, 2])
@pytest.mark.parametrize(
    "error",
    [
        ConnectionLost("gone", code="odd", status=1011, request_id="r1"),
        DeadlineExceeded("late", code="first_audio"),
    ],
)
def test_speech_without_a_word_since_the_last_break_is_cut_off_there(
    breaks: int, error: ProtocolError
) -> None:
    """To go on would say again what was heard since."""
    speech = ResumableSpeech(LightningOptions(sample_rate=RATE), ID)
    speech.ask(SendText("one one one one"))
    for _ in range(breaks):
        speech.receive(word("one"))
        speech.receive(audio(RATE // 2))
        assert speech.fail(error) is None
    speech.receive(audio(RATE // 4))
    cut_off = speech.fail(error)
    assert isinstance(cut_off, Truncated)
    assert cut_off.audio_seconds == speech.audio_seconds == breaks / 2 + 0.25
    assert (cut_off.code, cut_off.status, cut_off.request_id) == (error.code, error.status, error.request_id)


@pytest.mark.parametrize("command", [SendText("two", "context2"), FinishContext("context2")])
def test_what_means_another_synthesis_is_refused_and_changes_nothing(command: SpeechCommand) -> None:
    speech = ResumableSpeech(LightningOptions(), ID)
    speech.ask(SendText("one", ID))
    with pytest.raises(LocalProtocolError, match="context2"):
        speech.ask(command)
    speech.ask(FinishContext())
    assert commands(speech) == [SendText("one", ID), FinishContext()]
