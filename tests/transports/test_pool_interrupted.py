"""A pool interrupted wherever it waits: no connection, no turn and no piece of text is lost, none goes out twice."""

from __future__ import annotations

import json
import threading
from functools import partial
from itertools import count

import anyio
import pytest

from interruptions import Interruption
from loops import Net, open_sockets, some, until
from smallest_proto.errors import LocalProtocolError
from smallest_proto.lightning import AudioChunk, ContextCancelled, ContextComplete, LightningOptions
from smallest_transports._pool import LightningPool
from smallest_transports._pooled_speech import PooledEvent, PooledSpeech
from sockets import CLOSE, QUICK, TEXT, Peer, chunk, complete
from sockets import until as until_there

OPTIONS = LightningOptions(linger=0.005)
PCM = bytes(4800)
THREE = some("asyncio-tcp", "trio-tcp", "anyio-asyncio-tls")


def interrupted(pool: LightningPool, n: int | None) -> Interruption:
    cut = Interruption(n)
    pool.backend = cut.within(pool.backend)
    return cut


class Voice:
    """A raw server that speaks each finished text, and hangs up on the first of every `faulty` connections."""

    def __init__(self, faulty: int = 0) -> None:
        self.faulty = faulty
        self.connections = 0
        self.texts: list[str] = []

    async def __call__(self, peer: Peer) -> None:
        self.connections += 1
        drop = self.faulty and self.connections % self.faulty == 1
        await peer.accept()
        for number in count():
            text = ""
            while True:
                opcode, payload = await peer.frame()
                if opcode == TEXT:
                    message = json.loads(payload)
                    text += message.get("text") or ""
                    if message.get("continue") is False:
                        break
            if drop:
                return
            self.texts.append(text)
            peer.text(chunk(PCM, f"r{number}"))
            peer.text(complete(f"r{number}"))


async def converse(pool: LightningPool, cut: Interruption) -> None:
    """Two speeches, one in pieces, with one call cancelled."""
    async with pool.speak("One two.") as speech:
        await hear(speech, cut)
    async with pool.speech() as speech:
        for piece in ("Three ", "four."):
            await cut.call(partial(speech.send_text, piece))
        await cut.call(speech.finish)
        await hear(speech, cut)


async def hear(speech: PooledSpeech, cut: Interruption) -> None:
    events: list[PooledEvent] = []

    async def one() -> None:
        events.append(await anext(speech))

    while not (events and isinstance(events[-1], ContextComplete)):
        await cut.insist(one)
    assert sum(len(event.pcm) for event in events if isinstance(event, AudioChunk)) == len(PCM)


@THREE
def test_a_call_cancelled_at_any_wait_loses_and_doubles_nothing(net: Net) -> None:
    voice = Voice(faulty=2)

    async def main(n: int) -> bool:
        async with net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool:
            cut = interrupted(pool, n)
            await converse(pool, cut)
        return cut.reached

    with net.raw(voice) as url:
        n = next(n for n in count(1) if not net.run(partial(main, n)))
    assert n > 5
    assert voice.texts == ["One two.", "Three four."] * n


@THREE
def test_leaving_cancelled_at_any_wait_leaves_nothing(net: Net) -> None:
    async def session(pool: LightningPool) -> None:
        async with pool:
            await pool.prewarm(2)
            await converse(pool, Interruption())

    async def main(n: int) -> bool:
        before = open_sockets()
        pool = net.on.lightning_pool(OPTIONS, max_connections=2, **net.to(url, limits=QUICK))
        cut = interrupted(pool, n)
        await cut.call(partial(session, pool))
        await until(lambda: open_sockets() <= before)
        assert (pool.idle, pool._places.taken) == (0, 0)
        return cut.reached

    with net.raw(Voice(faulty=3)) as url:
        n = next(n for n in count(1) if not net.run(partial(main, n)))
    assert n > 10


@THREE
def test_text_whose_sending_was_cancelled_goes_out_once(net: Net) -> None:
    reading = False
    texts: list[str] = []

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.stop_reading()
        await until(lambda: reading)
        peer.go_on_reading()
        while '"continue":false' not in (message := (await peer.frame())[1].decode()):
            texts.append(json.loads(message)["text"][:4])
        peer.text(chunk(PCM))
        peer.text(complete())
        await peer.until_gone()

    async def main() -> None:
        nonlocal reading
        async with net.on.lightning_pool(OPTIONS, **net.to(url)) as pool, pool.speech() as speech:
            cancelled = 0
            while cancelled < 3:
                with anyio.move_on_after(0.05) as scope:
                    await speech.send_text(f"{len(sent):04} " + "x" * 1_000_000)
                cancelled += scope.cancelled_caught
                sent.append(f"{len(sent):04}")
            reading = True
            await speech.finish()
            await hear(speech, Interruption())

    sent: list[str] = []
    with net.raw(behave) as url:
        net.run(main)
    assert texts == sent


@THREE
def test_speech_cancelled_while_it_connects_stays_silent(net: Net) -> None:
    voice, cancelled = Voice(), threading.Event()

    async def behave(peer: Peer) -> None:
        await until_there(cancelled.is_set)
        await voice(peer)

    async def main() -> None:
        async with net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool:
            speech = pool.speak("Never heard.")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(speech.__aenter__)
                await until(lambda: pool._places.taken)
                await speech.cancel()
                cancelled.set()
            assert [event async for event in speech] == [ContextCancelled(context_id=speech.id)]
            await speech.aclose()
            assert pool.idle == 1  # and the connection is as good as new
            async with pool.speak("One two.") as speech:
                assert isinstance([event async for event in speech][-1], ContextComplete)
            assert voice.texts == ["One two."]
            assert voice.connections == 1

    with net.raw(behave) as url:
        net.run(main)


@THREE
def test_speech_cancelled_while_it_looks_for_another_connection_stays_silent(net: Net) -> None:
    connections = 0

    async def behave(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            await peer.accept()
            await peer.until('"continue":false')
            return
        await until(lambda: cancelled)
        await peer.accept()
        assert (await peer.frame())[0] == CLOSE

    cancelled = False

    async def main() -> None:
        nonlocal cancelled
        async with (
            net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool,
            pool.speak("Good morning.") as speech,
            anyio.create_task_group() as tasks,
        ):

            async def listen() -> None:
                assert [type(event) async for event in speech] == [ContextCancelled]

            tasks.start_soon(listen)
            await until(lambda: connections == 2)
            await speech.cancel()
            cancelled = True

    with net.raw(behave) as url:
        net.run(main)


@THREE
def test_speech_closed_while_it_looks_for_another_connection_gives_all_back(net: Net) -> None:
    voice = Voice(faulty=2)
    hold = True

    async def behave(peer: Peer) -> None:
        if voice.connections == 1:
            await until(lambda: not hold)
        await voice(peer)

    async def main() -> None:
        nonlocal hold
        async with net.on.lightning_pool(OPTIONS, **net.to(url)) as pool:
            async with anyio.create_task_group() as tasks:
                speech = pool.speak("Good morning.")
                await speech.__aenter__()

                async def listen() -> None:
                    assert [event async for event in speech] == []

                tasks.start_soon(listen)
                await until(lambda: voice.connections == 1 and speech._context is None)
                await anyio.wait_all_tasks_blocked()
                await speech.aclose()
                hold = False
            assert (pool.idle, pool._places.taken) == (0, 0)

    with net.raw(behave) as url:
        net.run(main)


@THREE
def test_never_more_connections_than_allowed(net: Net) -> None:
    voice = Voice()

    async def main() -> None:
        pool = net.on.lightning_pool(OPTIONS, max_connections=2, **net.to(url, limits=QUICK))
        async with pool, anyio.create_task_group() as tasks:
            with pytest.raises(ValueError, match="connections"):
                await pool.prewarm(3)
            async with pool.speak("One.") as speech:
                tasks.start_soon(pool.prewarm, 2)
                tasks.start_soon(pool.prewarm, 2)
                await pool.prewarm(2)
                await hear(speech, Interruption())
            await pool.prewarm(2)
            assert pool.idle == voice.connections == 2

    with net.raw(voice) as url:
        net.run(main)


@THREE
def test_a_connection_that_is_ready_too_late_is_closed_with_the_pool(net: Net) -> None:
    begun = hold = False

    async def behave(peer: Peer) -> None:
        nonlocal begun
        begun = True
        await until(lambda: hold)
        await peer.accept()
        await peer.until_gone()

    async def prewarm(pool: LightningPool) -> None:
        with pytest.raises(LocalProtocolError, match="closed"):
            await pool.prewarm()

    async def main() -> None:
        nonlocal hold
        pool = net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(prewarm, pool)
            await until(lambda: begun)
            await pool.aclose(drain=False)
            hold = True
        assert pool.idle == 0

    with net.raw(behave) as url:
        net.run(main)


@THREE
def test_a_speech_says_how_it_came_by_its_connection(net: Net) -> None:
    async def main() -> None:
        async with net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool:
            for reused in (False, True):
                async with pool.speak("One.") as speech:
                    assert speech.reused is reused
                    assert 0.0 <= speech.waited < 10.0
                    await hear(speech, Interruption())

    with net.raw(Voice()) as url:
        net.run(main)


@THREE
def test_other_options_hold_for_the_speech_after(net: Net) -> None:
    voice = Voice()
    other = LightningOptions(linger=0.005, speed=1.1)

    async def main() -> None:
        async with net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK)) as pool:
            await pool.prewarm()
            made_before = pool.speak("One.")
            pool.update_options(other)
            async with made_before as speech:
                assert (speech.reused, speech.options) == (True, OPTIONS)
                await hear(speech, Interruption())
            assert pool.idle == 0
            for reused in (False, True):
                async with pool.speak("Two.") as speech:
                    assert (speech.reused, speech.options) == (reused, other)
                    await hear(speech, Interruption())
            pool.update_options(OPTIONS)
            async with pool.speak("Three.") as speech:
                assert not speech.reused
                await hear(speech, Interruption())

    with net.raw(voice) as url:
        net.run(main)
    assert voice.connections == 3


@THREE
def test_two_who_close_the_pool_both_wait_for_what_is_spoken(net: Net) -> None:
    async def main() -> None:
        pool = net.on.lightning_pool(OPTIONS, **net.to(url, limits=QUICK))
        async with anyio.create_task_group() as tasks:
            async with pool.speak("One.") as speech:
                tasks.start_soon(pool.aclose)
                tasks.start_soon(pool.aclose)
                await anyio.wait_all_tasks_blocked()
                await hear(speech, Interruption())
            with anyio.fail_after(5):  # speech may take ten seconds to end
                await until(lambda: pool._places.taken == 0)
        assert pool.idle == 0

    with net.raw(Voice()) as url:
        net.run(main, within=8)
