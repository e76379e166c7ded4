"""One target under libFuzzer, in this process: `python -m fuzz.engine TARGET [libFuzzer's own arguments]`.

`fuzz.run` starts it, because libFuzzer ends its process when it is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from fuzz import targets

MISSING = """atheris is not installed, and coverage-guided fuzzing needs it:
    pip install --group fuzz
It has wheels for Linux on x86-64 only, for Python 3.11 to 3.14. Elsewhere replay the kept corpus, which needs
nothing but the package itself:
    python -m fuzz.replay"""

PACKAGES = ["smallest_proto", "h11", "wsproto"]
"""Instrumented for coverage. msgspec is compiled, and so not."""


def main(arguments: list[str]) -> None:
    """Fuzz until libFuzzer stops; it does not return. `--instrument=PACKAGE` adds one of yours."""
    try:
        import atheris  # type: ignore[import-untyped]  # not everywhere, and without types
    except ImportError:
        sys.exit(MISSING)
    name, *rest = arguments
    option = "--instrument="
    packages = [a.removeprefix(option) for a in rest if a.startswith(option)]
    with atheris.instrument_imports(include=[*PACKAGES, *packages], enable_loader_override=False):
        function = targets.load(name)
        from fuzz import rows  # not before: it imports what is to be instrumented
    visits = {key: atheris.instrument_func(_visit()) for key in rows.rows()}
    atheris.Setup([name, *(a for a in rest if not a.startswith(option))], function)
    with rows.watched(lambda key: visits.get(key, _visit)()):
        atheris.Fuzz()


def _visit() -> Callable[[], object]:
    """A function of its own for each row: to call it is what libFuzzer sees."""
    scope: dict[str, Callable[[], object]] = {}
    exec("def row():\n    return None", scope)
    return scope["row"]


if __name__ == "__main__":
    main(sys.argv[1:])
