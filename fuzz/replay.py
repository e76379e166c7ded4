"""The kept corpus and its mutants, without atheris: `python -m fuzz.replay [TARGET [FILE ...]]`.

The mutants come from a generator with a fixed seed, so two runs do the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from fuzz import targets

CORPUS = Path(__file__).parent / "corpus"
INTERESTING = (
    b"\x00",
    b"\xff",
    b"\n",
    b'"',
    b"{",
    b"}",
    b"[",
    b"null",
    b"true",
    b"1e999",
    b"-1",
    b"\xed\xa0\x80",
)


def kept(name: str) -> list[Path]:
    """The corpus files of a target."""
    return sorted((CORPUS / name).glob("*"))


def mutants(inputs: list[bytes], count: int, seed: int = 0) -> Iterator[bytes]:
    """Inputs made from others: bytes changed, put in or left out, lines swapped, two of them joined."""
    random = Random(seed)
    for _ in range(count):
        data = bytearray(random.choice(inputs))
        for _ in range(random.randint(1, 4)):
            at = random.randint(0, len(data))
            match random.randint(0, 5):
                case 0:
                    data[at : at + 1] = random.randbytes(1)
                case 1:
                    data[at:at] = random.choice(INTERESTING)
                case 2:
                    del data[at : at + random.randint(1, 8)]
                case 3:
                    other = random.choice(inputs)
                    data[at:] = other[random.randint(0, len(other)) :]
                case 4:
                    lines = data.split(b"\n")
                    head, rest = lines[:1], lines[1:]
                    random.shuffle(rest)
                    data = bytearray(b"\n".join([*head, *rest]))
                case _:
                    data[at:at] = data[at : at + random.randint(1, 40)]
        yield bytes(data[:8192])


def main(arguments: list[str]) -> None:
    """Replay files of one target, or everything that is kept and 1000 mutants for each target."""
    if len(arguments) > 1:
        function = targets.load(arguments[0])
        for path in arguments[1:]:
            function(Path(path).read_bytes())
        return
    for name in arguments or targets.names():
        function = targets.load(name)
        inputs = [path.read_bytes() for path in kept(name)]
        for data in (*inputs, *mutants([*inputs, b""], 1000)):
            try:
                function(data)
            except BaseException:
                print(f"{name}: {data!r}", file=sys.stderr)
                raise
        print(f"{name}: {len(inputs)} inputs and 1000 mutants")


if __name__ == "__main__":
    main(sys.argv[1:])
