"""What the chaos proxy does to which connection, and when: plain data, written by hand or drawn from a seed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from random import Random
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from smallest_proto import checks

T = TypeVar("T")

MOST_DROPS = 10_000
HANDSHAKE_BYTES = 8192
"""More than both sides of TLS and of an upgrade come to."""

HANDSHAKE_SECONDS = 0.5
"""More than the two take on one machine."""


class Kind(Enum):
    """A mishap, by what it does."""

    DROP = "both ends get FIN; what is on its way is lost"
    RESET = "both ends get RST"
    TRUNCATE = "of the next bytes that way the first `size` are forwarded, never all; then as DROP"
    CLOSE_AT_ONCE = "the connection is accepted and closed; the server hears nothing of it"
    REFUSE = "from the end of the connection before, the port is closed for `lasts` seconds"
    STALL = "nothing is forwarded that way for `lasts` seconds"
    TRICKLE = "for `lasts` seconds, `size` bytes at a time with `pause` seconds before each"
    DELAY = "for `lasts` seconds, whatever has come waits `pause` seconds before it goes on"
    DUPLICATE = "another connection to the server is opened beside this one, and stays idle"


class Way(Enum):
    """A direction of a connection."""

    UP = "client to server"
    DOWN = "server to client"
    BOTH = "both ways"


ENDINGS = (Kind.DROP, Kind.RESET, Kind.TRUNCATE, Kind.CLOSE_AT_ONCE)
"""What a connection does not survive."""

PAUSES = (Kind.STALL, Kind.TRICKLE, Kind.DELAY)
"""What slows a connection."""

_BYTES = ("up", "down", "total")
_MOMENT = (*_BYTES, "after")
FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.DROP: _MOMENT,
    Kind.RESET: _MOMENT,
    Kind.TRUNCATE: (*_MOMENT, "way", "size"),
    Kind.CLOSE_AT_ONCE: (),
    Kind.REFUSE: ("lasts",),
    Kind.STALL: (*_MOMENT, "way", "lasts"),
    Kind.TRICKLE: (*_MOMENT, "way", "lasts", "size", "pause"),
    Kind.DELAY: (*_MOMENT, "way", "lasts", "pause"),
    Kind.DUPLICATE: _MOMENT,
}
"""The fields of `Mishap` that mean something to a kind; the others stay as they are."""


class Mishap(msgspec.Struct, frozen=True):
    """One thing that goes wrong.

    kind: what.
    connection: which connection it happens to, in the order in which the proxy accepts them, from 0.
    up, down, total: once exactly so many bytes of this connection went from client to server, from server to
        client, or both ways together. At most one of the three; with none, as soon as the server is connected to.
    after: seconds later than that. The mishaps of one connection happen one after another; one that lasts is over
        once the bytes of the next have passed.
    way: which direction it concerns.
    lasts: seconds; None for as long as the connection, for REFUSE as the proxy.
    size: bytes that go at a time, or that are left of what is cut.
    pause: seconds before each time.

    Raises ValueError, naming the field, for a value that makes no sense, or one that this kind does not use.
    """

    kind: Kind
    connection: int = 0
    up: int | None = None
    down: int | None = None
    total: int | None = None
    after: float = 0.0
    way: Way = Way.BOTH
    lasts: float | None = None
    size: int = 1
    pause: float = 0.005

    def __post_init__(self) -> None:
        checks.one_of("kind", self.kind, tuple(Kind))
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            if name in FIELDS[self.kind] or name == "connection":
                if value is not None or name not in _OPTIONAL:
                    check(name, value)
            elif value != _DEFAULTS[name]:
                used = ", ".join(("connection", *FIELDS[self.kind]))
                raise ValueError(f"{name}: means nothing to {self.kind.name}, which has {used}")
        if sum(getattr(self, name) is not None for name in _BYTES) > 1:
            raise ValueError("up, down, total: expected at most one of them")

    @property
    def counts(self) -> bool:
        """Whether it waits for a number of bytes."""
        return any(getattr(self, name) is not None for name in _BYTES)

    def __str__(self) -> str:
        used = FIELDS[self.kind]
        parts = [self.kind.name]
        parts += [f"of {self.way.name}"] if "way" in used else []
        if "size" in used:
            parts += [f"{self.size} B" + (" at a time" if "pause" in used else " left")]
        parts += [f"{self.pause:g} s before each"] if "pause" in used else []
        if "lasts" in used:
            parts += ["for ever" if self.lasts is None else f"for {self.lasts:g} s"]
        moments = ((name, getattr(self, name)) for name in _BYTES)
        parts += [f"at {count} B {name}" for name, count in moments if count is not None]
        parts += [f"after {self.after:g} s"] if self.after else []
        return ", ".join(parts)


_CHECKS: Mapping[str, checks.Check] = {
    "connection": checks.whole(0),
    "up": checks.whole(0),
    "down": checks.whole(0),
    "total": checks.whole(0),
    "after": checks.at_least(0),
    "way": checks.choice(*Way),
    "lasts": checks.at_least(0),
    "size": checks.whole(1),
    "pause": checks.at_least(0),
}
_OPTIONAL = (*_BYTES, "lasts")
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Mishap)}


@dataclass(frozen=True)
class ChaosSchedule:
    """What happens to every connection; those without a mishap are calm. `str()` is one line for each mishap.

    Raises ValueError for mishaps that would never come: after the end of their connection, or a second REFUSE.
    """

    mishaps: Sequence[Mishap] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "mishaps", tuple(self.mishaps))
        for number in sorted({mishap.connection for mishap in self.mishaps}):
            mine = self.of(number)
            for mishap, following in pairwise(mine):
                lasts_on = mishap.kind in PAUSES and mishap.lasts is None and not following.counts
                if mishap.kind in ENDINGS or lasts_on:
                    raise ValueError(
                        f"mishaps: {following.kind.name} never happens to connection {number}, "
                        f"after {mishap.kind.name}"
                    )
            if sum(m.kind is Kind.REFUSE and m.connection == number for m in self.mishaps) > 1:
                raise ValueError(f"mishaps: connection {number} has more than one REFUSE")

    def __str__(self) -> str:
        return "\n".join(f"connection {mishap.connection}: {mishap}" for mishap in self.mishaps) or "calm"

    def of(self, connection: int) -> list[Mishap]:
        """What happens to this connection once it is accepted, in order."""
        return [m for m in self.mishaps if m.connection == connection and m.kind is not Kind.REFUSE]

    def refusal(self, connection: int) -> Mishap | None:
        """The REFUSE that comes before this connection, if one does."""
        found = (m for m in self.mishaps if m.connection == connection and m.kind is Kind.REFUSE)
        return next(found, None)

    @classmethod
    def from_seed(
        cls,
        seed: int,
        *,
        drops: int = 10,
        counting: Way = Way.BOTH,
        over_bytes: int = 1_000_000,
        over_seconds: float | None = None,
        longest_pause: float = 0.5,
        first_opens: bool = True,
        kinds: Collection[Kind] = tuple(Kind),
    ) -> ChaosSchedule:
        """A schedule drawn from a seed: the same arguments give the same one, on every machine.

        The first `drops` connections end badly, one mishap of `ENDINGS` each; from then on all is calm.
        Before its end a connection may be slowed, opened twice, or refused at first. Later connections may
        also end within their handshake.

        seed: a whole number from 0.
        drops: how many connections end badly.
        counting: the bytes of which direction decide when. With UP, a Pulse client that sends the same audio is
            dropped at the same places of it, whenever the server speaks.
        over_bytes: bytes counted, over all connections together, within which the drops fall. Whoever transfers so
            many, and `HANDSHAKE_BYTES` for each drop, meets all of them.
        over_seconds: to have the drops fall by the clock instead, within so many seconds of being connected. Pauses
            come on top, and half a second for the first handshake.
        longest_pause: seconds that a STALL, TRICKLE, DELAY or REFUSE lasts at most.
        first_opens: leave the handshake of the first connection alone, for clients that only come back to a
            server that was there once.
        kinds: what may happen at all. Needs one of `ENDINGS` if there are drops.

        Raises ValueError, naming the argument, for a value that makes no sense.
        """
        checks.integer("seed", seed, 0, 2**63 - 1)
        checks.integer("drops", drops, 0, MOST_DROPS)
        checks.one_of("counting", counting, tuple(Way))
        checks.integer("over_bytes", over_bytes, 0)
        if over_seconds is not None:
            checks.number("over_seconds", over_seconds, 0)
        checks.number("longest_pause", longest_pause, 0)
        checks.boolean("first_opens", first_opens)
        for kind in kinds:
            checks.one_of("kinds", kind, tuple(Kind))
        lives = _Lives(_Dice(seed), counting, over_bytes, over_seconds, longest_pause, frozenset(kinds))
        if drops and not (lives.endings if not first_opens else lives.endings - {Kind.CLOSE_AT_ONCE}):
            raise ValueError("kinds: expected one that ends a connection: DROP, RESET or TRUNCATE")
        return cls(list(lives.draw(drops, first_opens)))


_COUNTED = {Way.UP: "up", Way.DOWN: "down", Way.BOTH: "total"}


class _Dice:
    """Draws from `random()` alone, the one method whose numbers Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def fraction(self) -> float:
        return self._random.random()

    def one_in(self, count: int) -> bool:
        return self.fraction() * count < 1

    def pick(self, of: Sequence[T]) -> T:
        return of[int(self.fraction() * len(of))]

    def seconds(self, most: float) -> float:
        return round(self.fraction() * most, 3)  # short to print

    def count(self, low: int, high: int) -> int:
        return low + int(self.fraction() * (high - low + 1))


class _Lives:
    """How connections live and end, one after another."""

    def __init__(
        self,
        dice: _Dice,
        counting: Way,
        over_bytes: int,
        over_seconds: float | None,
        longest_pause: float,
        kinds: frozenset[Kind],
    ) -> None:
        self._dice = dice
        self._counting = counting
        self._bytes = over_bytes
        self._seconds = over_seconds
        self._longest = longest_pause
        self._kinds = kinds
        self.endings = kinds.intersection(ENDINGS)

    def draw(self, drops: int, first_opens: bool) -> Iterator[Mishap]:
        before = 0.0
        for connection, cut in enumerate(sorted(self._dice.fraction() for _ in range(drops))):
            yield from self._life(connection, cut - before, opens=first_opens and not connection)
            before = cut

    def _life(self, connection: int, share: float, *, opens: bool) -> Iterator[Mishap]:
        dice = self._dice
        if not opens and Kind.REFUSE in self._kinds and dice.one_in(4):
            yield Mishap(Kind.REFUSE, connection, lasts=dice.seconds(self._longest))
        spared = (Kind.CLOSE_AT_ONCE,) if opens else ()
        ending = dice.pick([kind for kind in ENDINGS if kind in self.endings and kind not in spared])
        if ending is Kind.CLOSE_AT_ONCE:
            yield Mishap(ending, connection)
            return
        if Kind.DUPLICATE in self._kinds and dice.one_in(4):
            yield Mishap(Kind.DUPLICATE, connection)
        if not opens and dice.one_in(5):
            yield self._end(ending, connection, self._within_handshake())
            return
        slowed = [kind for kind in PAUSES if kind in self._kinds]
        spent = 0.0
        if slowed and dice.one_in(2):
            spent = share * dice.fraction()
            yield self._pause(dice.pick(slowed), connection, self._moment(spent))
        end = self._moment(share, spent, HANDSHAKE_SECONDS if opens else 0.0)
        if Kind.STALL in slowed and dice.one_in(5):  # dies while it is stalled
            yield self._pause(Kind.STALL, connection, end)
            end = {}
        yield self._end(ending, connection, end)

    def _moment(self, share: float, spent: float = 0.0, seconds: float = 0.0) -> Mapping[str, float]:
        """The fields for a moment: a share of the whole, of which so much is spent; by the clock, seconds later."""
        if self._seconds is not None:
            return {"after": round(seconds + (share - spent) * self._seconds, 3)}
        return {_COUNTED[self._counting]: HANDSHAKE_BYTES + int(share * self._bytes)}

    def _within_handshake(self) -> Mapping[str, float]:
        """Before a WebSocket can be open: in the client's request or in the server's answer, which is shorter."""
        way, most = self._dice.pick((("up", 250), ("down", 125)))
        return {way: self._dice.count(1, most)}

    def _pause(self, kind: Kind, connection: int, moment: Mapping[str, float]) -> Mishap:
        dice = self._dice
        mishap = Mishap(kind, connection, way=dice.pick(tuple(Way)), lasts=dice.seconds(self._longest))
        if kind is Kind.TRICKLE:
            mishap = replace(mishap, size=dice.count(1, 16), pause=0.001)
        if kind is Kind.DELAY:
            mishap = replace(mishap, pause=dice.seconds(0.05))
        return replace(mishap, **moment)

    def _end(self, kind: Kind, connection: int, moment: Mapping[str, float]) -> Mishap:
        mishap = Mishap(kind, connection)
        if kind is Kind.TRUNCATE:
            dice = self._dice
            mishap = replace(mishap, way=dice.pick((Way.UP, Way.DOWN)), size=dice.count(1, 40))
        return replace(mishap, **moment)
