"""Many streams at once on the defaults: each has a socket of its own, and no session shares out a few."""

import asyncio

from livekit.agents.utils import http_context

from livekit.plugins import smallest
from livekit_stt import push, rest, shown
from smallest_transports.loopback import serve
from sockets import run

STREAMS = 70
"""The framework's own session would open 50 connections, and the rest would wait."""


def test_seventy_streams_of_one_recogniser_transcribe_at_the_same_time() -> None:
    async def main() -> None:
        async with (
            serve() as server,
            http_context.open(),
            smallest.STT(api_key="k", base_url=server.url) as pulse,
        ):
            all_speak = asyncio.Barrier(STREAMS)

            async def one(index: int) -> list[str]:
                seconds = 1.25 + index / 100
                async with pulse.stream() as stream:
                    push(stream, 1.1)
                    begun = [await anext(stream)]  # the server has heard a second of it
                    await all_speak.wait()
                    push(stream, seconds - 1.1)
                    stream.end_input()
                    return shown(begun + await rest(stream))

            heard = await asyncio.gather(*(one(index) for index in range(STREAMS)))
        for index, said in enumerate(heard):
            text = f"heard {round(1.25 + index / 100, 2)} seconds"
            assert said[:2] == ["START", "INTERIM heard 1.0 seconds"]
            assert said[-2:] == [f"FINAL {text}", "END"]

    run(main())
