"""One fuzz target a module: a function `fuzz(data: bytes) -> None` that raises when something is wrong."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import TypeAlias

Fuzz: TypeAlias = Callable[[bytes], None]


def names() -> list[str]:
    """Every target's name."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Fuzz:
    """The function of one target: a name from here, or a module of your own."""
    module = importlib.import_module(f"fuzz.targets.{name}" if name in names() else name)
    function: Fuzz = module.fuzz
    return function
