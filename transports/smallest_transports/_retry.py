"""Asking again, after a while, and only where that can help."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from smallest_proto import checks
from smallest_proto.errors import ProtocolError
from smallest_proto.pulse.resume_policy import ResumePolicy
from smallest_transports._backend import Backend

T = TypeVar("T")

SERVER_FAULT = 500
"""A status that a second attempt rarely changes, and a third never does [docs error-reference]."""


async def repeat(
    backend: Backend,
    call: Callable[[], Awaitable[T]],
    attempts: int,
    first_delay: float,
    longest_delay: float,
) -> T:
    """See `Functions.retry`."""
    checks.integer("attempts", attempts, 1)
    policy = ResumePolicy(first_delay=first_delay, longest_delay=longest_delay)
    attempt = 1
    while True:
        try:
            return await call()
        except ProtocolError as error:
            last = attempt >= (min(attempts, 2) if error.status == SERVER_FAULT else attempts)
            too_long = (error.retry_after or 0.0) > policy.longest_retry_after
            if last or too_long or not error.retryable:
                raise
            wait = policy.delay(attempt, error, random.random())
        await backend.sleep(wait)
        attempt += 1
