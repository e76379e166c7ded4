"""Pulse on asyncio against the local server: the whole round trip over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smallest_proto.errors import LocalProtocolError
from smallest_proto.pulse import (
    FinalTranscript,
    InterimTranscript,
    PulseOptions,
    StreamEnded,
    TranscriptMessage,
    Usage,
)
from smallest_transports.asyncio import PulseStream, TranscriptEvent, connect_pulse
from smallest_transports.loopback import serve
from smallest_transports.loopback.engines.scripted import Cue, Script, ScriptedRecognizer
from sockets import CLOSE, QUICK, Peer, raw_server, run, transcript

SECOND = bytes(32000)


async def events_of(stream: PulseStream) -> list[TranscriptEvent]:
    return [event async for event in stream]


def finals(events: Sequence[TranscriptEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, FinalTranscript) and event.text]


def heard(events: Sequence[TranscriptEvent]) -> float:
    """Seconds of audio that the scripted recogniser had heard at its last final."""
    return float(finals(events)[-1].split()[1])


async def talk(cuts: Sequence[int], options: PulseOptions = PulseOptions()) -> list[TranscriptEvent]:
    async with serve() as server, connect_pulse(options, base_url=server.url) as stream:
        for samples in cuts:
            await stream.send_audio(bytes(2 * samples))
        await stream.end_input()
        return await events_of(stream)


@settings(max_examples=10)
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=6))
def test_all_audio_is_heard_however_it_is_cut(cuts: list[int]) -> None:
    events = run(talk(cuts))
    sent = pytest.approx(sum(cuts) / 16000, abs=1e-5)
    assert heard(events) == sent
    assert sum(event.audio_seconds for event in events if isinstance(event, Usage)) == sent
    assert events[-1] == StreamEnded(confirmed=True)


@pytest.mark.parametrize("endpoint", ["get_text", "live", "transcribe"])
def test_each_endpoint_is_served(endpoint: str) -> None:
    events = run(talk([16000], PulseOptions(endpoint=endpoint)))  # type: ignore[arg-type]  # a literal of it
    assert finals(events) == ["heard 1.0 seconds"]


def test_a_finalize_is_answered_and_the_stream_goes_on() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
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

    run(main())


async def upto(stream: PulseStream, kind: type[TranscriptEvent]):  # type: ignore[no-untyped-def]  # a generator
    async for event in stream:
        yield event
        if isinstance(event, kind):
            return


def test_flush_sends_what_waits_for_a_full_packet() -> None:
    async def main() -> None:
        script = Script(cues=(Cue(0.01, (TranscriptMessage(transcript="there"),)),))
        async with (
            serve(recognizer=ScriptedRecognizer(script)) as server,
            connect_pulse(base_url=server.url) as stream,
        ):
            await stream.send_audio(bytes(320))
            await stream.flush()
            first = [event async for event in upto(stream, InterimTranscript)][-1]
            assert isinstance(first, InterimTranscript)
            assert first.text == "there"

    run(main())


def test_keepalive_reaches_the_server() -> None:
    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.until("keepalive")
        peer.text({"type": "pong"})
        await peer.until("close_stream")
        peer.text(transcript("", is_last=True))
        await peer.until_gone()

    async def main() -> None:
        async with raw_server(behave) as url, connect_pulse(base_url=url, limits=QUICK) as stream:
            await stream.keepalive()
            await stream.end_input()
            assert (await events_of(stream))[-1] == StreamEnded(confirmed=True)

    run(main())


def test_iteration_stays_over_once_it_is_over() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            assert await events_of(stream)
            assert await events_of(stream) == []
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(SECOND)

    run(main())


def test_one_task_sends_while_another_iterates() -> None:
    async def main() -> None:
        async with (
            serve() as server,
            connect_pulse(base_url=server.url) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            reading = tasks.create_task(events_of(stream))
            for _ in range(200):
                await stream.send_audio(bytes(3200))
                await asyncio.sleep(0)
            await stream.end_input()
            assert heard(await reading) == 20.0

    run(main())


def test_audio_can_be_sent_while_nobody_iterates() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            for _ in range(30):
                await stream.send_audio(SECOND)
            await stream.end_input()
            assert heard(await events_of(stream)) == 30.0

    run(main())


async def leave_by_break(stream: PulseStream) -> None:
    async for _ in stream:
        break


async def leave_by_exception(stream: PulseStream) -> None:
    async for _ in stream:
        raise KeyError("the user's own")


async def leave_at_once(stream: PulseStream) -> None:
    pass


async def leave_by_cancellation(stream: PulseStream) -> None:
    async with asyncio.timeout(0):
        async for _ in stream:
            await asyncio.sleep(0)


@pytest.mark.parametrize("leave", [leave_at_once, leave_by_break, leave_by_exception, leave_by_cancellation])
@pytest.mark.parametrize("ended", [False, True])
def test_the_block_can_be_left_anyhow(leave: Callable[[PulseStream], Awaitable[None]], ended: bool) -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            await stream.send_audio(3 * SECOND)
            if ended:
                await stream.end_input()
            await leave(stream)

    expected: dict[object, type[Exception]] = {
        leave_by_exception: KeyError,
        leave_by_cancellation: TimeoutError,
    }
    if (kind := expected.get(leave)) is None:
        run(main())
    else:
        with pytest.raises(kind):
            run(main())


@pytest.mark.parametrize("turns", range(0, 60, 3))
def test_a_cancellation_after_any_number_of_turns_leaves_nothing_open(turns: int) -> None:
    async def session(url: str) -> None:
        async with connect_pulse(base_url=url, limits=QUICK) as stream:
            await stream.send_audio(SECOND)
            await stream.end_input()
            await events_of(stream)

    async def main() -> None:
        async with serve() as server:
            task = asyncio.create_task(session(server.url))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None

    run(main())


def test_a_second_cancellation_cuts_the_close_short() -> None:
    async def main() -> None:
        connected, closing = asyncio.Event(), asyncio.Event()

        async def behave(peer: Peer) -> None:
            await peer.accept()
            while (await peer.frame())[0] != CLOSE:
                pass
            closing.set()  # the close frame is read, and never answered
            await peer.until_gone()

        async def session(url: str) -> None:
            async with connect_pulse(base_url=url) as stream:  # it would wait 2 s for the answer
                connected.set()
                await events_of(stream)

        async with raw_server(behave) as url:
            task = asyncio.create_task(session(url))
            await connected.wait()
            task.cancel()
            await closing.wait()
            begun = asyncio.get_running_loop().time()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            assert asyncio.get_running_loop().time() - begun < 1.0

    run(main())


def test_closing_twice_is_harmless() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            await stream.aclose()
            await stream.aclose()
            with pytest.raises(LocalProtocolError):
                await stream.send_audio(SECOND)

    run(main())


def test_closing_ends_the_iteration_of_another_task() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            reading = asyncio.create_task(events_of(stream))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await stream.aclose()
            assert await reading == [StreamEnded(confirmed=False, reason="abandoned")]

    run(main())


def test_closing_in_two_tasks_at_once() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            await asyncio.gather(stream.aclose(), stream.aclose(), events_of(stream))

    run(main())


def test_two_tasks_cannot_iterate_at_once() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            reading = asyncio.create_task(events_of(stream))
            await asyncio.sleep(0)
            with pytest.raises(LocalProtocolError, match="another task"):
                await anext(stream)
            await stream.end_input()  # and the first one is none the worse for it
            assert (await reading)[-1] == StreamEnded(confirmed=True)

    run(main())


def test_nothing_works_before_the_block_is_entered() -> None:
    async def main() -> None:
        stream = connect_pulse(base_url="http://127.0.0.1:9")
        await stream.aclose()
        for use in (stream.send_audio(SECOND), stream.finalize(), stream.end_input(), anext(stream)):
            with pytest.raises(LocalProtocolError, match="async with"):
                await use

    run(main())


def test_a_stream_is_entered_once() -> None:
    async def main() -> None:
        async with serve() as server:
            stream = connect_pulse(base_url=server.url)
            async with stream:
                with pytest.raises(LocalProtocolError, match="entered once"):
                    await stream.__aenter__()
            with pytest.raises(LocalProtocolError, match="entered once"):
                await stream.__aenter__()

    run(main())


def test_a_stream_that_failed_to_connect_is_not_entered_again() -> None:
    async def main() -> None:
        stream = connect_pulse(base_url="http://127.0.0.1:1")
        with pytest.raises(Exception, match="cannot connect"):
            await stream.__aenter__()
        with pytest.raises(LocalProtocolError, match="entered once"):
            await stream.__aenter__()

    run(main())


def test_bad_audio_is_refused_and_harms_nothing() -> None:
    async def main() -> None:
        async with serve() as server, connect_pulse(base_url=server.url) as stream:
            for bad in (b"", b"odd"):
                with pytest.raises(LocalProtocolError, match=r"Audio\.pcm"):
                    await stream.send_audio(bad)
            await stream.send_audio(SECOND)
            await stream.end_input()
            assert finals(await events_of(stream)) == ["heard 1.0 seconds"]

    run(main())
