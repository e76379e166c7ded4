"""The scripted engines: exact accounting, and nothing depends on how audio is cut."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallest_proto.audio import SAMPLE_RATES, AudioFormat
from smallest_proto.pulse.messages import ServerMessage, TranscriptMessage, VadMessage
from smallest_transports.loopback.engines.base import RecognizerSetup, SynthesizerSetup
from smallest_transports.loopback.engines.scripted import (
    Cue,
    Script,
    ScriptedRecognizer,
    ScriptedSynthesizer,
)

SECOND = 32000
FULL = RecognizerSetup(vad_events=True, sentence_timestamps=True)


def texts(messages: Sequence[ServerMessage]) -> list[tuple[str | None, bool]]:
    return [(m.transcript, m.is_final) for m in messages if isinstance(m, TranscriptMessage)]


@given(
    total=st.integers(0, 5 * SECOND),
    cuts=st.lists(st.integers(0, 5 * SECOND), max_size=20),
    vad=st.booleans(),
)
def test_any_cut_of_the_audio_gives_the_same_messages(total: int, cuts: list[int], vad: bool) -> None:
    setup = msgspec.structs.replace(FULL, vad_events=vad)
    whole, pieces = ScriptedRecognizer().open(setup), ScriptedRecognizer().open(setup)
    edges = [0, *sorted(min(cut, total) for cut in cuts), total]
    expected = [*whole.feed(bytes(total)), *whole.finish()]
    found: list[ServerMessage] = []
    for start, end in pairwise(edges):
        found += pieces.feed(bytes(end - start))
    assert [*found, *pieces.finish()] == expected


@given(
    rate=st.sampled_from(SAMPLE_RATES),
    encoding=st.sampled_from(["linear16", "linear32", "mulaw", "alaw"]),
    milliseconds=st.integers(1, 7000),
)
def test_audio_in_is_audio_heard(rate: int, encoding: str, milliseconds: int) -> None:
    audio = msgspec.convert({"encoding": encoding, "sample_rate": rate}, AudioFormat)
    size = milliseconds * rate // 1000 * audio.sample_width
    session = ScriptedRecognizer().open(RecognizerSetup(encoding=audio.encoding, sample_rate=rate))
    said = texts([*session.feed(bytes(size)), *session.finish()])
    heard = [text for text, final in said if final and text]
    assert heard[-1:] == ([f"heard {round(audio.seconds(size), 6)} seconds"] if size else [])


def test_interims_finals_words_and_voice_activity() -> None:
    session = ScriptedRecognizer().open(FULL)
    messages = session.feed(bytes(3 * SECOND))
    kinds = [(m.type, m.timestamp) if isinstance(m, VadMessage) else "transcription" for m in messages]
    assert kinds == [
        ("speech_started", 0.0),
        "transcription",
        ("speech_ended", 2.0),
        "transcription",
        ("speech_started", 2.0),
        "transcription",
    ]
    assert texts(messages) == [
        ("heard 1.0 seconds", False),
        ("heard 2.0 seconds", True),
        ("heard 3.0 seconds", False),
    ]
    final = messages[3]
    assert isinstance(final, TranscriptMessage)
    assert [word.word for word in final.words] == ["heard", "2.0", "seconds"]
    assert (final.words[0].start, final.words[-1].end) == (0.0, 2.0)
    assert final.transcription == final.transcript == final.utterances[0].text


@pytest.mark.parametrize("flag", [True, False, None])
def test_finalize_is_answered_by_one_final(flag: bool | None) -> None:
    session = ScriptedRecognizer(Script(from_finalize=flag)).open(RecognizerSetup())
    session.feed(bytes(SECOND // 2))
    for expected in ["heard 0.5 seconds", ""]:
        [final] = session.finalize()
        assert isinstance(final, TranscriptMessage)
        assert (final.transcript, final.is_final, final.from_finalize) == (expected, True, flag)


@pytest.mark.parametrize(
    ("last_has_text", "expected"),
    [(True, [("heard 0.5 seconds", True)]), (False, [("heard 0.5 seconds", False), ("", True)])],
)
def test_the_last_final(last_has_text: bool, expected: list[tuple[str, bool]]) -> None:
    session = ScriptedRecognizer(Script(last_has_text=last_has_text)).open(RecognizerSetup())
    session.feed(bytes(SECOND // 2))
    finals = session.finish()
    assert [(m.transcript, m.is_last) for m in finals if isinstance(m, TranscriptMessage)] == expected


def test_cues_are_played_at_their_time() -> None:
    hello = TranscriptMessage(type="transcription", transcript="hello")
    bye = VadMessage(type="speech_ended", timestamp=0.2)
    script = Script(cues=(Cue(0.1, (hello,)), Cue(0.2, (bye, hello))))
    session = ScriptedRecognizer(script).open(RecognizerSetup())
    assert session.feed(bytes(SECOND // 10 - 1)) == []
    assert session.feed(bytes(1)) == [hello]
    assert session.feed(bytes(SECOND)) == [bye, hello]


@given(
    text=st.text(st.sampled_from("ab $1.\n"), max_size=60),
    rate=st.sampled_from([8000, 16000, 24000, 44100]),
    speed=st.floats(0.5, 2.0),
)
def test_speech_has_the_length_and_the_words_of_its_text(text: str, rate: int, speed: float) -> None:
    setup = SynthesizerSetup(sample_rate=rate, speed=speed, word_timestamps=True)
    speech = list(ScriptedSynthesizer().speak(setup, text))
    pcm = b"".join(piece.pcm for piece in speech)
    words = [word for piece in speech for word in piece.words]
    assert len(pcm) == (2 * round(len(text) * 0.06 / speed * rate) if text.strip() else 0)
    assert [(word.index, word.word) for word in words] == list(enumerate(text.split()))
    heard = 0.0
    for piece in speech:
        end = heard + len(piece.pcm) / (2 * rate)
        assert all(heard - 1e-4 <= word.start <= end for word in piece.words)
        heard = end
    assert all(word.start < word.end <= heard + 1e-3 for word in words)
    assert list(ScriptedSynthesizer().speak(setup, text)) == speech
