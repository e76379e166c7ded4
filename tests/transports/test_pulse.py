"""Pulse against the local server, on every loop and carrier: the whole round trip over real sockets."""

from collections.abc import AsyncIterator, Sequence

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loops import EVERY_NET, Net
from smallest_proto.errors import LocalProtocolError
from smallest_proto.pulse import (
    FinalTranscript,
    InterimTranscript,
    PulseOptions,
    StreamEnded,
    TranscriptMessage,
    Usage,
)
from smallest_transports.asyncio import PulseStream, TranscriptEvent
from smallest_transports.loopback.engines.scripted import Cue, Script, ScriptedRecognizer
from sockets import QUICK, Peer, transcript

SECOND = bytes(32000)


async def events_of(stream: PulseStream) -> list[TranscriptEvent]:
    return [event async for event in stream]


def finals(events: Sequence[TranscriptEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, FinalTranscript) and event.text]


def heard(events: Sequence[TranscriptEvent]) -> float:
    """Seconds of audio that the scripted recogniser had heard at its last final."""
    return float(finals(events)[-1].split()[1])


def talk(net: Net, cuts: Sequence[int], options: PulseOptions = PulseOptions()) -> list[TranscriptEvent]:
    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(options, **net.to(server.url), resume=False) as stream:
            for samples in cuts:
                await stream.send_audio(bytes(2 * samples))
            await stream.end_input()
            return await events_of(stream)

    with net.server() as server:
        return net.run(main)


@EVERY_NET
@settings(max_examples=3)
@given(cuts=st.lists(st.integers(1, 40_000), min_size=1, max_size=6))
def test_all_audio_is_heard_however_it_is_cut(net: Net, cuts: list[int]) -> None:
    events = talk(net, cuts)
    sent = pytest.approx(sum(cuts) / 16000, abs=1e-5)
    assert heard(events) == sent
    assert sum(event.audio_seconds for event in events if isinstance(event, Usage)) == sent
    assert events[-1] == StreamEnded(confirmed=True)


@EVERY_NET
def test_each_endpoint_is_served(net: Net) -> None:
    for endpoint in ("get_text", "live", "transcribe"):
        events = talk(net, [16000], PulseOptions(endpoint=endpoint))
        assert finals(events) == ["heard 1.0 seconds"]


@EVERY_NET
def test_a_finalize_is_answered_and_the_stream_goes_on(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            await stream.send_audio(SECOND[:16000])
            await stream.finalize()
            answers = [event async for event in upto(stream, FinalTranscript)]
            final = answers[-1]
            assert isinstance(final, FinalTranscript)
            assert (final.text, final.from_finalize) == ("heard 0.5 seconds", True)
            await stream.send_audio(SECOND[:8000])
            await stream.end_input()
            assert finals(await events_of(stream)) == ["heard 0.75 seconds"]
            assert stream.session_id

    with net.server() as server:
        net.run(main)


async def upto(stream: PulseStream, kind: type[TranscriptEvent]) -> AsyncIterator[TranscriptEvent]:
    async for event in stream:
        yield event
        if isinstance(event, kind):
            return


@EVERY_NET
def test_flush_sends_what_waits_for_a_full_packet(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            await stream.send_audio(bytes(320))
            await stream.flush()
            first = [event async for event in upto(stream, InterimTranscript)][-1]
            assert isinstance(first, InterimTranscript)
            assert first.text == "there"

    script = Script(cues=(Cue(0.01, (TranscriptMessage(transcript="there"),)),))
    with net.server(recognizer=ScriptedRecognizer(script)) as server:
        net.run(main)


@EVERY_NET
def test_keepalive_reaches_the_server(net: Net) -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("keepalive")
        peer.text({"type": "pong"})
        await peer.until("close_stream")
        peer.text(transcript("", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
            await stream.keepalive()
            await stream.end_input()
            assert (await events_of(stream))[-1] == StreamEnded(confirmed=True)

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_iteration_stays_over_once_it_is_over(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            assert await events_of(stream)
            assert await events_of(stream) == []
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(SECOND)

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_one_task_sends_while_another_iterates(net: Net) -> None:
    async def main() -> None:
        async with (
            net.on.connect_pulse(**net.to(server.url), resume=False) as stream,
            anyio.create_task_group() as tasks,
        ):

            async def listen() -> None:
                assert heard(await events_of(stream)) == 20.0

            tasks.start_soon(listen)
            for _ in range(200):
                await stream.send_audio(bytes(3200))
                await anyio.lowlevel.checkpoint()
            await stream.end_input()

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_audio_can_be_sent_while_nobody_iterates(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            for _ in range(30):
                await stream.send_audio(SECOND)
            await stream.end_input()
            assert heard(await events_of(stream)) == 30.0

    with net.server() as server:
        net.run(main)


@EVERY_NET
def test_bad_audio_is_refused_and_harms_nothing(net: Net) -> None:
    async def main() -> None:
        async with net.on.connect_pulse(**net.to(server.url), resume=False) as stream:
            for bad in (b"", b"odd"):
                with pytest.raises(LocalProtocolError, match=r"Audio\.pcm"):
                    await stream.send_audio(bad)
            await stream.send_audio(SECOND)
            await stream.end_input()
            assert finals(await events_of(stream)) == ["heard 1.0 seconds"]

    with net.server() as server:
        net.run(main)
