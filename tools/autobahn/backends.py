"""The backends that the client is tested on, and how to run each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import anyio

from smallest_transports._anyio_backend import AnyioBackend
from smallest_transports._asyncio_backend import AsyncioBackend
from smallest_transports._backend import Backend
from smallest_transports._trio_backend import TrioBackend


class Running(NamedTuple):
    """A backend, and the loop for it by anyio's name."""

    backend: Backend
    loop: str

    def run(self, play: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Run it in a loop of its own. Raises TimeoutError."""

        async def bounded() -> None:
            with anyio.fail_after(seconds):
                await play()

        anyio.run(bounded, backend=self.loop)


BACKENDS = {
    "asyncio": Running(AsyncioBackend(), "asyncio"),
    "trio": Running(TrioBackend(), "trio"),
    "anyio-asyncio": Running(AnyioBackend(), "asyncio"),
    "anyio-trio": Running(AnyioBackend(), "trio"),
}
