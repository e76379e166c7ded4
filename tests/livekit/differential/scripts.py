"""Random conversations: what the server says and how it ends. The same number always gives the same script."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

Ending = Literal[
    "last", "close 1000", "close 1011", "cut", "early close 1000", "early close 1011", "early cut"
]
ENDINGS: tuple[Ending, ...] = (
    *("last",) * 12,
    *("close 1000", "close 1011", "cut", "early close 1000", "early close 1011", "early cut"),
)

TEXTS = (
    *(
        "",
        " ",
        ".",
        "।",
        "⁇",
        "☺",
        "_",
        "uh",
        "uh hello",
        "Hello there. ",
        " Yes",
        "नमस्ते",
        "[FIRSTNAME_1] called",
    ),
    *("Thanks.", "order 66", "你好", "a"),
)
NONSENSE = (
    *("[]", '"text"', "7", "null", "{", "", "[1, {}]"),
    '{"transcript": 7, "is_final": true}',
    '{"transcript": ["x"], "is_final": false}',
    '{"transcript": "x", "is_final": true, "words": "word"}',
    '{"transcript": "x", "is_final": true, "words": ["a", "b"]}',
    '{"transcript": "x", "is_final": true, "words": [{"word": "x", "start": null, "end": 1}]}',
    '{"transcript": "x", "is_final": true, "words": [{"word": "x", "start": "1", "end": 1}]}',
)
"""What kills a stream of the official plugin, or is no message at all [peers]."""

ERRORS = (
    '{"type":"error","message":"no"}',
    '{"error":"no"}',
    '{"status":"error","error_code":"BAD","message":"no"}',
)


@dataclass(frozen=True)
class Script:
    """One conversation. `said` comes once all audio has arrived, `after` once the client has asked for the end.

    An early ending comes right after `said`, before the client asks; with `retry` the client then connects again
    and gets `again`, and a proper end.
    """

    index: int
    options: dict[str, Any]
    packets: int
    said: tuple[str, ...]
    after: tuple[str, ...]
    ending: Ending
    retry: bool
    again: tuple[str, ...]
    last: str = field(repr=False)

    @property
    def early(self) -> bool:
        """The connection ends before the client asks for it."""
        return self.ending.startswith("early")


def make(number: int, index: int, *, newer: bool) -> Script:
    """Script `index` of the run `number`."""
    random = Random(f"{number}:{index}:{newer}")
    options: dict[str, Any] = {
        "language": random.choice(("en", "en", "hi", "de")),
        "diarize": random.random() < 0.3,
        "word_timestamps": random.random() < 0.8,
    }
    odd = random.random()
    said = [_message(random, newer) for _ in range(random.randrange(9))]
    after = [_message(random, newer) for _ in range(random.randrange(4))]
    if odd < 0.15:
        said.insert(random.randrange(len(said) + 1), random.choice(NONSENSE))
    elif odd < 0.2:
        said.insert(random.randrange(len(said) + 1), random.choice(ERRORS))
    elif odd < 0.3:
        said.insert(random.randrange(len(said) + 1), '{"type":"pong"}')
    ending = random.choice(ENDINGS)
    # who ignores an error waits, and ours connects again: nothing after it can be compared
    comparable = not any(message in (ERRORS[-1:] if newer else ERRORS) for message in said)
    return Script(
        index=index,
        options=options,
        packets=random.randrange(1, 6),
        said=tuple(said),
        after=tuple(after),
        ending=ending,
        retry=ending.startswith("early") and random.random() < 0.5 and comparable,
        again=tuple(_message(random, newer) for _ in range(random.randrange(3))),
        last=_transcript(random, newer, is_last=True),
    )


def _message(random: Random, newer: bool) -> str:
    if newer and random.random() < 0.35:
        kind = random.choice(("speech_started", "speech_ended"))
        return json.dumps({"type": kind, "session_id": "a", "timestamp": random.randrange(300) / 100})
    return _transcript(random, newer)


def _transcript(random: Random, newer: bool, *, is_last: bool = False) -> str:
    final = random.random() < (0.9 if is_last else 0.45)
    message: dict[str, Any] = {"is_final": final, "is_last": is_last}
    if random.random() < 0.7:
        message["type"] = "transcription"
    if random.random() < 0.9:
        message["session_id"] = random.choice(("a", "b", ""))
    text = random.choice(TEXTS) if random.random() < 0.9 else None
    keys = ("transcript", "transcription") if newer else ("transcript",)
    for key in keys:
        if random.random() < 0.9:
            message[key] = text
    if not any(key in message for key in ("type", *keys)):
        message["type"] = "transcription"
    if random.random() < 0.5:
        message["language"] = random.choice(("en", "ENG", "hi-in", None))
    if final and random.random() < 0.3:
        message["from_finalize"] = random.choice((True, False))
    if final and newer and random.random() < 0.3:
        message["speech_final"] = random.choice((True, False))
    if random.random() < 0.6:
        message["words"] = random.choice((None, [], *([_word(random) for _ in range(n)] for n in (1, 2, 4))))
    if final and newer and random.random() < 0.2:
        message["utterances"] = [{"text": "One.", "start": random.randrange(100) / 100, "end": 1.5}]
    if final and newer and random.random() < 0.1:
        message["redacted_entities"] = ["[FIRSTNAME_1]"]
    return json.dumps(message)


def _word(random: Random) -> dict[str, Any]:
    start = random.randrange(300) / 100
    word: dict[str, Any] = {
        "word": random.choice(("hello", "नमस्ते", "")),
        "start": start,
        "end": start + 0.25,
        "confidence": random.choice((0.9, 0.5, 1.0, 0)),
        "speaker": random.choice((0, 1, "0", "speaker_0")),
    }
    for key in tuple(word):
        if random.random() < 0.08:
            del word[key]
    return word
