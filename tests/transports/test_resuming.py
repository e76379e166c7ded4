"""A stream that outlives its sockets, over real ones: no word lost, none twice, and every drop told."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest

from loops import EVERY_NET, NETS, Net
from numbered_speech import RATE, WORD, NumberedSpeech, speech
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
)
from smallest_proto.pulse import (
    Audio,
    AudioDropped,
    FinalTranscript,
    MigrationFailed,
    PulseOptions,
    Reconnecting,
    Resumed,
    ResumePolicy,
    StreamEnded,
)
from smallest_transports._pulse import PulseStream, TranscriptEvent
from smallest_transports.loopback import Faults
from sockets import QUICK, Peer

OPTIONS = PulseOptions(sample_rate=RATE)
HASTY = ResumePolicy(first_delay=0.01)
SOME_NETS = pytest.mark.parametrize("net", [NETS[0], NETS[5]], ids=["asyncio-tcp", "trio-tls"])


def words(events: Sequence[object]) -> list[str]:
    return [word for event in events if isinstance(event, FinalTranscript) for word in event.text.split()]


def starts(events: Sequence[object]) -> list[float]:
    return [word.start for event in events if isinstance(event, FinalTranscript) for word in event.words]


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last)]


async def listen(stream: PulseStream) -> list[TranscriptEvent]:
    return [event async for event in stream]


async def collect(stream: PulseStream, into: list[TranscriptEvent]) -> None:
    async for event in stream:
        into.append(event)


async def say(stream: PulseStream, last: int = 21) -> list[TranscriptEvent]:
    """Ten seconds in packets, while another task listens."""
    events: list[TranscriptEvent] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(collect, stream, events)
        for number in range(1, last):
            await stream.send_audio(speech(number, number + 1))
            await anyio.lowlevel.checkpoint()
        await stream.end_input()
    return events


@EVERY_NET
@pytest.mark.parametrize("fault", ["reset", "hang_up", "close"])
def test_no_word_is_lost_or_told_twice(net: Net, fault: str) -> None:
    broken = [
        Faults(after_seconds=seconds, **{fault: 1011 if fault == "close" else True})  # type: ignore[arg-type]  # as named
        for seconds in (1.3, 0.7, 2.1)
    ]

    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
        ) as stream:
            return await say(stream)

    with net.server(recognizer=NumberedSpeech(), faults=[*broken, Faults()]) as server:
        events = net.run(main)
    assert words(events) == numbers(1, 21)
    assert starts(events) == [pytest.approx(i * WORD, abs=0.02) for i in range(20)]
    assert sum(isinstance(event, Reconnecting) for event in events) == 3
    assert sum(isinstance(event, Resumed) for event in events) == 3
    assert not any(isinstance(event, AudioDropped) for event in events)
    assert events[-1] == StreamEnded(confirmed=True)


@SOME_NETS
def test_whoever_sends_first_and_listens_later_loses_nothing_either(net: Net) -> None:
    policy = ResumePolicy(first_delay=0.01, keep_seconds=5.0)

    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=policy, limits=QUICK, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 3))
            events: list[TranscriptEvent] = []
            async for event in stream:
                events.append(event)
                if isinstance(event, Reconnecting):
                    break
            await stream.send_audio(speech(3, 61))  # far more than may be kept, and nobody iterates
            await stream.end_input()
            return events + await listen(stream)

    faults = [Faults(after_seconds=0.9, reset=True), Faults(slow_accept=0.2)]
    with net.server(recognizer=NumberedSpeech(), faults=faults) as server:
        events = net.run(main)
    assert words(events) == numbers(1, 61)
    assert not any(isinstance(event, AudioDropped) for event in events)


@SOME_NETS
def test_a_refusal_while_it_comes_back_is_waited_out(net: Net) -> None:
    faults = [
        Faults(after_seconds=1.0, reset=True),
        Faults(reject=503),
        Faults(no_answer="hang_up"),
        Faults(no_answer="reset"),
        Faults(),
    ]

    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
        ) as stream:
            return await say(stream, 7)

    with net.server(recognizer=NumberedSpeech(), faults=faults) as server:
        events = net.run(main)
    assert words(events) == numbers(1, 7)
    told = [event for event in events if isinstance(event, Reconnecting)]
    assert [event.attempt for event in told] == [1, 2, 3, 4]
    assert isinstance(told[1].error, HandshakeRejected)
    assert [event.attempt for event in events if isinstance(event, Resumed)] == [4]


@EVERY_NET
def test_what_cannot_be_waited_out_is_raised(net: Net) -> None:
    async def main() -> None:
        events: list[TranscriptEvent] = []
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 5))
            with pytest.raises(HandshakeRejected) as caught:
                await collect(stream, events)
            assert caught.value.status == 401
            with pytest.raises(HandshakeRejected):
                await stream.send_audio(speech(5, 6))
        assert any(isinstance(event, AudioDropped) for event in events)

    with net.server(
        recognizer=NumberedSpeech(), faults=[Faults(after_seconds=1.0, reset=True), Faults(reject=401)]
    ) as server:
        net.run(main)


@SOME_NETS
@pytest.mark.parametrize("faults", [Faults(reject=429), Faults(no_answer="hang_up")])
def test_the_first_connection_is_tried_once(net: Net, faults: Faults) -> None:
    async def main() -> None:
        with pytest.raises(ProtocolError):
            async with net.on.connect_pulse(
                OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
            ):
                pass
        assert len(server.requests) == 1

    with net.server(faults=faults) as server:
        net.run(main)


@SOME_NETS
def test_unless_the_policy_has_it_tried_again(net: Net) -> None:
    policy = ResumePolicy(first_delay=0.01, retry_first=True)

    async def main() -> None:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=policy, limits=QUICK, **net.trust
        ) as stream:
            assert words(await say(stream, 3)) == numbers(1, 3)

    with net.server(
        recognizer=NumberedSpeech(), faults=[Faults(reject=503), Faults(reject=429), Faults()]
    ) as server:
        net.run(main)


@SOME_NETS
def test_nobody_answers_any_more(net: Net) -> None:
    policy = ResumePolicy(first_delay=0.0, max_attempts=3)

    async def behave(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.reset()

    async def main() -> None:
        async with net.on.connect_pulse(
            OPTIONS, base_url=url, api_key="k", resume=policy, limits=QUICK, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 3))
            with pytest.raises(ProtocolError) as caught:
                await listen(stream)
            assert isinstance(caught.value, ConnectionLost | ConnectFailed | DeadlineExceeded)

    with net.raw(behave) as url:
        net.run(main)


@EVERY_NET
def test_other_options_are_taken_up_on_another_connection(net: Net) -> None:
    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 5))
            await stream.update_options(OPTIONS)  # changes nothing
            await stream.update_options(PulseOptions(sample_rate=RATE, language="de"))
            await stream.send_audio(speech(5, 9))
            await stream.end_input()
            return await listen(stream)

    with net.server(recognizer=NumberedSpeech()) as server:
        events = net.run(main)
        targets = [request.target for request in server.requests]
    assert words(events) == numbers(1, 9)
    assert starts(events) == [pytest.approx(i * WORD, abs=0.02) for i in range(8)]
    assert ["language=de" in target for target in targets] == [False, True]
    assert not any(isinstance(event, Reconnecting) for event in events)


@EVERY_NET
def test_a_handover_while_words_are_spoken(net: Net) -> None:
    async def main() -> list[TranscriptEvent]:
        events: list[TranscriptEvent] = []

        async def watch() -> None:
            async for event in stream:
                events.append(event)
                if isinstance(event, Resumed):
                    resumed.set()

        async with (
            net.on.connect_pulse(
                OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
            ) as stream,
            anyio.create_task_group() as tasks,
        ):
            resumed = anyio.Event()
            tasks.start_soon(watch)
            for number in range(1, 5):
                await stream.send_audio(speech(number, number + 1))
            await stream.migrate()
            for number in range(5, 9):
                await stream.send_audio(speech(number, number + 1))
            await resumed.wait()
            await stream.send_audio(speech(9, 13))
            await stream.end_input()
        return events

    with net.server(recognizer=NumberedSpeech()) as server:
        events = net.run(main)
        assert len(server.requests) == 2
    assert words(events) == numbers(1, 13)
    assert starts(events) == [pytest.approx(i * WORD, abs=0.02) for i in range(12)]


@SOME_NETS
def test_a_handover_to_nowhere_changes_nothing(net: Net) -> None:
    async def main() -> list[TranscriptEvent]:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=HASTY, limits=QUICK, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 5))
            await stream.migrate()
            seen: list[TranscriptEvent] = []
            async for event in stream:
                seen.append(event)
                if isinstance(event, MigrationFailed):
                    break
            await stream.send_audio(speech(5, 9))
            await stream.end_input()
            return [*seen, *await listen(stream)]

    with net.server(recognizer=NumberedSpeech(), faults=[Faults(), Faults(reject=503)]) as server:
        events = net.run(main)
    assert words(events) == numbers(1, 9)


@SOME_NETS
def test_closing_while_it_waits_to_come_back(net: Net) -> None:
    async def main() -> None:
        policy = ResumePolicy(first_delay=1000.0, longest_delay=1000.0)
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=policy, limits=QUICK, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 5))
            async for event in stream:
                if isinstance(event, Reconnecting):
                    break
            rest: list[TranscriptEvent] = []
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(collect, stream, rest)
                await anyio.lowlevel.checkpoint()
                await stream.aclose()
        assert rest[-1] == StreamEnded(confirmed=False, reason="abandoned")

    with net.server(recognizer=NumberedSpeech(), faults=[Faults(after_seconds=1.0, reset=True)]) as server:
        net.run(main)


@SOME_NETS
def test_a_dial_that_is_cancelled_is_begun_again(net: Net) -> None:
    faults = [Faults(after_seconds=1.0, reset=True), Faults(slow_accept=0.3), Faults()]

    async def main() -> None:
        async with net.on.connect_pulse(
            OPTIONS, base_url=server.url, api_key="k", resume=HASTY, **net.trust
        ) as stream:
            await stream.send_audio(speech(1, 5))
            events: list[TranscriptEvent] = []
            async for event in stream:
                events.append(event)
                if isinstance(event, Reconnecting):
                    break
            while len(server.requests) < 2:
                with anyio.move_on_after(0.05):
                    await anext(stream)
            await stream.end_input()
            events += await listen(stream)
            assert words(events) == numbers(1, 5)

    with net.server(recognizer=NumberedSpeech(), faults=faults) as server:
        net.run(main)


@pytest.mark.parametrize("pcm", [b"", b"\0" * 3, "text", b"\0" * 2_000_001])
def test_audio_that_is_none_is_refused_as_a_whole(pcm: object) -> None:
    net = NETS[0]

    async def main() -> None:
        async with net.on.connect_pulse(OPTIONS, base_url=server.url, api_key="k", resume=HASTY) as stream:
            with pytest.raises(LocalProtocolError):
                await stream.send(Audio(pcm))  # type: ignore[arg-type]  # as given
            await stream.end_input()
            assert words(await listen(stream)) == []

    with net.server(recognizer=NumberedSpeech()) as server:
        net.run(main)


def test_what_needs_a_stream_that_resumes_says_so() -> None:
    net = NETS[0]

    async def main() -> None:
        async with net.on.connect_pulse(OPTIONS, base_url=server.url, resume=False) as stream:
            with pytest.raises(LocalProtocolError, match="resume=True"):
                await stream.migrate()
            with pytest.raises(LocalProtocolError, match="resume=True"):
                await stream.update_options(PulseOptions())

    with net.server() as server:
        net.run(main)


def test_compressed_audio_goes_without() -> None:
    on = NETS[0].on
    options = PulseOptions(endpoint="live", encoding="ogg_opus", sample_rate=48000)
    assert on.connect_pulse(options, api_key="k", resume=True).options == options
    with pytest.raises(ValueError, match=r"options\.encoding"):
        on.connect_pulse(options, api_key="k", resume=ResumePolicy())
