"""From the events of our machines to LiveKit's: text, times, speakers, turns, usage."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from livekit.agents import LanguageCode, stt, utils
from livekit.agents.types import TimedString

from smallest_proto.pulse import (
    BatchOptions,
    BatchResult,
    FinalTranscript,
    InterimTranscript,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    Utterance,
    Word,
)
from smallest_proto.pulse import transcript as reading

_Type = stt.SpeechEventType


class SpeechEvents:
    """Translates the events of one LiveKit stream, over all its connections. Remembers whether a turn is open.

    A turn never stays open past its connection: `end_turn` gives the END that the server still owes, which
    [seed] leaves out.
    """

    def __init__(self) -> None:
        self.session_id = ""
        self._speaking = False

    def translate(
        self,
        event: InterimTranscript | FinalTranscript | SpeechStarted | SpeechEnded,
        options: PulseOptions,
        offset: float,
    ) -> list[stt.SpeechEvent]:
        """What LiveKit is told; `offset` seconds are added to the times."""
        if isinstance(event, SpeechStarted):
            return self._turn(True)
        if isinstance(event, SpeechEnded):
            return self._turn(False)
        # the id as of this message: the connection may have read further ones already
        self.session_id = event.session_id or self.session_id
        kind = _Type.FINAL_TRANSCRIPT if isinstance(event, FinalTranscript) else _Type.INTERIM_TRANSCRIPT
        data = speech_data(event, options, offset)
        return [stt.SpeechEvent(type=kind, request_id=self.session_id, alternatives=[data])]

    def end_turn(self) -> list[stt.SpeechEvent]:
        """The connection is gone."""
        return self._turn(False)

    def usage(self, seconds: float) -> list[stt.SpeechEvent]:
        """Audio handed to the socket since the report before."""
        usage = stt.RecognitionUsage(audio_duration=seconds)
        return [
            stt.SpeechEvent(type=_Type.RECOGNITION_USAGE, request_id=self.session_id, recognition_usage=usage)
        ]

    def _turn(self, speaking: bool) -> list[stt.SpeechEvent]:
        if speaking is self._speaking:
            return []
        self._speaking = speaking
        return [stt.SpeechEvent(type=_Type.START_OF_SPEECH if speaking else _Type.END_OF_SPEECH)]


def speech_data(
    event: InterimTranscript | FinalTranscript, options: PulseOptions, offset: float
) -> stt.SpeechData:
    """A transcript. Its times are 0.0, whatever the offset, when there are no words to take them from [seed]."""
    seed, words = options.compat == "seed", event.words
    confidence = reading.first_confidence if seed else reading.mean_confidence
    speaker = reading.majority_speaker(words) if options.diarize else None
    return stt.SpeechData(
        language=event_language(event.language, options.language),
        text=event.text,
        start_time=words[0].start + offset if words else 0.0,
        end_time=words[-1].end + offset if words else 0.0,
        confidence=confidence(words),
        speaker_id=reading.seed_speaker_label(speaker) if seed else reading.speaker_label(speaker),
        words=timed_words(words, offset),
        metadata=_metadata(event, offset) if isinstance(event, FinalTranscript) else None,
    )


@lru_cache(maxsize=64)
def event_language(heard: str, asked: str) -> LanguageCode:
    """The language of an event; an aggregator's name stays as it is, which the framework's rules would bend."""
    language = heard or asked
    code = LanguageCode(language)
    if language.startswith(("multi-", "north_")):
        return str.__new__(LanguageCode, language)
    return code


def timed_words(words: Sequence[Word], offset: float) -> list[TimedString] | None:
    """LiveKit's words, None for none."""
    return [
        TimedString(
            text=word.word,
            start_time=word.start + offset,
            end_time=word.end + offset,
            start_time_offset=offset,
        )
        for word in words
    ] or None


def _metadata(event: FinalTranscript, offset: float) -> dict[str, Any] | None:
    metadata: dict[str, Any] = {}
    if event.utterances:
        metadata["utterances"] = [utterance_dict(utterance, offset) for utterance in event.utterances]
    if event.redacted_entities:
        metadata["redacted_entities"] = list(event.redacted_entities)
    return metadata or None


def utterance_dict(utterance: Utterance, offset: float = 0.0) -> dict[str, Any]:
    """A sentence as the server's JSON has it, on the stream's clock."""
    shown = {"text": utterance.text, "start": utterance.start + offset, "end": utterance.end + offset}
    return shown if utterance.speaker is None else {**shown, "speaker": utterance.speaker}


def batch_event(result: BatchResult, options: BatchOptions) -> stt.SpeechEvent:
    """A whole recording's transcript. The seed names no speaker there."""
    metadata: dict[str, Any] = {}
    if result.utterances and options.compat == "default":
        metadata["utterances"] = [utterance_dict(utterance) for utterance in result.utterances]
    data = stt.SpeechData(
        language=event_language(result.language, options.language),
        text=result.text,
        start_time=result.start,
        end_time=result.end,
        confidence=result.confidence,
        words=timed_words(result.words, 0.0),
        metadata=metadata or None,
    )
    return stt.SpeechEvent(type=_Type.FINAL_TRANSCRIPT, request_id=utils.shortuuid(), alternatives=[data])
