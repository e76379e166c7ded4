"""A TCP connection to a name with several addresses on trio, which has "happy eyeballs" itself."""

from __future__ import annotations

import trio
from trio.socket import SocketType


async def dial(host: str, port: int) -> SocketType:
    """Look the name up and connect to the first address that answers.

    Raises OSError, the last one of several, and UnicodeError for a name that cannot be one.
    """
    try:
        return (await trio.open_tcp_stream(host, port)).socket
    except (OSError, UnicodeError) as error:
        failure = _root_of(error)
    raise failure


def _root_of(error: OSError | UnicodeError) -> OSError | UnicodeError:
    """The last failure: trio hangs those of the single addresses behind an error that only counts them."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    return cause if isinstance(cause, OSError | UnicodeError) else error
