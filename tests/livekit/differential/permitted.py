"""Where ours may differ from the official plugin, and why. Everything else has to be equal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from livekit.differential.players import Outcome
from livekit.differential.scripts import ERRORS, NONSENSE, Script

START, INTERIM, FINAL, END = "start_of_speech", "interim_transcript", "final_transcript", "end_of_speech"

DIED = ("AttributeError", "TypeError")

Applies = Callable[[Script, Outcome, Outcome], bool]
Change = Callable[[Outcome, Outcome], tuple[Outcome, Outcome]]


@dataclass(frozen=True)
class Difference:
    """`applies` to a script and both outcomes (official, ours); `change` then takes the difference away."""

    name: str
    reason: str
    applies: Applies
    change: Change


def speaking(outcome: Outcome) -> bool:
    """Whether a turn is open at the end."""
    turns = [event[0] for event in outcome.events if event[0] in (START, END)]
    return bool(turns) and turns[-1] == START


def well_formed(outcome: Outcome) -> bool:
    """Every START is followed by one END, and they alternate."""
    turns = [event[0] for event in outcome.events if event[0] in (START, END)]
    return turns[0::2] == [START] * len(turns[0::2]) and turns[1::2] == [END] * (len(turns) // 2)


def _end_turn(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    return replace(official, events=[*official.events, (END, "")]), ours


def _prefix(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    """Only what the official plugin told before it died has to be equal."""
    size = len(official.events) - (official.events[-1:] == [(END, "")])
    shorter, same = _prefix_of(official, ours, size)
    return shorter, replace(same, requests=official.requests, texts=official.texts)


def _ours_is_prefix(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    size = len(ours.events) - (ours.events[-1:] == [(END, "")])
    return _prefix_of(official, ours, size)


def _prefix_of(official: Outcome, ours: Outcome, size: int) -> tuple[Outcome, Outcome]:
    return (
        replace(official, events=official.events[:size], error="", usage=0),
        replace(ours, events=ours.events[:size], error="", usage=0),
    )


def _no_error(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    return replace(official, error=""), replace(ours, error="")


def _no_turns(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    def texts(outcome: Outcome) -> Outcome:
        return replace(outcome, events=[event for event in outcome.events if event[0] in (INTERIM, FINAL)])

    return texts(official), texts(ours)


def _texts(outcome: Outcome) -> list[Any]:
    return [event[2][0] for event in outcome.events if len(event) > 2]


def _only_strings(outcome: Outcome) -> Outcome:
    kept = [event for event in outcome.events if len(event) < 3 or isinstance(event[2][0], str)]
    return replace(outcome, events=kept)


def _any_usage(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    return replace(official, usage=ours.usage), ours


def _plain_speakers(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    def plain(event: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_plain_speaker(part) if isinstance(part, tuple) else part for part in event)

    return replace(official, events=[plain(event) for event in official.events]), ours


def _plain_speaker(data: tuple[Any, ...]) -> tuple[Any, ...]:
    label = data[5]
    match = re.fullmatch(r"Sspeaker_0*(\d+)", label or "")
    return (*data[:5], f"S{match[1]}" if match else label, *data[6:])


def _has(words: tuple[str, ...]) -> Applies:
    return lambda script, official, ours: any(message in words for message in script.said)


def _vad_hazard(script: Script, official: Outcome, ours: Outcome) -> bool:
    """A final, flagged as more to come, where VAD has ended the turn or has never been heard of."""
    for messages in ((*script.said, *script.after, script.last), (*script.again, script.last)):
        ended, vad, finals = False, False, 0
        for message in map(_load, messages):
            kind = message.get("type")
            if kind in ("speech_started", "speech_ended"):
                vad, ended = True, kind == "speech_ended"
            elif message.get("is_final"):
                if ended or (not vad and finals):
                    return True
                finals += 1
    return False


def _load(message: str) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _resumes(script: Script, official: Outcome, ours: Outcome) -> bool:
    return len(ours.requests) == 2 and not ours.error


def _first_connection(official: Outcome, ours: Outcome) -> tuple[Outcome, Outcome]:
    """What was told until the drop; ours told all of it, and an END that only the official plugin gives there."""
    same = replace(
        ours, events=ours.events[: ours.before], requests=official.requests, texts=official.texts, error=""
    )
    events = official.events[: official.before]
    if events[-1:] == [(END, "")] and same.events[-1:] != [(END, "")]:
        events = events[:-1]
    died = official.error if official.error in DIED else ""  # of nonsense, before it came to that
    return replace(official, events=events, error=died, usage=same.usage), same


RESUMING = (
    Difference(
        "resuming",
        "the official plugin ends the turn and the attempt where a connection is lost, and what it had sent is gone; "
        "ours sends it again on another connection, goes on in the same turn on the same clock, and tells nothing "
        "twice. A server that says at random what it heard cannot show which is right: `dropping_server` does. Here "
        "all up to the drop has to be equal",
        _resumes,
        _first_connection,
    ),
)

BOTH = (
    Difference(
        "nonsense",
        "a JSON list, string, number or null, or fields of the wrong type, end the official stream with an "
        "AttributeError or TypeError; ours goes on",
        lambda script, official, ours: (
            official.error in DIED and any(message in NONSENSE for message in script.said)
        ),
        _prefix,
    ),
    Difference(
        "nonsense that passes",
        "what the official plugin reads out of fields of the wrong type is not what the server meant; ours takes "
        "them for missing",
        lambda script, official, ours: any(not isinstance(text, str) for text in _texts(official)),
        lambda official, ours: _no_turns(_only_strings(official), ours),
    ),
    Difference(
        "a drop after the end of the input",
        "the official stream ends as if all had been said; ours raises what went wrong, as words are missing",
        lambda script, official, ours: script.ending in ("close 1011", "cut") and not official.error,
        _no_error,
    ),
    Difference(
        "kinds of errors",
        "a lost connection is an APIStatusError or an APIConnectionError depending on what the official plugin "
        "meets first: the close, or its own failed write (a raw exception, which is not retried)",
        lambda script, official, ours: script.early and bool(official.error) and bool(ours.error),
        _no_error,
    ),
    Difference(
        "usage at the end",
        "the official plugin loses what it has not reported when a connection drops",
        lambda script, official, ours: script.early,
        _any_usage,
    ),
)

SEED = (
    Difference(
        "turns over a dropped connection",
        "the seed takes an open turn along to the next connection; ours ends it, and begins another",
        lambda script, official, ours: script.retry and well_formed(ours),
        _no_turns,
    ),
    *BOTH,
    Difference(
        "an error message",
        "the seed ignores it and waits; ours raises it at once",
        _has(ERRORS),
        _ours_is_prefix,
    ),
    Difference(
        "an unmatched START",
        "the seed leaves a turn open when the stream ends; ours ends it",
        lambda script, official, ours: speaking(official) and not speaking(ours),
        _end_turn,
    ),
)

NEWER = (
    Difference(
        "ghost turns, and servers without VAD",
        "after speech_ended a late final opens a turn that nothing ends, and without any VAD message nothing ends "
        "a turn before the stream does; ours neither opens the one nor keeps the other",
        lambda script, official, ours: _vad_hazard(script, official, ours) and well_formed(ours),
        _no_turns,
    ),
    *BOTH,
    Difference(
        "an error told by its status alone",
        "`status: error` without `type: error` or an `error` key means nothing to the official plugin; ours raises it",
        _has(ERRORS[-1:]),
        _ours_is_prefix,
    ),
    Difference(
        "speaker labels",
        "`speaker_0` and 0 are the same speaker: S0 for both",
        lambda script, official, ours: bool(script.options["diarize"]),
        _plain_speakers,
    ),
)
