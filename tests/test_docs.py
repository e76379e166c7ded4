"""What the documents point at is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def table() -> list[list[str]]:
    lines = (ROOT / "docs/protocol-coverage.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return rows[2:]


def test_every_topic_names_a_module_and_a_test_that_exist() -> None:
    assert len(table()) > 50
    for topic, modules, tests in table():
        for cell, folder in ((modules, "smallest_proto"), (tests, "tests")):
            paths = re.findall(r"`([\w./-]+\.(?:py|json))`", cell)
            assert paths, topic
            for path in paths:
                assert (ROOT / folder / path).is_file(), f"{topic}: {folder}/{path}"


def test_every_section_of_the_protocol_has_a_row() -> None:
    numbers = {int(n) for topic, *_ in table() for n in re.findall(r"\b(\d+)(?:\.\d+)?", topic)}
    assert numbers >= set(range(1, 19))


def test_every_source_that_is_cited_is_explained() -> None:
    explained = (ROOT / "docs/sources.md").read_text("utf-8")
    known = set(re.findall(r"`\[([^\]]+)\]`", explained))
    families = {re.split(r" [XN]$| MM-DD$", name)[0] for name in known}
    cited = set()
    for path in (ROOT / "smallest_proto").rglob("*.py"):
        cited |= set(
            re.findall(
                r"\[((?:lk|docs|probe|changelog|asyncapi|openapi|sdk|pipecat|seed|livetest|override|onprem)[^\]\[]*)\]",
                path.read_text("utf-8"),
            )
        )
    for source in cited:
        assert any(source == family or source.startswith(f"{family} ") for family in families | known), source
