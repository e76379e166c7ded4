"""Hypothesis profiles: `ci` is the default and repeatable; `pytest --hypothesis-profile=dev` explores.

And, at the end of a run, how each loop and carrier fared.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    max_examples=100,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is not a broken property
)
settings.register_profile("dev", deadline=None, max_examples=1000)
MUTANTS = settings(  # the first failure will do, and nobody reads it
    settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], report_multiple_bugs=False
)
settings.register_profile("mutants", MUTANTS, max_examples=10)
settings.register_profile("survivors", MUTANTS)
settings.load_profile("ci")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: Counter[tuple[object, str]] = Counter()
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            for name, net in getattr(report, "user_properties", ()):
                if name == "net":
                    counts[net, outcome] += 1
    if not counts:
        return
    from loops import CARRIERS, LOOPS  # imported late: other tests need no event loop

    terminalreporter.section("transport tests by loop and carrier: passed / failed")
    terminalreporter.line(" " * 14 + "".join(f"{carrier:>12}" for carrier in CARRIERS))
    for loop in LOOPS:
        line = f"{loop:<14}"
        for carrier in CARRIERS:
            net = f"{loop}-{carrier}"
            failed = counts[net, "failed"] + counts[net, "error"]
            line += f"{counts[net, 'passed']:>8} /{failed:>2}"
        terminalreporter.line(line)
