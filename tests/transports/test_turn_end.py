"""The end of a turn: all bytes are made before any is written, and what goes wrong with one is of that one alone."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from functools import partial

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops import EVERY_LOOP, Net, until
from smallest_proto.pulse import PulseOptions
from smallest_transports._turn_end import Queue, TurnEnd
from sockets import BINARY, QUICK, Peer

PACKET = bytes(1600)


class Fault(Exception):
    pass


class Connection:
    """Notes what it is told to do; does one of the two badly if it shall."""

    def __init__(self, number: int, log: list[str], fault: str = "") -> None:
        self.number = number
        self._log = log
        self._fault = fault

    def pack(self, queue: Queue, now: float) -> bytes:
        queue(now)
        self._did("pack")
        return bytes([self.number])

    def leave(self, data: bytes) -> None:
        assert data == bytes([self.number])
        self._did("leave")

    def _did(self, what: str) -> None:
        if what == self._fault:
            raise Fault(f"{what} {self.number}")
        self._log.append(f"{what} {self.number}")


class Loop:
    """A loop of which the test decides when a turn ends."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []

    def call_soon(self, call: Callable[[], None]) -> None:
        self.calls.append(call)

    def turn(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


def test_all_are_packed_before_any_leaves() -> None:
    loop, log, times = Loop(), list[str](), list[float]()
    end = TurnEnd(loop.call_soon)
    for turn in (1.0, 2.0):
        for number in range(3):
            end.add(Connection(number, log), times.append, turn)
        assert len(loop.calls) == 1, "one call back for all"
        assert not log
        loop.turn()
        assert log == ["pack 0", "pack 1", "pack 2", "leave 0", "leave 1", "leave 2"]
        assert times == [turn] * 3
        log.clear()
        times.clear()
    loop.turn()
    assert not log


@given(st.lists(st.sampled_from(["", "pack", "leave"]), min_size=1, max_size=8))
def test_a_fault_is_of_one_alone(faults: list[str]) -> None:
    loop, log = Loop(), list[str]()
    end = TurnEnd(loop.call_soon)
    for number, fault in enumerate(faults):
        end.add(Connection(number, log, fault), lambda now: None, 0.0)
    if any(faults):
        with pytest.raises(ExceptionGroup) as caught:
            loop.turn()
        told = sorted(str(fault) for fault in caught.value.exceptions)
        assert told == sorted(f"{fault} {number}" for number, fault in enumerate(faults) if fault)
    else:
        loop.turn()
    numbers = [number for number, fault in enumerate(faults) if not fault]
    assert [entry for entry in log if entry.startswith("leave")] == [f"leave {number}" for number in numbers]


@EVERY_LOOP
def test_there_is_one_for_all_connections_of_a_loop(net: Net) -> None:
    found: list[TurnEnd] = []

    async def main() -> None:
        found.append(net.backend.turn_end())
        await anyio.lowlevel.checkpoint()
        assert net.backend.turn_end() is found[-1]

    net.run(main)
    net.run(main)
    assert found[0] is not found[1]


def test_it_does_not_keep_a_loop_that_has_ended() -> None:
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    net = Net("asyncio", "tcp")

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        net.backend.turn_end().add(Connection(0, []), lambda now: None, 0.0)

    asyncio.run(main())
    gc.collect()
    assert loops[0]() is None


@EVERY_LOOP
def test_streams_that_send_in_one_turn_are_all_heard(net: Net) -> None:
    heard: dict[int, int] = {}

    async def behave(peer: Peer) -> None:
        await peer.accept()
        opcode, payload = await peer.frame()
        while opcode == BINARY:
            heard[id(peer)] = heard.get(id(peer), 0) + len(payload)
            opcode, payload = await peer.frame()
        await peer.until_gone()

    def all_have(size: int) -> bool:
        return [*heard.values()] == [size] * 3

    async def main() -> None:
        options = PulseOptions(heartbeat=None, keepalive_interval=None)
        async with (
            net.on.connect_pulse(options, **net.to(url, limits=QUICK)) as first,
            net.on.connect_pulse(options, **net.to(url, limits=QUICK), resume=False) as second,
            net.on.connect_pulse(options, **net.to(url, limits=QUICK)) as third,
        ):
            for packets in (1, 2):
                for stream in (first, second, third):
                    await stream.send_audio(PACKET)
                each = packets * len(PACKET)
                await until(partial(all_have, each))

    with net.raw(behave) as url:
        net.run(main)
