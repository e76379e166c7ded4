"""A real `AgentSession` in this process: real speech in, a scripted model, speech out, at the local server."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from livekit.agents import Agent, AgentSession, llm

from livekit.plugins import smallest
from smallest_proto.pulse.messages import TranscriptMessage
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.base import RecognizerSetup, SynthesizerSetup
from smallest_transports.loopback.engines.local import LocalRecognizer, LocalSynthesizer
from sockets import run

EXAMPLE = Path(__file__).parents[2] / "examples" / "livekit_agent.py"
OURS = "from livekit.plugins import smallest  # or: "

QUESTION = "Hello can you tell me what is on the menu today"
LONG = (
    "Of course I can. There is soup of the day, there is fresh bread with butter, there is a green salad, "
    "there are pancakes with maple syrup, and there is coffee with milk or with sugar."
)
INTERRUPTION = "Thank you I would like the pancakes please"
SHORT = "Very well. Your order is on the way."


def load_example() -> Any:
    spec = importlib.util.spec_from_file_location("livekit_agent", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pronounce(voice: LocalSynthesizer, text: str, rate: int) -> bytes:
    setup = SynthesizerSetup(sample_rate=rate)
    return b"".join(piece.pcm for piece in voice.speak(setup, text))


def recognize(ears: LocalRecognizer, pcm: bytes, rate: int) -> set[str]:
    """The words in it."""
    session = ears.open(RecognizerSetup(sample_rate=rate))
    try:
        messages = [*session.feed(pcm), *session.finish()]
    finally:
        session.close()
    finals = [m.transcript or "" for m in messages if isinstance(m, TranscriptMessage) and m.is_final]
    return words(" ".join(finals))


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower()))


def test_a_turn_is_heard_a_reply_spoken_and_an_interruption_obeyed() -> None:
    example = load_example()

    async def main() -> None:
        ears, voice = LocalRecognizer(), LocalSynthesizer()
        async with serve(recognizer=ears, synthesizer=voice) as server:
            await asyncio.gather(asyncio.to_thread(ears.preload), asyncio.to_thread(voice.preload))
            question, interruption = [
                await asyncio.to_thread(pronounce, voice, text, example.Microphone.RATE)
                for text in (QUESTION, INTERRUPTION)
            ]
            tts = smallest.TTS(api_key="k", base_url=server.url, text_mode="context")
            session: AgentSession[None] = AgentSession(
                stt=smallest.STT(api_key="k", base_url=server.url, endpoint="live", vad_events=True),
                llm=example.Script((LONG, SHORT)),
                tts=tts,
                vad=None,
                turn_handling={
                    "turn_detection": "stt",
                    "interruption": {"resume_false_interruption": False},
                },
                aec_warmup_duration=None,
            )
            said: list[tuple[str, str]] = []
            states: list[str] = []
            errors: list[object] = []
            cancelled: list[bool] = []

            def note(item: object) -> None:
                if isinstance(item, llm.ChatMessage):
                    said.append((item.role, item.text_content or ""))

            session.on("conversation_item_added", lambda event: note(event.item))
            session.on("agent_state_changed", lambda event: states.append(event.new_state))
            session.on("error", errors.append)
            tts.on("metrics_collected", lambda metrics: cancelled.append(metrics.cancelled))
            microphone, loudspeaker = example.Microphone(), example.Loudspeaker()
            session.input.audio, session.output.audio = microphone, loudspeaker
            await session.start(Agent(instructions="Take orders."))

            microphone.say(question)
            await loudspeaker.playing.wait()
            microphone.say(interruption)
            cut, was_cut = await loudspeaker.heard.get()
            whole, was_cut_too = await loudspeaker.heard.get()
            await session.aclose()
            await tts.aclose()

            assert errors == []
            assert (was_cut, was_cut_too) == (True, False)
            asked = words(" ".join(text for role, text in said if role == "user"))
            assert {"menu", "today", "pancakes", "please"} <= asked
            assert [role for role, _ in said].count("assistant") == 2
            assert states.count("speaking") == 2

            rate = example.Loudspeaker.RATE
            full = [await asyncio.to_thread(pronounce, voice, text, rate) for text in (LONG, SHORT)]
            assert 0 < len(cut) < len(full[0])
            # nothing of the first reply leaked into the second
            assert abs(len(whole) - len(full[1])) / 2 / rate < 0.3
            assert {"order", "way"} <= await asyncio.to_thread(recognize, ears, whole, rate)

    run(main(), within=60.0)


@pytest.mark.parametrize("plugin", ["smallest", "smallestai"])
def test_the_example_runs_with_either_plugin(plugin: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(f"livekit.plugins.{plugin}") is None:
        pytest.skip("livekit-plugins-smallestai is not installed")
    source = EXAMPLE.read_text("utf-8")
    assert OURS in source
    if plugin != "smallest":
        source = source.replace(OURS, "")
    script = tmp_path / "agent.py"
    script.write_text(source, "utf-8")
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("user: ") >= 2
    assert "then it was interrupted" in done.stdout
    assert f"assistant: {load_example().REPLIES[1]}" in done.stdout
