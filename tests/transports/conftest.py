"""Prints how each loop and carrier fared."""

import gc
from collections import Counter

import pytest

from loops import CARRIERS, LOOPS, Net
from smallest_transports import _asyncio_backend, _trio_backend


@pytest.fixture
def short_close(monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a peer who does not read may hold up a close, for tests whose peers do nothing else."""
    for backend in (_asyncio_backend, _trio_backend):
        monkeypatch.setattr(backend, "CLOSE_TIMEOUT", 0.1)
    return 0.1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        call = getattr(item, "callspec", None)
        if call is not None and isinstance(net := call.params.get("net"), Net):
            item.user_properties.append(("net", str(net)))


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # each test here collects garbage: it need not look through all that came before the tests


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: Counter[tuple[object, str]] = Counter()
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            for name, net in getattr(report, "user_properties", ()):
                if name == "net":
                    counts[net, outcome] += 1
    if not counts:
        return
    terminalreporter.section("transport tests by loop and carrier: passed / failed")
    terminalreporter.line(" " * 14 + "".join(f"{carrier:>12}" for carrier in CARRIERS))
    for loop in LOOPS:
        line = f"{loop:<14}"
        for carrier in CARRIERS:
            net = f"{loop}-{carrier}"
            failed = counts[net, "failed"] + counts[net, "error"]
            line += f"{counts[net, 'passed']:>8} /{failed:>2}"
        terminalreporter.line(line)
