"""The channel between the tasks of a stream."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.utils.aio import ChanClosed

from livekit.plugins.smallest.channel import Channel
from sockets import run


@given(st.lists(st.sampled_from(("send", "read", "give up")), max_size=30))
def test_everything_comes_once_and_in_order(steps: list[str]) -> None:
    async def main() -> None:
        channel = Channel[int]()
        sent, got, readers = 0, list[int](), list[asyncio.Task[int]]()
        for step in steps:
            if step == "send":
                channel.send_nowait(sent)
                sent += 1
            elif step == "read" and not readers:
                readers.append(asyncio.ensure_future(anext(channel)))
                await asyncio.sleep(0)
            elif step == "give up" and readers:
                readers[0].cancel()  # an item may just have come for it
            if readers and step != "send":
                await asyncio.wait(readers, timeout=0)
                if readers[0].done():
                    got += [] if readers[0].cancelled() else [readers[0].result()]
                    readers.clear()
        channel.close()
        for reader in readers:
            try:
                got.append(await reader)
            except StopAsyncIteration:
                assert len(got) == sent
        got += [item async for item in channel]
        assert got == list(range(sent))
        assert not channel.waiting

    asyncio.run(main())  # `run` looks for what is left behind, too slowly for so many examples


def test_a_closed_channel_takes_nothing_and_ends_the_wait() -> None:
    async def main() -> None:
        channel = Channel[int]()
        reading = asyncio.ensure_future(anext(channel, None))
        await asyncio.sleep(0)
        channel.close()
        channel.close()
        assert await reading is None
        with pytest.raises(ChanClosed):
            channel.send_nowait(1)
        assert (channel.closed, channel.waiting) == (True, False)

    run(main())


def test_a_second_reader_is_refused_and_the_first_goes_on() -> None:
    async def main() -> None:
        channel = Channel[int]()
        reading = asyncio.ensure_future(anext(channel))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(channel)
        channel.send_nowait(1)
        assert await reading == 1

    run(main())
