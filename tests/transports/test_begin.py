"""What `Backend.begin` promises: a call beside its caller, which can be cancelled and waited for."""

from __future__ import annotations

import asyncio
import sys
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest

from loops import EVERY_LOOP, Net, until
from smallest_transports._asyncio_backend import AsyncioBackend

caller: ContextVar[str] = ContextVar("caller")


@EVERY_LOOP
def test_it_runs_beside_its_caller_and_in_the_same_context(net: Net) -> None:
    told: list[str] = []

    async def main() -> None:
        go_on = anyio.Event()

        async def call() -> None:
            await go_on.wait()
            told.append(caller.get())

        caller.set("me")
        running = net.backend.begin(call)
        await anyio.lowlevel.checkpoint()
        assert not running.done
        told.append("went on")
        go_on.set()
        await running.ended()
        assert running.done
        await running.ended()  # harmless
        running.cancel()

    net.run(main)
    assert told == ["went on", "me"]


@EVERY_LOOP
@pytest.mark.parametrize("begun", [False, True])
def test_it_is_cancelled_where_it_waits(net: Net, begun: bool) -> None:
    told: list[str] = []

    async def call() -> None:
        told.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            told.append("cancelled")

    async def main() -> None:
        running = net.backend.begin(call)
        if begun:
            await until(lambda: told)
        running.cancel()
        await running.ended()
        assert running.done

    net.run(main)
    assert told == ["begun", "cancelled"] or (not begun and told == [])


@EVERY_LOOP
def test_whoever_waits_for_its_end_cannot_be_kept_from_that(net: Net) -> None:
    told: list[str] = []

    async def main() -> None:
        go_on = anyio.Event()

        async def call() -> None:
            with anyio.CancelScope(shield=True):
                await go_on.wait()
            told.append("ended")

        async def let_go() -> None:
            scope.cancel()
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            told.append("let go")
            go_on.set()

        running = net.backend.begin(call)
        await anyio.lowlevel.checkpoint()
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                tasks.start_soon(let_go)
                await running.ended()
                told.append("not reached")
            told.append("cancelled")

    net.run(main)
    assert told == ["let go", "ended", "cancelled"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_task_may_have_ended_when_it_is_begun() -> None:
    async def call() -> None:
        pass

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # of 3.12
        assert AsyncioBackend().begin(call).done

    asyncio.run(main())
