"""Whether something has come over a socket, without waiting for the event loop to find out."""

from __future__ import annotations

import select


def has_come(fileno: int) -> bool:
    """Whether the system holds bytes for the socket, or the end of them."""
    if not hasattr(select, "poll"):  # Windows, where `select` takes any number
        return bool(select.select([fileno], [], [], 0)[0])
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    return bool(poll.poll(0))
