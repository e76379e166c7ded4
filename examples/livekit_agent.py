"""A LiveKit voice agent that hears with Pulse and speaks with Lightning.

python examples/livekit_agent.py                a conversation in this process: no room, no key, no network
python examples/livekit_agent.py dev            a worker for LiveKit rooms; wants LIVEKIT_* and SMALLEST_API_KEY

The first needs `pip install 'smallest-proto[livekit,local]'`. To run either with the vendor's plugin, exchange the
import that is marked; nothing else changes. What the agent says is a script, so that no language model is needed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from typing import Never

from livekit.agents import (
    DEFAULT_API_CONNECT_OPTIONS,
    Agent,
    AgentSession,
    APIConnectOptions,
    ConversationItemAddedEvent,
    JobContext,
    WorkerOptions,
    cli,
    llm,
)
from livekit.agents.utils import http_context
from livekit.agents.voice import io

from livekit import rtc
from livekit.plugins import smallest  # or: from livekit.plugins import smallestai as smallest

BASE_URL = "https://api.smallest.ai/waves/v1"
REPLIES = (
    "Of course I can. Here is what we have today, and please stop me at any time. There is soup of the day, "
    "there is fresh bread with butter, there is a green salad, and there are pancakes with maple syrup.",
    "Very well. Your order is on its way.",
)


def make_session(base_url: str = BASE_URL, replies: Sequence[str] = REPLIES) -> AgentSession[None]:
    """Ears, a script and a voice.

    Turns follow from transcripts: with `vad_events=True` the vendor's plugin leaves a turn open for ever when the
    final comes after the end of speech, as a local server's does. Ours takes either.
    """
    return AgentSession(
        stt=smallest.STT(base_url=base_url, stream_path="/stt/live", vad_events=False),
        llm=Script(replies),
        tts=smallest.TTS(
            base_url=base_url, ws_url=f"{base_url.replace('http', 'ws', 1)}/tts/live", use_continuations=True
        ),
        vad=None,
        turn_handling={
            "turn_detection": "stt",
            "interruption": {"resume_false_interruption": False},
        },
        aec_warmup_duration=None,  # no loudspeaker that the microphone could hear
    )


class Script(llm.LLM[Never]):
    """A language model that knows its lines: one for each reply it has not given yet, the last ever after."""

    def __init__(self, replies: Sequence[str]) -> None:
        super().__init__()
        self._replies = replies

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_: object,
    ) -> llm.LLMStream:
        given = sum(message.role == "assistant" for message in chat_ctx.messages())
        reply = self._replies[min(given, len(self._replies) - 1)]
        return Line(self, reply, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class Line(llm.LLMStream):
    """One reply, word by word."""

    def __init__(
        self,
        model: Script,
        reply: str,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool],
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(model, chat_ctx=chat_ctx, tools=tools, conn_options=conn_options)
        self._reply = reply

    async def _run(self) -> None:
        for word in self._reply.split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{word} ")
            self._event_ch.send_nowait(llm.ChatChunk(id="script", delta=delta))
            await asyncio.sleep(0.01)


async def entrypoint(job: JobContext) -> None:
    """What the worker does in each room."""
    await make_session().start(Agent(instructions="Take orders."), room=job.room)


# The conversation in this process: a microphone and a loudspeaker that are made of memory.


class Microphone(io.AudioInput):
    """Silence in real time, and what is put into `say`. Frames of 20 ms at 16 kHz."""

    RATE, FRAME = 16000, 320

    def __init__(self) -> None:
        super().__init__(label="memory")
        self._speech = bytearray()
        self._due: float | None = None
        self.quiet = asyncio.Event()

    def say(self, pcm: bytes) -> None:
        """Speak this (16-bit mono at `RATE`); `quiet` is set when it has been said."""
        self.quiet.clear()
        self._speech += pcm

    async def __anext__(self) -> rtc.AudioFrame:
        now = asyncio.get_running_loop().time()
        self._due = (now if self._due is None else self._due) + self.FRAME / self.RATE
        await asyncio.sleep(self._due - now)
        data = bytes(self._speech[: 2 * self.FRAME]).ljust(2 * self.FRAME, b"\0")
        del self._speech[: 2 * self.FRAME]
        if not self._speech:
            self.quiet.set()
        return rtc.AudioFrame(data, self.RATE, 1, self.FRAME)


class Loudspeaker(io.AudioOutput):
    """Plays in real time, and remembers what was heard."""

    RATE = 24000

    def __init__(self) -> None:
        super().__init__(
            label="memory",
            capabilities=io.AudioOutputCapabilities(pause=False),
            sample_rate=self.RATE,
        )
        self._pcm = bytearray()
        self._begun = 0.0
        self._end: asyncio.TimerHandle | None = None
        self.playing = asyncio.Event()
        self.heard: asyncio.Queue[tuple[bytes, bool]] = asyncio.Queue()
        """Each speech as far as it was heard, and whether it was interrupted."""

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._pcm:
            self._begun = asyncio.get_running_loop().time()
            self.playing.set()
            self.on_playback_started(created_at=time.time())
        self._pcm += bytes(frame.data)

    def flush(self) -> None:
        super().flush()
        if self._pcm and self._end is None:
            loop = asyncio.get_running_loop()
            self._end = loop.call_at(self._begun + len(self._pcm) / 2 / self.RATE, self._finish, False)

    def clear_buffer(self) -> None:
        if self._pcm:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if interrupted:
            played = asyncio.get_running_loop().time() - self._begun
            del self._pcm[2 * round(played * self.RATE) :]
        self.heard.put_nowait((bytes(self._pcm), interrupted))
        seconds = len(self._pcm) / 2 / self.RATE
        self._pcm.clear()
        self.playing.clear()
        self.on_playback_finished(playback_position=seconds, interrupted=interrupted)


def report(event: ConversationItemAddedEvent) -> None:
    """Print who said what."""
    if isinstance(event.item, llm.ChatMessage):
        print(f"{event.item.role}: {event.item.text_content}")


async def converse() -> None:
    """Order something, and interrupt the answer, at a local server."""
    from smallest_transports.loopback import serve
    from smallest_transports.loopback.engines.base import SynthesizerSetup
    from smallest_transports.loopback.engines.local import LocalRecognizer, LocalSynthesizer

    os.environ.setdefault("SMALLEST_API_KEY", "none")  # the vendor's plugin insists on one
    voice = LocalSynthesizer()

    def pronounce(text: str) -> bytes:
        setup = SynthesizerSetup(sample_rate=Microphone.RATE)
        return b"".join(piece.pcm for piece in voice.speak(setup, text))

    ears = LocalRecognizer()
    ears.preload()
    microphone, loudspeaker = Microphone(), Loudspeaker()
    async with serve(recognizer=ears, synthesizer=voice) as server, http_context.open():
        session = make_session(server.url)
        session.on("conversation_item_added", report)
        session.input.audio, session.output.audio = microphone, loudspeaker
        await session.start(Agent(instructions="Take orders."))
        microphone.say(await asyncio.to_thread(pronounce, "Hello can you tell me what is on the menu today"))
        await loudspeaker.playing.wait()
        await asyncio.sleep(2)
        microphone.say(await asyncio.to_thread(pronounce, "Thank you I would like the pancakes please"))
        for _ in range(2):
            pcm, interrupted = await loudspeaker.heard.get()
            seconds = len(pcm) / 2 / loudspeaker.RATE
            print(f"-- {seconds:.1f} s were heard" + (", then it was interrupted" if interrupted else ""))
        await session.aclose()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))
    else:
        asyncio.run(converse())
