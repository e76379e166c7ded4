"""Breadth-first search over everything that can happen to a world, up to a depth."""

from __future__ import annotations

import time
from typing import NamedTuple

from explorer.memento import restore, save
from explorer.world import World


class Broken(AssertionError):
    """An invariant does not hold. The search adds the moves that lead there."""


class Result(NamedTuple):
    """What a search saw. `complete`: there was nothing new any more, however deep."""

    name: str
    states: int
    moves: int
    depth: int
    complete: bool
    seconds: float

    def __str__(self) -> str:
        end = "and that is all there is" if self.complete else "moves deep"
        return (
            f"{self.name:32}{self.states:>9,} states {self.moves:>11,} moves  depth {self.depth:>2} "
            f"({end})  {self.seconds:5.1f} s"
        )


def explore(name: str, world: World, depth: int) -> Result:
    """Make every move in every state that up to `depth` moves lead to.

    The search is breadth-first, so the moves in a `Broken` are the fewest that lead to it.
    """
    began = time.perf_counter()
    start = save(world)
    seen = {world.digest(start)}
    origins: list[tuple[int, str]] = [(-1, "")]
    level = [(0, start)]
    reached = tried = 0
    while level and reached < depth:
        reached += 1
        following = []
        for number, saved in level:
            restore(saved)
            world.baseline = saved
            for move, act in world.moves.items():
                try:
                    if not act():
                        continue
                    tried += 1
                    if not world.within_bounds():
                        restore(saved)
                        continue
                    after = save(world)
                    digest = world.digest(after)
                    if digest not in seen:
                        seen.add(digest)
                        following.append((len(origins), after))
                        origins.append((number, move))
                        world.baseline = after
                        world.inspect()
                        world.baseline = saved
                except Exception as error:
                    steps = [f"  {i}. {step}" for i, step in enumerate([*_path(origins, number), move], 1)]
                    what = f"{name}: {type(error).__name__}: {error}"
                    raise Broken("\n".join([what, "after these moves:", *steps])) from error
                restore(saved)
        level = following
    return Result(name, len(seen), tried, reached, not level, time.perf_counter() - began)


def _path(origins: list[tuple[int, str]], number: int) -> list[str]:
    path = []
    while number > 0:
        number, move = origins[number]
        path.append(move)
    return path[::-1]
