"""Warm connections: kept, checked, shared fairly, replaced when they fail, and closed with the pool."""

from __future__ import annotations

import threading
import time
from itertools import count

import anyio
import msgspec
import pytest

from loops import EVERY_NET, NETS, Net, some
from smallest_proto.errors import (
    ConnectFailed,
    ConnectionLost,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    ServerError,
    Truncated,
)
from smallest_proto.lightning import (
    AudioChunk,
    ContextCancelled,
    ContextComplete,
    LightningOptions,
    SpeechResumed,
    WordTimestamp,
)
from smallest_proto.lightning.options import TextMode
from smallest_transports._pool import LightningPool
from smallest_transports._pooled_speech import PooledEvent, PooledSpeech
from sockets import QUICK, Peer, Peers, chunk, complete, until

A_FEW = some("asyncio-tcp", "trio-tls", "anyio-trio-tcp")
OPTIONS = LightningOptions(linger=0.02)
TEXT = "Good morning."
PCM = bytes(4800)


async def heard(speech: PooledSpeech) -> list[PooledEvent]:
    return [event async for event in speech]


async def say(pool: LightningPool, text: str = TEXT) -> list[PooledEvent]:
    async with pool.speak(text) as speech:
        return await heard(speech)


def pcm(events: list[PooledEvent]) -> int:
    return sum(len(event.pcm) for event in events if isinstance(event, AudioChunk))


async def speak(peer: Peer) -> None:
    """Answer every context of the connection with one chunk."""
    await peer.accept()
    for number in count():
        await peer.until('"continue":false')
        peer.text(chunk(PCM, f"r{number}"))
        peer.text(complete(f"r{number}"))


async def hang_up_before_a_sound(peer: Peer) -> None:
    await peer.accept()
    await peer.until('"continue":false')


@EVERY_NET
def test_one_connection_serves_one_text_after_the_other(net: Net) -> None:
    peers = Peers(speak)

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            for _ in range(3):
                events = await say(pool)
                assert pcm(events) == len(PCM)
                assert isinstance(events[-1], ContextComplete)
            assert pool.idle == 1

    with net.raw(peers) as url:
        net.run(main)
    assert peers.count == 1


@EVERY_NET
def test_prewarmed_connections_are_used(net: Net) -> None:
    peers = Peers(speak)

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, max_connections=2, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            await pool.prewarm(2)
            assert (pool.idle, peers.count) == (2, 2)
            await say(pool)
            assert (pool.idle, peers.count) == (2, 2)

    with net.raw(peers) as url:
        net.run(main)


@EVERY_NET
def test_connections_with_other_options_are_not_warm(net: Net) -> None:
    peers = Peers(speak)

    async def main() -> None:
        async with net.on.lightning_pool(OPTIONS, max_connections=2, **net.to(url, limits=QUICK)) as pool:
            await pool.prewarm(2)
            pool.update_options(msgspec.structs.replace(OPTIONS, speed=1.5))
            await pool.prewarm()
            assert (pool.idle, peers.count) == (1, 3)
            async with pool.speak(TEXT) as speech:
                assert speech.reused
                await heard(speech)

    with net.raw(peers) as url:
        net.run(main)


@EVERY_NET
def test_a_connection_that_the_server_closed_meanwhile_is_not_used(net: Net) -> None:
    """Not even if the loop has not turned since, and has not seen it."""
    spoken, left = threading.Event(), threading.Event()

    async def speak_and_leave(peer: Peer) -> None:
        await peer.accept()
        await peer.until('"continue":false')
        peer.text(chunk(PCM))
        peer.text(complete())
        await until(spoken.is_set)
        peer.close_frame(1000)
        left.set()
        await peer.until_gone()

    peers = Peers(speak_and_leave, speak)

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, resume=False, **net.trust
        ) as pool:
            assert pcm(await say(pool)) == len(PCM)
            assert pool.idle == 1
            spoken.set()
            assert left.wait(5)
            assert pcm(await say(pool)) == len(PCM)
        assert peers.count == 2

    with net.raw(peers) as url:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize(("mode", "last"), [("context", '"continue":false'), ("segment", '"text":"Good')])
def test_a_connection_that_the_server_is_about_to_close_is_not_used(
    net: Net, mode: TextMode, last: str
) -> None:
    spoken, warned = threading.Event(), threading.Event()

    async def speak_once(peer: Peer) -> None:
        await peer.accept()
        await peer.until(last)
        peer.text(chunk(PCM))
        peer.text(complete())

    async def speak_and_warn(peer: Peer) -> None:
        await speak_once(peer)
        await until(spoken.is_set)
        peer.text({"status": "error", "message": "Connection timed out after 60 seconds of inactivity"})
        warned.set()
        await peer.until_gone()

    async def speak_and_stay(peer: Peer) -> None:
        await speak_once(peer)
        await peer.until_gone()

    peers = Peers(speak_and_warn, speak_and_stay)

    async def main() -> None:
        options = LightningOptions(linger=0.02, text_mode=mode)
        async with net.on.lightning_pool(
            options, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            assert pcm(await say(pool)) == len(PCM)
            assert pool.idle == 1
            spoken.set()
            await anyio.to_thread.run_sync(warned.wait)
            assert pcm(await say(pool)) == len(PCM)
        assert peers.count == 2

    with net.raw(peers) as url:
        net.run(main)


@EVERY_NET
def test_a_connection_that_fails_before_a_sound_is_replaced(net: Net) -> None:
    peers = Peers(hang_up_before_a_sound, speak)

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            events = await say(pool)
        assert pcm(events) == len(PCM)
        assert not any(isinstance(event, SpeechResumed) for event in events)

    with net.raw(peers) as url:
        net.run(main)
    assert peers.count == 2


@A_FEW
def test_another_connection_is_not_asked_for_before_the_server_wants_it(net: Net) -> None:
    times: list[float] = []

    async def busy(peer: Peer) -> None:
        await peer.refuse(429, Retry_After="1")
        times.append(time.monotonic())

    async def spoken(peer: Peer) -> None:
        times.append(time.monotonic())
        await speak(peer)

    async def main() -> None:
        async with net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool:
            assert pcm(await say(pool)) == len(PCM)

    with net.raw(Peers(hang_up_before_a_sound, busy, spoken)) as url:
        net.run(main)
    assert times[1] - times[0] >= 1.0


@A_FEW
def test_a_server_that_wants_to_be_left_alone_for_long_ends_a_speech(net: Net) -> None:
    async def busy(peer: Peer) -> None:
        await peer.refuse(429, Retry_After="61")

    peers = Peers(hang_up_before_a_sound, busy)

    async def main() -> None:
        async with net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool:
            with pytest.raises(HandshakeRejected) as caught:
                await say(pool)
            assert caught.value.retry_after == 61.0

    with net.raw(peers) as url:
        net.run(main)
    assert peers.count == 2


@EVERY_NET
def test_speech_goes_on_behind_the_last_word_heard(net: Net) -> None:
    second: list[str] = []

    def word(text: str, start: float, end: float) -> dict[str, object]:
        return {
            "session_id": "s1",
            "request_id": "r1",
            "status": "word_timestamp",
            "data": {"word": text, "start": start, "end": end, "index": 0},
        }

    async def break_off(peer: Peer) -> None:
        await peer.accept()
        await peer.until('"continue":false')
        peer.text(word("Good", 0.0, 0.05))
        peer.text(chunk(PCM))  # 0.1 s

    async def go_on(peer: Peer) -> None:
        await peer.accept()
        second.append((await peer.frame())[1].decode())
        await peer.until('"continue":false')
        peer.text(word("morning.", 0.0, 0.1))
        peer.text(chunk(PCM))
        peer.text(complete())
        await peer.until_gone()

    async def main() -> None:
        options = LightningOptions(linger=0.02, word_timestamps=True)
        async with net.on.lightning_pool(
            options, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            events = await say(pool)
        assert [event.audio_seconds for event in events if isinstance(event, SpeechResumed)] == [0.1]
        words = [(e.word, e.start) for e in events if isinstance(e, WordTimestamp)]
        assert words == [("Good", 0.0), ("morning.", 0.1)]

    with net.raw(Peers(break_off, go_on)) as url:
        net.run(main)
    assert '"text":"morning."' in second[0]


@EVERY_NET
@pytest.mark.parametrize(("resume", "kind"), [(True, Truncated), (False, ConnectionLost)])
def test_speech_that_cannot_go_on_says_so(net: Net, resume: bool, kind: type[ProtocolError]) -> None:
    async def break_off(peer: Peer) -> None:
        await peer.accept()
        await peer.until('"continue":false')
        peer.text(chunk(PCM))

    async def main() -> None:
        events: list[PooledEvent] = []
        async with net.on.lightning_pool(
            OPTIONS, resume=resume, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            async with pool.speak(TEXT) as speech:
                events.append(await anext(speech))
                with pytest.raises(kind) as caught:
                    await anext(speech)
            assert type(caught.value) is kind
            if isinstance(caught.value, Truncated):
                assert caught.value.audio_seconds == 0.1
            assert pool.idle == 0
        assert pcm(events) == len(PCM)

    with net.raw(break_off) as url:
        net.run(main)


@EVERY_NET
def test_a_refused_text_is_raised_and_the_next_one_spoken(net: Net) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.accept()
        await peer.until('"continue":false')
        peer.text({"status": "error", "error": {"message": "no", "code": "invalid_enum_value"}})
        await peer.until_gone()

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            with pytest.raises(ServerError):
                await say(pool)
            assert pcm(await say(pool)) == len(PCM)

    with net.raw(Peers(refuse, speak)) as url:
        net.run(main)


@EVERY_NET
@pytest.mark.parametrize("most", [1, 2])
def test_turns_are_taken_in_order_and_no_more_than_allowed(net: Net, most: int) -> None:
    order: list[int] = []
    speaking: list[int] = []

    async def one(pool: LightningPool, number: int) -> None:
        async with pool.speak(TEXT) as speech:
            order.append(number)
            speaking.append(number)
            assert len(speaking) <= most
            await heard(speech)
            speaking.remove(number)

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, max_connections=most, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            await pool.prewarm(most)  # or the connections race
            async with anyio.create_task_group() as tasks:
                for number in range(6):
                    tasks.start_soon(one, pool, number)
                    for _ in range(3):  # let it get in line
                        await anyio.lowlevel.checkpoint()

    peers = Peers(speak)
    with net.raw(peers) as url:
        net.run(main)
    assert sorted(order) == list(range(6))
    assert most > 1 or order == sorted(order)  # two that begin at once may be told of in any order
    assert peers.count == most


@EVERY_NET
def test_a_turn_that_is_given_up_is_passed_on(net: Net) -> None:
    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            async with pool.speak(TEXT) as first:
                with anyio.move_on_after(0.05) as waiting:
                    await say(pool)
                assert waiting.cancelled_caught
                await heard(first)
            assert pcm(await say(pool)) == len(PCM)

    with net.raw(speak) as url:
        net.run(main)


@EVERY_NET
def test_an_interruption_ends_the_speech_and_its_connection(net: Net) -> None:
    async def slowly(peer: Peer) -> None:
        await peer.accept()
        await peer.frame()
        peer.text(chunk(PCM))
        await peer.until("cancel_request")
        peer.text(chunk(PCM))  # too late
        await peer.until_gone()

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            async with pool.speech() as speech:
                await speech.send_text("A long story.")
                assert isinstance(await anext(speech), AudioChunk)
                await speech.cancel()
                assert isinstance((await heard(speech))[-1], ContextCancelled)
            assert pool.idle == 0
            assert pcm(await say(pool)) == len(PCM)

    with net.raw(Peers(slowly, speak)) as url:
        net.run(main)


@EVERY_NET
def test_text_in_pieces_from_another_task(net: Net) -> None:
    peers = Peers(hang_up_before_a_sound, speak)

    async def main() -> None:
        async def send() -> None:
            for piece in TEXT.split():
                await speech.send_text(piece + " ")
            await speech.finish()

        async with (
            net.on.lightning_pool(OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust) as pool,
            pool.speech() as speech,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(send)
            assert pcm(await heard(speech)) == len(PCM)
            with pytest.raises(LocalProtocolError):
                await speech.send_text("more")

    with net.raw(peers) as url:
        net.run(main)
    assert peers.count == 2


@pytest.mark.parametrize("net", NETS[::4])
def test_a_closed_pool_speaks_no_more(net: Net) -> None:
    async def main() -> None:
        pool = net.on.lightning_pool(OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust)
        async with pool:
            await say(pool)
        assert pool.idle == 0
        await pool.aclose()
        with pytest.raises(LocalProtocolError, match="closed"):
            await say(pool)

    with net.raw(speak) as url:
        net.run(main)


@EVERY_NET
def test_closing_waits_for_what_is_being_spoken_and_turns_the_line_away(net: Net) -> None:
    async def main() -> None:
        outcome: list[str] = []

        async def wait_in_line() -> None:
            try:
                await say(pool)
            except LocalProtocolError:
                outcome.append("turned away")

        async with anyio.create_task_group() as tasks:
            pool = net.on.lightning_pool(OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust)
            speech = pool.speak(TEXT)
            await speech.__aenter__()
            tasks.start_soon(wait_in_line)
            tasks.start_soon(pool.aclose)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert pcm(await heard(speech)) == len(PCM)
            outcome.append("spoken")
            await speech.aclose()
        assert outcome == ["turned away", "spoken"]
        assert pool.idle == 0

    with net.raw(speak) as url:
        net.run(main)


@EVERY_NET
def test_an_idle_connection_must_answer_a_ping(net: Net) -> None:
    async def fall_silent(peer: Peer) -> None:
        await peer.accept()
        await peer.until('"continue":false')
        peer.text(chunk(PCM))
        peer.text(complete())
        await anyio.sleep_forever()

    async def main() -> None:
        options = LightningOptions(linger=0.02, heartbeat=0.1)
        async with net.on.lightning_pool(
            options, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            await say(pool)
            await anyio.sleep(0.15)  # what is tested is that time passes
            assert pcm(await say(pool)) == len(PCM)

    peers = Peers(fall_silent, speak)
    with net.raw(peers) as url:
        net.run(main)
    assert peers.count == 2


@pytest.mark.parametrize("net", NETS[::4])
def test_connections_that_cannot_be_had(net: Net) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.refuse(401)

    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            for _ in range(2):  # the turn was given back
                with pytest.raises(HandshakeRejected):
                    await say(pool)
            with pytest.raises(HandshakeRejected):
                await pool.prewarm()
            assert pool.idle == 0

    with net.raw(refuse) as url:
        net.run(main)


@pytest.mark.parametrize("count", [0, -1, 1.5])
def test_a_pool_of_no_connections_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="max_connections"):
        NETS[0].on.lightning_pool(max_connections=count, api_key="k")


@pytest.mark.parametrize("net", NETS[::4])
def test_a_segment_is_one_text(net: Net) -> None:
    async def speak_segments(peer: Peer) -> None:
        await peer.accept()
        for number in count():
            await peer.until(TEXT)
            peer.text(chunk(PCM, f"r{number}"))
            peer.text(complete(f"r{number}"))

    async def main() -> None:
        options = LightningOptions(text_mode="segment", linger=0.02)
        async with net.on.lightning_pool(
            options, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            for _ in range(2):
                assert pcm(await say(pool)) == len(PCM)
            with pytest.raises(LocalProtocolError):
                pool.speak("")
            with pytest.raises(LocalProtocolError, match="speak"):
                pool.speech()

    with net.raw(speak_segments) as url:
        net.run(main)


@pytest.mark.parametrize("net", NETS[::4])
def test_nobody_is_there_any_more(net: Net) -> None:
    async def main() -> None:
        async with net.on.lightning_pool(
            OPTIONS, base_url=url, api_key="k", limits=QUICK, **net.trust
        ) as pool:
            with pytest.raises(ConnectFailed):
                await say(pool)

    with net.raw(speak) as url:
        pass
    net.run(main)
