"""From messages to events: decides what a message means for the turn, then asks the speech table."""

from __future__ import annotations

from collections.abc import Mapping

from smallest_proto.events import Event
from smallest_proto.machine import Machine
from smallest_proto.pulse import transcript
from smallest_proto.pulse.events import (
    FinalTranscript,
    InterimTranscript,
    Source,
    SpeechEnded,
    SpeechStarted,
)
from smallest_proto.pulse.messages import TranscriptMessage, VadMessage, Word
from smallest_proto.pulse.options import PulseOptions
from smallest_proto.pulse.speech_tables import DEFAULT, SEED, Emit, Heard, Turn

_START, _END = Emit.START, Emit.END

LATE_FINAL_SLACK = 0.5
"""Seconds by which the words of a final may outlast the `speech_ended` that closed their turn. Ours."""


class SpeechInference:
    """Turn state of one stream: feed it messages, emit what it yields.

    `time_offset` seconds are added to every time, so that a stream of several connections has one clock.
    """

    __slots__ = (
        "_final_seen",
        "_machine",
        "_offset",
        "_options",
        "_outstanding",
        "_read_text",
        "_seed",
        "_vad_ended_at",
        "_vad_seen",
    )

    def __init__(self, options: PulseOptions, *, turn: Turn = Turn.SILENT, time_offset: float = 0.0) -> None:
        self._seed = options.compat == "seed"
        self._options = options
        self._machine = Machine(SEED if self._seed else DEFAULT, turn)
        self._offset = time_offset
        self._vad_seen = False
        self._vad_ended_at: float | None = None
        self._final_seen = False
        self._read_text = transcript.seed_text if self._seed else transcript.default_text
        self._outstanding = 0

    @property
    def turn(self) -> Turn:
        """Whether a turn is open."""
        return self._machine.state

    @property
    def finalizes_outstanding(self) -> int:
        """How many `Finalize` commands no final has answered yet."""
        return self._outstanding

    def finalize_sent(self) -> None:
        """Expect one more final as the answer."""
        self._outstanding += 1

    def vad(self, message: VadMessage) -> list[Event]:
        """A `speech_started` or `speech_ended` arrived."""
        started = message.type == "speech_started"
        self._vad_seen = True
        self._vad_ended_at = None if started else message.timestamp
        time = None if message.timestamp is None else message.timestamp + self._offset
        return self._emit(Heard.VAD_STARTED if started else Heard.VAD_ENDED, time=time, source="vad")

    def transcript(
        self, message: TranscriptMessage, session_id: str, raw: Mapping[str, object] | None
    ) -> list[Event]:
        """A transcription message arrived; `session_id` is the connection's latest."""
        text = self._read_text(message)
        heard = self._classify(message, text)
        words = transcript.shift_words(message.words, self._offset)
        event = (
            self._final(message, text, words, session_id, raw)
            if message.is_final
            else InterimTranscript(
                text=text,
                words=words,
                language=message.language or self._options.language,
                session_id=session_id,
                raw=raw,
            )
        )
        return self._emit(heard, event)

    def stream_ended(self) -> list[Event]:
        """No more messages will come from this connection."""
        return self._emit(Heard.STREAM_ENDED)

    def _classify(self, message: TranscriptMessage, text: str) -> Heard:
        wordful = bool(text) if self._seed else transcript.has_words(text)
        if not message.is_final:
            return Heard.INTERIM if wordful else Heard.INTERIM_BLANK
        # A server that sent no VAD event by its second final with words will not send any.
        vad_expected = bool(self._options.vad_events) and (self._vad_seen or not self._final_seen)
        self._final_seen |= wordful
        closing = (
            self._seed
            or not vad_expected
            or message.is_last
            or bool(message.from_finalize)
            or message.speech_final is True
        )
        if not wordful:
            return Heard.FINAL_CLOSING_BLANK if closing else Heard.FINAL_OPEN_BLANK
        if closing:
            return Heard.FINAL_CLOSING
        return Heard.FINAL_LATE if self._is_late(message.words) else Heard.FINAL_OPEN

    def _is_late(self, words: tuple[Word, ...]) -> bool:
        ended = self._vad_ended_at
        return ended is not None and bool(words) and words[-1].end <= ended + LATE_FINAL_SLACK

    def _final(
        self,
        message: TranscriptMessage,
        text: str,
        words: tuple[Word, ...],
        session_id: str,
        raw: Mapping[str, object] | None,
    ) -> FinalTranscript:
        seed = self._seed
        speaker = transcript.majority_speaker(words) if self._options.diarize else None
        confidence = transcript.first_confidence if seed else transcript.mean_confidence
        label = transcript.seed_speaker_label if seed else transcript.speaker_label
        return FinalTranscript(
            text=text,
            words=words,
            utterances=transcript.shift_utterances(message.utterances, self._offset),
            speaker=label(speaker),
            confidence=confidence(words),
            start=words[0].start if words else 0.0,
            end=words[-1].end if words else 0.0,
            language=message.language or self._options.language,
            languages=message.languages,
            from_finalize=self._answers_finalize(message.from_finalize),
            is_last=message.is_last,
            redacted_entities=message.redacted_entities,
            full_transcript=message.full_transcript,
            session_id=session_id,
            raw=raw,
        )

    def _answers_finalize(self, flag: bool | None) -> bool | None:
        # True settles it, False means keep waiting, absent means the next final is the answer [probe stt].
        if flag is None and self._outstanding:
            flag = True
        if flag:
            self._outstanding = max(0, self._outstanding - 1)
        return flag

    def _emit(
        self,
        heard: Heard,
        event: FinalTranscript | InterimTranscript | None = None,
        *,
        time: float | None = None,
        source: Source = "inferred",
    ) -> list[Event]:
        words = event.words if event is not None else ()
        events: list[Event] = []
        for emit in self._machine.step(heard):
            if emit is _START:
                events.append(SpeechStarted(time=words[0].start if words else time, source=source))
            elif emit is _END:
                events.append(SpeechEnded(time=words[-1].end if words else time, source=source))
            else:
                assert event is not None  # only a transcript is an interim or a final
                events.append(event)
        return events
