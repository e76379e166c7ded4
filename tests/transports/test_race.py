"""What `Backend.race` promises: the first to end ends them all."""

from __future__ import annotations

import asyncio
import sys

import anyio
import pytest

from loops import EVERY_LOOP, Net
from smallest_proto.errors import ConnectionLost
from smallest_transports._asyncio_backend import AsyncioBackend


class Runners:
    """Calls to race, and what became of them."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def waits(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.told.append("cancelled")

    async def ends(self) -> None:
        self.told.append("ended")

    async def fails(self) -> None:
        raise ConnectionLost("gone")


def only_lost(group: ExceptionGroup[Exception]) -> bool:
    return [type(error) for error in group.exceptions] == [ConnectionLost]


@EVERY_LOOP
def test_the_first_to_end_has_the_others_cancelled(net: Net) -> None:
    runners = Runners()

    async def main() -> None:
        await net.backend.race(runners.waits, runners.waits, runners.ends)

    net.run(main)
    assert sorted(runners.told) == ["cancelled", "cancelled", "ended"]


@EVERY_LOOP
def test_a_failure_has_the_others_cancelled_and_is_raised(net: Net) -> None:
    runners = Runners()

    async def main() -> None:
        with pytest.raises(ExceptionGroup, check=only_lost):
            await net.backend.race(runners.waits, runners.waits, runners.fails)

    net.run(main)
    assert runners.told == ["cancelled", "cancelled"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
@pytest.mark.parametrize("fails", [False, True])
def test_a_task_may_end_before_the_next_one_is_made(fails: bool) -> None:
    runners = Runners()

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]  # of 3.12
        async with asyncio.timeout(10):
            if fails:
                with pytest.raises(ExceptionGroup, check=only_lost):
                    await AsyncioBackend().race(runners.waits, runners.fails, runners.waits)
            else:
                await AsyncioBackend().race(runners.waits, runners.ends, runners.waits)

    asyncio.run(main())
    assert runners.told == (["cancelled"] if fails else ["ended", "cancelled"])
