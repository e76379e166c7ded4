"""How a run of the command line ended."""

from collections.abc import Callable


class Ended:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def complaint(self) -> str:
        """The only line on standard error."""
        assert self.err.startswith("smallest-proto: "), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.strip().removeprefix("smallest-proto: ")


Command = Callable[..., Ended]
"""Runs the command line with these arguments."""
