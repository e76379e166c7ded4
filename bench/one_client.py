"""What all measurements share: one client, made and run in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bench.jobs import Client, Sleep
from bench.peers import BY_NAME
from bench.servers.child import allow_many_sockets

Figures = dict[str, float]


def measured(peer: str, main: Callable[[Any, Sleep], Awaitable[Figures]]) -> Figures:
    """What `main` says, run on the client's own loop. It is given a `Client`, which may do more than that names."""
    allow_many_sockets()
    client: Client = BY_NAME[peer].make()
    figures: Figures = {}

    async def on_loop(sleep: Sleep) -> None:
        figures.update(await main(client, sleep))

    client.run(on_loop)
    return figures


def task_group() -> Any:
    """A task group of the loop that runs."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        import trio

        return trio.open_nursery()
    return asyncio.TaskGroup()
