"""An API key that must be seen nowhere but in the request that carries it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

CANARY = "sk_canary_5dc2a6"
OURS = ("smallest_", "livekit.plugins.smallest", "python_socks")
"""Modules that are given the key, or a proxy's password."""


def told(error: BaseException) -> Iterator[str]:
    """All that could be shown of an error and of what it came from, the local variables of this library included."""
    chained: BaseException | None = error
    while chained is not None:  # causes that are suppressed are there all the same
        yield f"{chained} {chained!r} {chained.args} {vars(chained)}"
        yield "".join(traceback.format_exception(chained))
        for frame, line in traceback.walk_tb(chained.__traceback__):
            if (module := frame.f_globals["__name__"]).startswith(OURS):
                yield from (f"{module}:{line} {name} = {value!r}" for name, value in frame.f_locals.items())
        chained = chained.__cause__ or chained.__context__
