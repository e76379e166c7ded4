"""One synthesis that outlives its connection: what was asked, what was heard, what has to be said again.

Pure, and a layer above `LightningConnection`: the transport gives it every event of the context and every
failure, and opens a fresh connection when told to.

    speech.ask(SendText("Hello "))     # as the user asks
    connection.send(OpenContext(), now)  # on each new one, unless text_mode="segment"
    while (command := speech.next_command()) is not None: connection.send(command, now)
    speech.receive(event)              # then, until it is None, next_event has something for the user
    error = speech.fail(error)         # None: connect afresh, and send what next_command returns from its start
"""

from __future__ import annotations

import re
from collections import deque
from typing import TypeAlias

import msgspec

from smallest_proto.errors import LocalProtocolError, ProtocolError, Truncated
from smallest_proto.lightning.asking import same_synthesis, well_formed
from smallest_proto.lightning.commands import FinishContext, FlushText, SendText, Speak
from smallest_proto.lightning.events import (
    AudioChunk,
    ContextCancelled,
    ContextComplete,
    SpeechResumed,
    WordTimestamp,
)
from smallest_proto.lightning.options import LightningOptions

SpeechCommand: TypeAlias = SendText | FlushText | FinishContext | Speak
SpeechHeard: TypeAlias = AudioChunk | WordTimestamp | SpeechResumed | ContextComplete | ContextCancelled

LOOK_AHEAD = 4
"""Words of the text among which a timed word is looked for: the service spells out numbers, and may skip marks."""

ROUNDING = 0.02
"""Seconds by which a word may end after the audio that came: word times are rounded."""

MAX_ATTEMPTS = 3
"""Fresh connections without a sound from any of them, after which the failure is the user's."""

_LAST_COMMANDS = (FinishContext, Speak)

_TOKEN = re.compile(r"\S+")
_MARKS = re.compile(r"\W+")


class ResumableSpeech:
    """One synthesis over as many connections as it takes. Not for two at a time.

    Words are handed out once their audio has come, so that no word is announced twice: after a failure the text
    goes on behind the last of them. Without word times a synthesis that was heard cannot go on, and ends in
    `Truncated`.
    """

    def __init__(self, options: LightningOptions, context_id: str) -> None:
        self._options = options
        self._context_id = context_id
        self._asked: list[SpeechCommand] = []
        self._given = 0
        self._finished = False
        self._heard = self._heard_before = 0
        self._words: deque[WordTimestamp] = deque()
        self._text = _Text()
        self._events: deque[SpeechHeard] = deque()
        self._attempts = 0

    @property
    def audio_seconds(self) -> float:
        """Speech handed out so far, over all connections."""
        return self._heard / (2 * self._options.sample_rate)

    @property
    def attempts(self) -> int:
        """Connections that failed since the last sound."""
        return self._attempts

    def ask(self, command: SpeechCommand) -> None:
        """Note what the user asks for. Raises LocalProtocolError if no connection would take it."""
        if self._finished:
            raise LocalProtocolError(f"{type(command).__name__} after the end of the text is not allowed")
        _, text = well_formed(command, self._options)
        same_synthesis(command.context_id, self._context_id)
        self._asked.append(command)
        self._finished = isinstance(command, _LAST_COMMANDS)
        if text:
            self._text.append(text)

    @property
    def waiting(self) -> bool:
        """Whether `next_command` has something."""
        return self._given < len(self._asked)

    def next_command(self) -> SpeechCommand | None:
        """What to send next on the connection at hand; None when everything was handed out."""
        if not self.waiting:
            return None
        self._given += 1
        return self._asked[self._given - 1]

    def receive(self, event: AudioChunk | WordTimestamp | ContextComplete | ContextCancelled) -> None:
        """Take an event of the connection at hand; `next_event` has what follows from it."""
        if isinstance(event, AudioChunk):
            self._heard += len(event.pcm)
            self._attempts = 0
            self._events.append(event)
            if self._words:
                self._release_words(self.audio_seconds + ROUNDING)
        elif isinstance(event, WordTimestamp):
            base = self._heard_before / (2 * self._options.sample_rate)
            start, end = event.start + base, event.end + base
            self._words.append(msgspec.structs.replace(event, start=start, end=end))
            self._release_words(self.audio_seconds + ROUNDING)
        else:
            self._release_words(float("inf"))
            self._events.append(event)

    def next_event(self) -> SpeechHeard | None:
        """The next event for the user; None when more must be received first."""
        return self._events.popleft() if self._events else None

    def fail(self, error: ProtocolError) -> ProtocolError | None:
        """The connection failed. None: connect afresh, and send what `next_command` returns from its start.

        Else the error to raise: `error` itself when a repetition cannot help or enough were tried, `Truncated`
        when speech was heard and nothing tells where it broke off.
        """
        self._words.clear()  # their audio never came: they will be announced again
        new = self._heard > self._heard_before
        if not error.retryable:
            return error
        if self._attempts == MAX_ATTEMPTS or (new and not self._text.located):
            return self._truncated(error) if self._heard else error
        if new:
            self._go_on_behind_the_last_word()
        self._attempts += 1
        self._given = 0
        return None

    def _go_on_behind_the_last_word(self) -> None:
        self._heard_before = self._heard
        rest = self._text.cut().lstrip()
        if not rest and self._finished:
            self._events.append(ContextComplete(context_id=self._context_id, confirmed=False))
            return
        self._events.append(SpeechResumed(context_id=self._context_id, audio_seconds=self.audio_seconds))
        if self._options.text_mode == "segment":
            self._asked = [Speak(rest, self._context_id)]
            return
        self._asked = self._asked_behind(rest)

    def _asked_behind(self, rest: str) -> list[SpeechCommand]:
        """What was asked for with the last of the text, and behind it. A flush counts if there is text before it."""
        said = sum(len(command.text) for command in self._asked if isinstance(command, SendText)) - len(rest)
        asked: list[SpeechCommand] = []
        text = ""
        for command in self._asked:
            if isinstance(command, SendText):
                text += command.text[said:]
                said = max(0, said - len(command.text))
            elif text or isinstance(command, FinishContext):
                asked += [SendText(text, self._context_id)] if text else []
                asked.append(command)
                text = ""
        return [*asked, SendText(text, self._context_id)] if text else asked

    def _release_words(self, heard: float) -> None:
        while self._words and self._words[0].end <= heard:
            word = self._words.popleft()
            self._text.locate(word.word)
            self._events.append(word)

    def _truncated(self, error: ProtocolError) -> Truncated:
        return Truncated(
            f"the speech broke off after {self.audio_seconds:.2f} s: {error}",
            audio_seconds=self.audio_seconds,
            code=error.code,
            status=error.status,
            request_id=error.request_id,
        )


class _Text:
    """The text of a synthesis, and how far into it the last located word reaches."""

    def __init__(self) -> None:
        self._text = ""
        self._tokens: list[tuple[str, int]] | None = None
        self._next = 0
        self.located = False
        """Whether any word was found since the last cut."""

    def append(self, text: str) -> None:
        self._text += text
        self._tokens = None

    def locate(self, word: str) -> None:
        """Find the next place of a word; one that is not found nearby changes nothing."""
        if self._tokens is None:
            self._tokens = [(_bare(match[0]), match.end()) for match in _TOKEN.finditer(self._text)]
        for index in range(self._next, min(self._next + LOOK_AHEAD, len(self._tokens))):
            if self._tokens[index][0] == _bare(word):
                self._next, self.located = index + 1, True
                return

    def cut(self) -> str:
        """Forget the text up to the last located word, which there must be, and return the rest."""
        tokens = [match.end() for match in _TOKEN.finditer(self._text)][: self._next]
        self._text = self._text[tokens[-1] :]
        self._tokens, self._next = None, 0
        self.located = False
        return self._text


def _bare(word: str) -> str:
    return _MARKS.sub("", word).casefold()
