"""What every connection of the local server shares, and what it writes down about them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor
from typing import NamedTuple

import msgspec

from smallest_proto.limits import Limits
from smallest_transports._backend import Backend
from smallest_transports.loopback.access import Gate
from smallest_transports.loopback.engines.base import Recognizer, Synthesizer

KEPT_REQUESTS = 1000
"""How many requests are remembered, the newest ones."""

SECRET = ("authorization", "proxy-authorization", "cookie")
"""Headers that are not remembered."""


class ReceivedRequest(msgspec.Struct, frozen=True):
    """A request or upgrade that the server has received: `target` is its path and query.

    `headers` have their names in lower case and hold no credentials. The repr shows neither them nor the query.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"ReceivedRequest({self.method} {self.target.partition('?')[0]})"


class Service(NamedTuple):
    """The same for all connections."""

    backend: Backend
    recognizer: Recognizer
    synthesizer: Synthesizer
    gate: Gate
    pool: Executor
    limits: Limits
    requests: deque[ReceivedRequest]

    def remember(self, method: str, target: str, headers: tuple[tuple[str, str], ...]) -> None:
        """Write a request down."""
        kept = tuple((name, value) for name, value in headers if name not in SECRET)
        self.requests.append(ReceivedRequest(method, target, kept))
