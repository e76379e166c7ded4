"""The table of cases: faults as on the command line, and what a client makes of them. Modules of cases fill it."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from smallest_transports.loopback import Faults, LoopbackServer

Check = Callable[[LoopbackServer], Awaitable[None]]


class Case(NamedTuple):
    """Faults as on the command line, and what a client makes of them."""

    faults: str
    check: Check


CASES: list[Case] = []


def case(*faults: str) -> Callable[[Check], Check]:
    """Each of these sets of faults has this effect."""

    def add(check: Check) -> Check:
        CASES.extend(Case(given, check) for given in faults)
        return check

    return add


def faults_of(server: LoopbackServer) -> Faults:
    [faults] = server._faults
    return faults
