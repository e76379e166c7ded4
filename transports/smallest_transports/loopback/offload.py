"""Blocking calls of engines, off the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TypeVar

from smallest_transports.loopback.engines.base import EngineError

T = TypeVar("T")

_log = logging.getLogger("smallest_transports.loopback")


async def offload(pool: Executor, call: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
    """Run `call` in the pool. A cancellation waits for it to return, so that nobody closes what it works on.

    Nobody gets the result then: `undo` is called with it, in the pool too.
    """
    loop = asyncio.get_running_loop()
    running = loop.run_in_executor(pool, call)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await _settled(running)
        if undo is not None and not running.cancelled() and running.exception() is None:
            await _settled(loop.run_in_executor(pool, undo, running.result()))
        raise


async def _settled(running: asyncio.Future[T]) -> None:
    while not running.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([running])
    if not running.cancelled():
        running.exception()  # has been seen, so asyncio need not log it


def explain(error: Exception) -> str:
    """What to tell the client of an engine's failure: its own words, or for a bug of its none, but a log entry."""
    if isinstance(error, EngineError):
        return str(error)
    _log.error("an engine failed", exc_info=error)
    return "the engine failed"
