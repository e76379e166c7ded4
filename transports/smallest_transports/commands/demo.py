"""`smallest-proto demo`: a spoken round trip on this machine, shown as it happens."""

from __future__ import annotations

import argparse
import re
import sys
import time
from contextlib import aclosing

import jiwer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from smallest_proto.audio import AudioFormat
from smallest_proto.lightning import LightningOptions
from smallest_proto.pulse import (
    FinalTranscript,
    InterimTranscript,
    PulseOptions,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    join_finals,
)
from smallest_transports.asyncio import TranscriptEvent, connect_pulse
from smallest_transports.audio_files import write_wav
from smallest_transports.commands.display import word_line
from smallest_transports.commands.say import speak
from smallest_transports.commands.service import local_server
from smallest_transports.commands.streaming import hear

SENTENCE = "Good morning, how can I help you today? Please call me back tomorrow morning."
SAMPLE_RATE = 24000
WORST_ERROR_RATE = 0.2
"""A word error rate above it fails the demo."""


async def demo(arguments: argparse.Namespace) -> int:
    """Speak, listen, compare. Returns 1 when too many words were misheard."""
    console = Console(highlight=False, soft_wrap=True)
    console.print("Starting the local server in a process of its own ...")
    async with local_server() as url:
        console.print(f"  {url}\n")
        console.print(f"Lightning speaks: {SENTENCE!r}")
        spoken = await speak(SENTENCE, LightningOptions(sample_rate=SAMPLE_RATE), url)
        write_wav(arguments.output, spoken.audio, SAMPLE_RATE)
        seconds = AudioFormat("linear16", SAMPLE_RATE).seconds(len(spoken.audio))
        console.print(f"  {seconds:.2f} s of speech, saved as {arguments.output}\n")
        console.print("Pulse listens, in real time:")
        heard = Listener(console)
        options = PulseOptions(endpoint="live", sample_rate=SAMPLE_RATE, vad_events=True)
        async with connect_pulse(options, base_url=url) as stream:
            heard.begin()
            events = hear(stream, spoken.audio, realtime=True, sent=heard.sent)
            with heard.live:
                async with aclosing(events):
                    async for event in events:
                        heard.show(event)
    rate = word_error_rate(SENTENCE, join_finals(heard.finals))
    console.print("\nSummary")
    console.print(f"  time to first audio          {spoken.first_audio:.2f} s")
    console.print(f"  time to first interim        {_seconds(heard.first_interim)}")
    console.print(f"  end of audio to last final   {_seconds(heard.last_final_after_audio)}")
    console.print(f"  said   {SENTENCE}")
    console.print(f"  heard  {join_finals(heard.finals)}")
    console.print(f"  word error rate              {rate:.2f}")
    if rate > WORST_ERROR_RATE:
        print(f"smallest-proto: the word error rate is above {WORST_ERROR_RATE}", file=sys.stderr)
        return 1
    return 0


class Listener:
    """Prints what a stream says, with the time since its audio began, and keeps the figures of the summary."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.live = Live(Text(), console=console, transient=True, auto_refresh=False)
        self._begun = self._audio_ended = 0.0
        self.finals: list[str] = []
        self.first_interim: float | None = None
        self.last_final_after_audio: float | None = None

    def begin(self) -> None:
        """The audio begins now."""
        self._begun = time.monotonic()

    def sent(self, seconds: float) -> None:
        """A packet left."""
        self._audio_ended = time.monotonic()

    def show(self, event: TranscriptEvent) -> None:
        """Print an event; an interim rewrites the line of the one before it."""
        now = time.monotonic()
        at = f"  {now - self._begun:6.2f} s  "
        match event:
            case SpeechStarted():
                self._console.print(f"{at}START_OF_SPEECH ({event.source})")
            case InterimTranscript():
                self.first_interim = self.first_interim or now - self._begun
                self._interim(f"{at}interim  {event.text}")
            case FinalTranscript():
                self.last_final_after_audio = now - self._audio_ended
                self.finals.append(event.text)
                self._interim("")
                last = "  is_last" if event.is_last else ""
                self._console.print(f"{at}final    {event.text}  (confidence {event.confidence:.2f}){last}")
                for word in event.words:
                    self._console.print(f"      {word_line(word)}", style="dim", markup=False)
            case SpeechEnded():
                self._console.print(f"{at}END_OF_SPEECH ({event.source})")
            case StreamEnded():
                confirmed = "is_last was seen" if event.confirmed else "is_last was never seen"
                self._console.print(f"{at}END_OF_STREAM ({confirmed})")

    def _interim(self, line: str) -> None:
        if self._console.is_terminal:
            self.live.update(Text(line), refresh=True)
        elif line:
            self._console.print(line, markup=False)


def word_error_rate(said: str, heard: str) -> float:
    """Word error rate, case and punctuation aside."""
    return float(jiwer.wer(plain(said), plain(heard)))


def plain(text: str) -> str:
    """The words alone, in lower case; an apostrophe belongs to its word."""
    return " ".join(re.findall(r"[\w']+", text.lower()))


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.2f} s"
