"""A TCP connection to a name with several addresses: RFC 8305, "happy eyeballs".

asyncio has its own, but before Python 3.12.8 a cancellation there can leave a connected socket behind.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TypeAlias

DELAY = 0.25
"""Seconds before the next address is tried beside the first."""

Address: TypeAlias = tuple[
    int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
]
"""As `getaddrinfo` returns it."""


async def dial(host: str, port: int) -> socket.socket:
    """Look the name up and connect to the first address that answers.

    Raises OSError, and UnicodeError for a name that cannot be one.
    """
    addresses = deque(by_turns(await _look_up(host, port)))
    if len(addresses) == 1:
        return await _connect(addresses[0])
    attempts: set[asyncio.Task[socket.socket]] = set()
    failure: BaseException = OSError("no address found")
    try:
        while addresses or attempts:
            if addresses:
                attempts.add(asyncio.create_task(_connect(addresses.popleft())))
            wait = DELAY if addresses else None
            done, _ = await asyncio.wait(attempts, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.discard(attempt)
                error = attempt.exception()
                if error is None:
                    return await _alone(attempt.result(), attempts)
                failure = error
        raise failure
    finally:
        await _give_up(attempts)


async def _look_up(host: str, port: int) -> Sequence[Address]:
    try:  # an address needs no thread, which costs more than the connection
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


def by_turns(found: Sequence[Address]) -> list[Address]:
    """The addresses with families taking turns, the preferred one first."""
    family = found[0][0] if found else None
    first = [address for address in found if address[0] == family]
    rest = [address for address in found if address[0] != family]
    return [address for address in chain(*zip_longest(first, rest)) if address is not None]


async def _connect(address: Address) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


async def _alone(winner: socket.socket, attempts: set[asyncio.Task[socket.socket]]) -> socket.socket:
    """The winner, once the others are given up; cancelled meanwhile, it is closed as they are."""
    try:
        await _give_up(attempts)
    except BaseException:
        winner.close()
        raise
    attempts.clear()
    return winner


async def _give_up(attempts: set[asyncio.Task[socket.socket]]) -> None:
    for attempt in attempts:
        attempt.add_done_callback(_close)
        attempt.cancel()
    if attempts:
        await asyncio.wait(attempts)


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
