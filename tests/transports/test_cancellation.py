"""A session cancelled at every point where it can be: no task, no socket and no half a frame is left of it."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from itertools import count
from typing import Any

import anyio
import pytest

from http_faults import read_whole_request
from loops import EVERY_NET, NETS, Net, open_sockets, until
from smallest_proto.lightning import LightningOptions
from smallest_transports.asyncio import PulseStream
from sockets import BINARY, CLOSE, QUICK, TEXT, Peer, chunk, complete, transcript
from sockets import until as until_there

TENTH = bytes(3200)
SOON = LightningOptions(linger=0.005)


class CancelledAt:
    """An awaitable that runs another, and cancels it where it waits for the n-th time.

    `task.cancel` and `scope.cancel` take effect at the very wait that follows the call, which is the n-th.
    """

    def __init__(
        self, running: Awaitable[None], n: int, cancel: Callable[[], object], *, again: bool
    ) -> None:
        self._inner = running.__await__()
        self._n = n
        self._cancel = cancel
        self._again = again
        self.waits = 0

    def __await__(self) -> Generator[Any, Any, None]:
        resume = self._inner.send
        value: Any = None
        while True:
            try:
                waits_for = resume(value)
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self._n or (self._again and self.waits > self._n):
                self._cancel()
            try:
                resume, value = self._inner.send, (yield waits_for)
            except BaseException as error:
                resume, value = self._inner.throw, error


async def cancelled_at(n: int, session: Callable[[], Awaitable[None]]) -> bool:
    """Run the session, cancelled at its n-th wait by a scope. Whether it came that far."""
    with anyio.CancelScope() as scope:
        steps = CancelledAt(session(), n, scope.cancel, again=False)
        await steps
    return steps.waits >= n


async def asyncio_cancelled_at(n: int, session: Callable[[], Awaitable[None]], *, again: bool) -> bool:
    """The same with asyncio's own cancellation, which hits one wait only, or with `again` all that follow."""

    runs: list[CancelledAt] = []

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        runs.append(CancelledAt(session(), n, task.cancel, again=again))
        await runs[0]

    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return runs[0].waits >= n


async def converse(peer: Peer) -> None:
    """Pulse and Lightning, as far as the sessions below need them."""
    await peer.accept()
    while True:
        opcode, payload = await peer.frame()
        if opcode == BINARY:
            peer.text(transcript("hm", is_final=False))
        elif opcode == CLOSE:
            peer.close_frame(1000)
            return
        elif opcode == TEXT and b"close_stream" in payload:
            peer.text(transcript("yes", is_last=True))
        elif opcode == TEXT and b'"continue":false' in payload:
            peer.text(chunk(TENTH))
            peer.text(chunk(TENTH))
            peer.text(complete())


async def answer(peer: Peer) -> None:
    await read_whole_request(peer)
    for part in (b"HTTP/1.1 200 OK\r\nContent-Length: 6400\r\n\r\n", TENTH, TENTH):
        peer.send(part)
        await peer.writer.drain()
    await peer.until_gone()


async def listen(net: Net, url: str) -> None:
    async with net.on.connect_pulse(**net.to(url, limits=QUICK), resume=False) as stream:
        await stream.send_audio(TENTH)
        await stream.send_audio(TENTH)
        await stream.end_input()
        async for _ in stream:
            pass
        await stream.aclose()


async def speak(net: Net, url: str) -> None:
    async with net.on.connect_lightning(SOON, **net.to(url, limits=QUICK)) as stream:
        context = await stream.open_context()
        await context.send_text("Good ")
        await context.send_text("morning.")
        await context.finish()
        async for _ in context:
            pass
        await stream.aclose()


async def synthesize(net: Net, url: str) -> None:
    async with net.on.synthesize("Good morning.", **net.to(url, limits=QUICK)) as speech:
        async for _ in speech:
            pass
        await speech.aclose()


NATIVE = ("asyncio", "uvloop")
ONCE = [pytest.param(net, False, id=f"{net}-once") for net in NETS if net.loop in NATIVE]
ON_AND_ON = [pytest.param(net, True, id=f"{net}-on and on") for net in NETS]  # as every scope does


@pytest.mark.parametrize(("net", "again"), ONCE + ON_AND_ON)
@pytest.mark.parametrize("session", [listen, speak, synthesize])
def test_a_session_cancelled_at_any_wait_leaves_nothing(
    net: Net, session: Callable[[Net, str], Awaitable[None]], again: bool
) -> None:
    visits, left = 0, 0
    halves: list[Peer] = []

    async def behave(peer: Peer) -> None:
        nonlocal visits, left
        visits += 1
        try:
            await (answer(peer) if session is synthesize else converse(peer))
        except ConnectionResetError:
            pass  # cut
        except asyncio.IncompleteReadError as end:
            halves.extend([peer] if not peer.whole or (end.partial and not peer.request) else [])
        finally:
            left += 1

    async def main() -> int:
        native = net.loop in NATIVE
        before = open_sockets()
        for n in count(1):
            with anyio.fail_after(5):
                run = partial(asyncio_cancelled_at, again=again) if native else cancelled_at
                reached = await run(n, lambda: session(net, url))
                await until(lambda: open_sockets() <= before)
                await until(lambda: visits == left)
            if not reached:
                return n
            if native:
                assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}
        raise AssertionError("never")

    with net.raw(behave) as url:
        assert net.run(main, within=60) > 3
    assert visits
    assert not halves, "half a frame, or half a request"


@EVERY_NET
def test_cancelled_sends_leave_an_intact_stream(net: Net) -> None:
    heard = bytearray()
    reading, returned = False, set()

    async def behave(peer: Peer) -> None:
        await peer.accept()
        peer.stop_reading()
        await until_there(lambda: reading)
        peer.go_on_reading()
        while True:
            opcode, payload = await peer.frame()
            if opcode == BINARY:
                heard.extend(payload)
            elif opcode == CLOSE:
                return
            elif b"close_stream" in payload:
                peer.text(transcript("", is_last=True))

    def second(number: int) -> bytes:
        return number.to_bytes(2) * 16000

    async def send_until_it_waits(stream: PulseStream) -> int:
        for number in count():
            with anyio.move_on_after(0.05) as scope:
                await stream.send_audio(second(number))
                returned.add(number)
            if scope.cancelled_caught:
                return number
        raise AssertionError("never")

    async def main() -> None:
        nonlocal reading
        async with net.on.connect_pulse(**net.to(url), resume=False) as stream:
            number = await send_until_it_waits(stream)
            for _ in range(20):
                number += 1
                with anyio.move_on_after(0.001):
                    await stream.send_audio(second(number))
                    returned.add(number)
            reading = True
            for _ in range(20):
                number += 1
                await stream.send_audio(second(number))
                returned.add(number)
            await stream.end_input()
            async for _ in stream:
                pass

    with net.raw(behave) as url:
        net.run(main, within=60)
    assert len(heard) % 32000 == 0
    seconds = [bytes(heard[i : i + 32000]) for i in range(0, len(heard), 32000)]
    numbers = [int.from_bytes(piece[:2]) for piece in seconds]
    assert seconds == [second(number) for number in numbers]
    assert numbers == sorted(set(numbers))
    assert returned <= set(numbers)
