"""Asking again: only what may succeed, after the wait that the server asks for, and not for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loops import LOOPS
from smallest_proto.errors import (
    ConnectionLost,
    HandshakeRejected,
    LocalProtocolError,
    ProtocolError,
    ServerError,
)
from smallest_transports._functions import Functions

ON_EACH_LOOP = pytest.mark.parametrize("loop", LOOPS)
DROP = ConnectionLost("gone", status=1006)


class Clock(Functions):
    """Functions whose loop does not sleep, but says for how long it would have."""

    def __init__(self, loop: str) -> None:
        super().__init__(LOOPS[loop][0]._backend)
        self.waits: list[float] = []
        self._backend = self  # type: ignore[assignment]  # of the backend only `sleep` is used

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


def failing(*errors: ProtocolError) -> Callable[[], object]:
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


def run(loop: str, clock: Clock, *errors: ProtocolError, **settings: float) -> object:
    async def main() -> object:
        return await clock.retry(failing(*errors), **settings)  # type: ignore[arg-type]  # as given

    return LOOPS[loop][1](main)


@ON_EACH_LOOP
def test_a_second_attempt_may_succeed(loop: str) -> None:
    clock = Clock(loop)
    assert run(loop, clock, DROP, DROP) == "done"
    first, second = clock.waits
    assert 0 <= first <= 0.5
    assert 0 <= second <= 1.0


def test_waits_are_random_below_a_limit_that_doubles_to_a_cap() -> None:
    clock = Clock("asyncio")
    for _ in range(200):
        run("asyncio", clock, *[DROP] * 5, attempts=6, first_delay=1.0, longest_delay=3.0)
    for attempt, limit in enumerate([1.0, 2.0, 3.0, 3.0, 3.0]):
        waits = clock.waits[attempt::5]
        assert limit * 0.8 < max(waits) <= limit
        assert min(waits) < limit * 0.2


def test_the_servers_wish_is_the_least_wait() -> None:
    clock = Clock("asyncio")
    busy = HandshakeRejected("busy", status=429, retry_after=7.0, retryable=True)
    assert run("asyncio", clock, busy) == "done"
    assert clock.waits == [7.0]


@pytest.mark.parametrize(
    ("errors", "waits"),
    [
        ([DROP] * 4, 3),
        ([ServerError("no", status=400)], 0),
        ([LocalProtocolError("not now")], 0),
        ([DROP, ServerError("no", status=401)], 1),
        ([ServerError("fault", status=500, retryable=True)] * 2, 1),
        ([HandshakeRejected("come back tomorrow", status=503, retry_after=86400.0, retryable=True)], 0),
    ],
)
def test_the_last_error_is_raised(errors: list[ProtocolError], waits: int) -> None:
    clock = Clock("asyncio")
    with pytest.raises(ProtocolError) as caught:
        run("asyncio", clock, *errors)
    assert caught.value is errors[-1]
    assert len(clock.waits) == waits


@pytest.mark.parametrize(
    "settings", [{"attempts": 0}, {"attempts": 1.5}, {"first_delay": -1.0}, {"longest_delay": float("nan")}]
)
def test_settings_that_make_no_sense(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        run("asyncio", Clock("asyncio"), **settings)
