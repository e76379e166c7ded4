"""The local engines on real speech: what is spoken is what is recognised."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from smallest_proto.audio import BYTES_PER_SAMPLE, Encoding
from smallest_proto.pulse.messages import ServerMessage, TranscriptMessage, VadMessage
from smallest_transports.loopback.engines import local
from smallest_transports.loopback.engines.base import EngineError, RecognizerSetup, SynthesizerSetup
from smallest_transports.loopback.engines.local import LocalRecognizer, LocalSynthesizer
from smallest_transports.loopback.engines.workers import Worker

SENTENCES = [
    "Good morning, how can I help you today?",
    "Hello, I want to order two burgers and a large portion of fries.",
    "The weather will be sunny with a little wind in the afternoon.",
]
PACKET = 0.05


@pytest.fixture(scope="module")
def recognizer() -> Iterator[LocalRecognizer]:
    engine = LocalRecognizer()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def synthesizer() -> Iterator[LocalSynthesizer]:
    engine = LocalSynthesizer()
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def spoken(synthesizer: LocalSynthesizer) -> list[bytes]:
    setup = SynthesizerSetup(sample_rate=16000)
    return [b"".join(s.pcm for s in synthesizer.speak(setup, sentence)) for sentence in SENTENCES]


def recognize(engine: LocalRecognizer, setup: RecognizerSetup, audio: bytes) -> list[ServerMessage]:
    session = engine.open(setup)
    try:
        step = round(setup.sample_rate * PACKET) * BYTES_PER_SAMPLE[setup.encoding]
        found: list[ServerMessage] = []
        for offset in range(0, len(audio), step):
            found += session.feed(audio[offset : offset + step])
        return [*found, *session.finish()]
    finally:
        session.close()


def transcripts(messages: Sequence[ServerMessage], final: bool = True) -> list[TranscriptMessage]:
    return [m for m in messages if isinstance(m, TranscriptMessage) and m.is_final == final]


def text_of(messages: Sequence[ServerMessage]) -> str:
    return " ".join(m.transcript or "" for m in transcripts(messages))


def errors(said: str, heard: str) -> tuple[int, int]:
    """Word errors (edit distance), and words said."""
    a, b = (re.findall(r"[a-z']+", text.lower()) for text in (said, heard))
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        corner, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (word != other))
    return row[-1], len(a)


def error_rate(pairs: Sequence[tuple[str, str]]) -> float:
    counts = [errors(said, heard) for said, heard in pairs]
    return sum(wrong for wrong, _ in counts) / sum(words for _, words in counts)


def samples(pcm: bytes) -> NDArray[np.float32]:
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


def pcm_of(audio: NDArray[np.float32]) -> bytes:
    pcm: bytes = np.clip(audio * 32767, -32768, 32767).astype("<i2").tobytes()
    return pcm


def mulaw(audio: NDArray[np.float32]) -> bytes:
    """G.711 by its formula, independent of the decoder's table."""
    clipped = np.clip(audio, -1, 1)
    level = np.rint(np.log1p(255 * np.abs(clipped)) / np.log(256) * 127).astype(np.uint8)
    codes: NDArray[np.uint8] = ~(level | np.where(clipped < 0, 0x80, 0).astype(np.uint8))
    return codes.tobytes()


def test_what_is_spoken_is_what_is_heard(recognizer: LocalRecognizer, spoken: list[bytes]) -> None:
    pairs: list[tuple[str, str]] = []
    for sentence, pcm in zip(SENTENCES, spoken, strict=True):
        messages = recognize(recognizer, RecognizerSetup(), pcm)
        pairs.append((sentence, text_of(messages)))
        assert transcripts(messages, final=False), "no interim"
        assert not any(isinstance(m, VadMessage) for m in messages)
        last = messages[-1]
        assert isinstance(last, TranscriptMessage)
        assert last.is_last
    assert error_rate(pairs) < 0.25, pairs


@pytest.mark.parametrize(
    ("rate", "encoding"),
    [(22050, "linear16"), (24000, "linear16"), (44100, "linear32"), (48000, "linear16"), (16000, "mulaw")],
)
def test_other_rates_and_encodings(
    recognizer: LocalRecognizer, spoken: list[bytes], rate: int, encoding: Encoding
) -> None:
    audio = soxr.resample(samples(spoken[1]), 16000, rate)
    data = {
        "linear16": pcm_of(audio),
        "linear32": (audio.astype(np.float64) * (2**31 - 1)).astype("<i4").tobytes(),
        "mulaw": mulaw(audio),
    }[encoding]
    messages = recognize(recognizer, RecognizerSetup(sample_rate=rate, encoding=encoding), data)
    assert error_rate([(SENTENCES[1], text_of(messages))]) < 0.25, text_of(messages)


def test_a_telephone_line_is_understood_by_and_large(
    recognizer: LocalRecognizer, spoken: list[bytes]
) -> None:
    pairs: list[tuple[str, str]] = []
    for sentence, pcm in zip(SENTENCES, spoken, strict=True):
        audio = soxr.resample(samples(pcm), 16000, 8000)
        messages = recognize(recognizer, RecognizerSetup(sample_rate=8000, encoding="mulaw"), mulaw(audio))
        pairs.append((sentence, text_of(messages)))
    assert error_rate(pairs) < 0.5, pairs


@pytest.mark.parametrize("rate", [8000, 16000, 24000])
def test_any_cut_of_the_audio_gives_the_same_messages(
    recognizer: LocalRecognizer, spoken: list[bytes], rate: int
) -> None:
    pcm = pcm_of(soxr.resample(samples(spoken[0]), 16000, rate)) + bytes(2 * rate)
    setup = RecognizerSetup(sample_rate=rate, vad_events=True)
    whole, odd = recognizer.open(setup), recognizer.open(setup)
    expected = [*whole.feed(pcm), *whole.finish()]
    found: list[ServerMessage] = []
    for offset in range(0, len(pcm), 777):
        found += odd.feed(pcm[offset : offset + 777])
    assert [*found, *odd.finish()] == expected
    whole.close()
    odd.close()


def test_two_turns_with_words_and_voice_activity(recognizer: LocalRecognizer, spoken: list[bytes]) -> None:
    silence = bytes(32000)
    setup = RecognizerSetup(vad_events=True, sentence_timestamps=True)
    messages = recognize(recognizer, setup, silence + spoken[0] + silence + spoken[2] + silence)
    vad = [(m.type, m.timestamp or 0.0) for m in messages if isinstance(m, VadMessage)]
    assert [kind for kind, _ in vad] == ["speech_started", "speech_ended"] * 2
    finals = [final for final in transcripts(messages) if final.transcript]
    assert len(finals) == 2
    for final, (_, start), (_, end) in zip(finals, vad[::2], vad[1::2], strict=True):
        assert start - 0.3 < final.words[0].start < final.words[-1].end < end + 0.4
        assert all(0 <= (word.confidence or 0) <= 1 for word in final.words)
        assert all(a.end <= b.start for a, b in zip(final.words, final.words[1:], strict=False))
        assert final.utterances[0].text == final.transcript
    assert 1.0 <= vad[0][1] < 1.6


def test_finalize_answers_at_once_and_only_once(recognizer: LocalRecognizer, spoken: list[bytes]) -> None:
    session = recognizer.open(RecognizerSetup())
    session.feed(spoken[2])
    answers = [session.finalize(), session.finalize()]
    for (final,) in answers:
        assert isinstance(final, TranscriptMessage)
        assert final.is_final
        assert final.from_finalize
    assert len(text_of(answers[0]).split()) > 6
    assert text_of(answers[1]) == ""
    [last] = session.finish()
    assert isinstance(last, TranscriptMessage)
    assert (last.transcript, last.is_final, last.is_last) == ("", True, True)
    session.close()
    session.close()


def test_quiet_loud_and_noisy_speech(recognizer: LocalRecognizer, spoken: list[bytes]) -> None:
    audio = samples(spoken[1])
    noise = np.random.default_rng(1).standard_normal(len(audio)).astype(np.float32)
    for changed in (audio * np.float32(0.05), audio * np.float32(4), audio + noise * np.float32(0.003)):
        messages = recognize(recognizer, RecognizerSetup(), pcm_of(changed))
        assert error_rate([(SENTENCES[1], text_of(messages))]) < 0.35, text_of(messages)


def test_speech_without_a_pause_is_cut(recognizer: LocalRecognizer, spoken: list[bytes]) -> None:
    audio = samples(spoken[2])
    voiced = np.flatnonzero(np.abs(audio) > 0.02)
    messages = recognize(recognizer, RecognizerSetup(), pcm_of(audio[voiced[0] : voiced[-1]]) * 8)
    finals = [final for final in transcripts(messages) if final.words]
    assert len(finals) >= 2
    assert all(final.words[-1].end - final.words[0].start < 15 for final in finals)


def test_four_sessions_at_once(recognizer: LocalRecognizer, spoken: list[bytes]) -> None:
    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(recognize, recognizer, RecognizerSetup(), spoken[i % 3]) for i in range(4)]
        heard = [text_of(job.result()) for job in jobs]
    assert heard[0] == heard[3], "sessions must not hear one another"
    assert error_rate(list(zip(SENTENCES, heard, strict=False))) < 0.25


def test_a_session_leaves_nothing_behind(spoken: list[bytes]) -> None:
    engine = LocalRecognizer(workers=1)
    first = recognize(engine, RecognizerSetup(), spoken[0])
    abandoned = engine.open(RecognizerSetup())
    abandoned.feed(spoken[1])
    abandoned.close()
    assert recognize(engine, RecognizerSetup(), spoken[0]) == first
    engine.close()


def test_opus_is_refused(recognizer: LocalRecognizer) -> None:
    with pytest.raises(EngineError, match=r"encoding=opus: .*linear16"):
        recognizer.open(RecognizerSetup(encoding="opus"))


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 44100])
def test_speech_comes_in_pieces_with_its_words(synthesizer: LocalSynthesizer, rate: int) -> None:
    text = "Dr. Smith paid $100 on Main Street.  Hello   there!"
    setup = SynthesizerSetup(sample_rate=rate, word_timestamps=True, voice_id="nobody")
    speech = list(synthesizer.speak(setup, text))
    assert all(0 < len(piece.pcm) <= 0.1 * rate * 2 for piece in speech)
    assert all(len(piece.pcm) % 2 == 0 for piece in speech)
    words = [word for piece in speech for word in piece.words]
    assert [(word.index, word.word) for word in words] == list(enumerate(text.split()))
    times = [time for word in words for time in (word.start, word.end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= sum(len(piece.pcm) for piece in speech) / (2 * rate) + 0.001
    assert 2 < times[-1] < 7


def test_speed_and_silence(synthesizer: LocalSynthesizer) -> None:
    sizes = [
        sum(len(s.pcm) for s in synthesizer.speak(SynthesizerSetup(speed=speed), SENTENCES[0]))
        for speed in (0.5, 1.0, 2.0)
    ]
    assert sizes[0] > 1.5 * sizes[1] > 2 * sizes[2] > 0
    for nothing in ("", "  \n", "..."):
        assert not list(synthesizer.speak(SynthesizerSetup(word_timestamps=True), nothing))


def test_speech_that_nobody_wants_any_more_is_given_up(synthesizer: LocalSynthesizer) -> None:
    pieces = synthesizer.speak(SynthesizerSetup(), " ".join(SENTENCES * 5))
    assert next(pieces).pcm
    del pieces
    assert list(synthesizer.speak(SynthesizerSetup(), "Hello."))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "find_spec", lambda name: None if name == "pocketsphinx" else True)
    with pytest.raises(EngineError, match=r"needs pocketsphinx: pip install 'smallest-proto\[local\]'"):
        LocalRecognizer()


def test_a_dead_worker_is_an_error_and_then_replaced(spoken: list[bytes]) -> None:
    engine = LocalRecognizer(workers=1)
    session = engine.open(RecognizerSetup())
    session._worker._process.kill()
    session._worker._process.wait()
    with pytest.raises(EngineError, match="worker process has ended"):
        session.feed(spoken[0])
    session.close()
    assert text_of(recognize(engine, RecognizerSetup(), spoken[0]))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.open(RecognizerSetup())


def test_a_busy_worker_is_ended_by_force() -> None:
    worker = Worker()
    clock = worker.create("builtins:__import__", "time")
    asked = threading.Event()
    outcome: list[BaseException] = []

    def wait() -> None:
        asked.set()
        try:
            worker.call(clock, "sleep", 3600)
        except EngineError as error:
            outcome.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    asked.wait()
    worker.close()
    thread.join()
    assert outcome
    assert not worker.alive
    worker.close()


def test_a_fault_in_a_worker_is_an_engine_error_and_the_worker_goes_on() -> None:
    worker = Worker()
    math = worker.create("builtins:__import__", "math")
    with pytest.raises(EngineError, match="ValueError"):
        worker.call(math, "sqrt", -1)
    assert worker.call(math, "sqrt", 4) == 2
    worker.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_workers_die_with_their_parent() -> None:
    code = (
        "from smallest_transports.loopback.engines.workers import Worker\n"
        "w = Worker(); m = w.create('builtins:__import__', 'os'); print(w.call(m, 'getpid'), flush=True)\n"
        "import time; time.sleep(3600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert int(parent.stdout.readline()) != parent.pid
        parent.send_signal(signal.SIGKILL)
        # The worker shares standard error, so its end comes only when the worker has ended too.
        assert parent.communicate(timeout=20) == (b"", b"")
