"""The kept corpus of the fuzzers and a few thousand mutants of it, without the fuzzers' engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import replay, targets

ROOT = Path(__file__).parent.parent.parent
MUTANTS = 100
MOST_BYTES = 1_000_000


@pytest.mark.parametrize("name", targets.names())
def test_the_kept_inputs(name: str) -> None:
    function, paths = targets.load(name), replay.kept(name)
    assert paths, f"no corpus: python -m fuzz.keep {name}"
    for path in paths:
        try:
            function(path.read_bytes())
        except BaseException as error:
            error.add_note(f"see it again with: python -m fuzz.replay {name} {path.relative_to(ROOT)}")
            raise


@pytest.mark.parametrize("name", targets.names())
def test_mutants_of_them(name: str) -> None:
    function = targets.load(name)
    for data in replay.mutants([b"", *(path.read_bytes() for path in replay.kept(name))], MUTANTS):
        try:
            function(data)
        except BaseException as error:
            error.add_note(f"the input: {data!r}")
            raise


def test_mutants_are_the_same_every_time() -> None:
    runs = [list(replay.mutants([b"one\ntwo", b"three"], 50)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 40


def test_the_corpus_is_small() -> None:
    files = [path for path in replay.CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.parent.name for path in files} == set(targets.names())
