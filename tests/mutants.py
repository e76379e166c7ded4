"""Mutation testing of `smallest_proto`: change the code a little, and see whether a test notices (`make mutants`).

The changes are mutmut's. Its runner is not used: it wraps every function, which the stack levels of warnings show,
and it calls tests by their ids, which hold raw bytes here. This one collects the tests once, learns which of them
reach which line, and forks a child for each mutant, in which the changed function takes the place of the living one.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import json
import os
import random
import resource
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

import coverage
import libcst as cst
import pytest
from _pytest.runner import runtestprotocol
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import MutationVisitor
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import get_ignored_lines

ROOT = Path.cwd()
TESTS = ["tests/core", "tests/pulse", "tests/lightning", "tests/wire"]  # no sockets: those wait for deadlines
SKIPPED = ["tests/wire/test_memory.py", "tests/wire/test_http_memory.py"]  # the children's memory is limited
MEMORY = 3 << 30
KILLED, SURVIVED, TIMEOUT, UNREACHED = "killed", "survived", "timeout", "unreached"

Place = tuple[int, int]  # line from 1, column from 0
Identity = tuple[str | int, ...]


class Mutant(NamedTuple):
    """One change in one function of one file."""

    path: str
    function: str
    start: Place
    end: Place
    before: str
    after: str
    nth: int = 0  # of the same change in the same function

    @property
    def identity(self) -> Identity:
        """What stays when lines move."""
        return self.path, self.function, self.before, self.after, self.nth

    def applied_to(self, code: str) -> str:
        lines = code.splitlines(keepends=True)
        (first, left), (last, right) = self.start, self.end
        head, tail = "".join(lines[: first - 1]), "".join(lines[last:])
        return head + lines[first - 1][:left] + self.after + lines[last - 1][right:] + tail

    def __str__(self) -> str:
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.path}:{self.start[0]} {self.function}: {before}  ->  {after}"


def mutants_of(path: Path) -> Iterator[Mutant]:
    """Every change mutmut makes inside the functions of a file; tables and constants stand outside of them."""
    code = path.read_text()
    wrapper = MetadataWrapper(cst.parse_module(code))
    visitor = MutationVisitor(mutation_operators, get_ignored_lines(str(path), code, wrapper, None), None)
    wrapper.visit(visitor)
    positions = wrapper.resolve(PositionProvider)
    names = function_names(ast.parse(code))
    seen: Counter[Identity] = Counter()
    for change in visitor.mutations:
        function = change.contained_by_top_level_function
        where = positions.get(change.original_node)
        if isinstance(function, cst.FunctionDef) and isinstance(where, CodeRange):
            name = names[positions[function.name].start.line]
            start, end = (where.start.line, where.start.column), (where.end.line, where.end.column)
            before = wrapper.module.code_for_node(change.original_node)
            after = wrapper.module.code_for_node(change.mutated_node)
            if isinstance(change.original_node, cst.Match):
                after = textwrap.indent(after.lstrip("\n"), " " * start[1]).lstrip()
            mutant = Mutant(str(path), name, start, end, before, after)
            yield mutant._replace(nth=seen[mutant.identity])
            seen[mutant.identity] += 1


def function_names(tree: ast.Module) -> dict[int, str]:
    """The qualified names of functions and methods by the line of their `def`."""
    found: dict[int, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found[node.lineno] = node.name
        elif isinstance(node, ast.ClassDef):
            found |= {m.lineno: f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
    return found


class Source:
    """A file that stands: its text, and where its statements and defaults are."""

    def __init__(self, path: str) -> None:
        self.text = (ROOT / path).read_text()
        self._lines: dict[int, range] = {}
        self._defaults: dict[tuple[Place, Place], range] = {}
        for node in ast.walk(ast.parse(self.text)):  # parents first
            if isinstance(node, ast.stmt | ast.excepthandler | ast.match_case):
                first = node.pattern.lineno if isinstance(node, ast.match_case) else node.lineno
                body = getattr(node, "body", None)
                last = (
                    max(first, body[0].lineno - 1) if body else (getattr(node, "end_lineno", None) or first)
                )
                self._lines |= dict.fromkeys(range(first, last + 1), range(first, last + 1))
            if isinstance(node, ast.FunctionDef):
                whole = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
                for value in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    start, end = (value.lineno, value.col_offset), (value.end_lineno, value.end_col_offset)
                    self._defaults[start, (end[0] or 0, end[1] or 0)] = whole

    def defaults_of(self, mutant: Mutant) -> range | None:
        """The lines of the function whose default the mutant changes, if it does."""
        found = (whole for (start, end), whole in self._defaults.items() if start <= mutant.start < end)
        return next(found, None)

    def lines_of(self, mutant: Mutant) -> range:
        """The lines that a test must reach to notice: those of the innermost statement, or of its head."""
        return self.defaults_of(mutant) or self._lines[mutant.start[0]]


class Workshop:
    """A pytest plug-in that tests mutants where pytest would run the tests."""

    def __init__(self, mutants: list[Mutant], workers: int, seconds: float, until: float) -> None:
        self.mutants = mutants
        self.workers = workers
        self.seconds = seconds
        self.until = until
        self.results: dict[Mutant, str] = {}
        self.sources = {path: Source(path) for path in {mutant.path for mutant in mutants}}
        self.items: list[pytest.Item] = []
        self.durations: list[float] = []
        self.reached: dict[str, dict[int, list[str]]] = {}
        self.living: defaultdict[str, list[FunctionType]] = defaultdict(list)
        self.in_child = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise pytest.Session.Failed("the tests cannot be collected")
        self.items = session.items
        self.learn()
        print(
            f"{len(self.items)} tests, {sum(self.durations):.0f} s; {len(self.mutants)} mutants", flush=True
        )
        for found in gc.get_objects():
            if type(found) is FunctionType:
                self.living[found.__code__.co_filename].append(found)
        gc.collect()
        gc.disable()  # a collection in a child would copy every page
        self.test_all()
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> None:
        if self.in_child and call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
            os._exit(1)  # the first failure says it all, and reports take long to write

    def learn(self) -> None:
        """Run every test once: which lines it reaches, and how long it takes."""
        measured = coverage.Coverage(data_file=None, source=["smallest_proto"], config_file=False)
        measured.start()
        for index, item in enumerate(self.items):
            measured.switch_context(str(index))
            before = time.process_time()
            reports = runtestprotocol(item, nextitem=None, log=False)
            self.durations.append(time.process_time() - before)
            for report in reports:
                if report.failed:
                    print(report.longreprtext)
                    raise pytest.Session.Failed(item.nodeid)
        measured.stop()
        for path in self.sources:
            self.reached[path] = measured.get_data().contexts_by_lineno(str(ROOT / path))

    def tests_for(self, mutant: Mutant) -> list[int]:
        """The tests that reach the change: one of each test function first, and the quick ones first."""
        reached, lines = self.reached[mutant.path], self.sources[mutant.path].lines_of(mutant)
        indices = {int(context) for line in lines for context in reached.get(line, ()) if context}
        turns: Counter[str] = Counter()
        order = []
        for index in sorted(indices, key=self.durations.__getitem__):
            name = self.items[index].nodeid.partition("[")[0]
            turns[name] += 1
            order.append((turns[name], self.durations[index], index))
        spent, chosen = 0.0, list[int]()
        for _, duration, index in sorted(order):
            spent += duration
            if spent > self.seconds and chosen:
                break
            chosen.append(index)
        return chosen

    def test_all(self) -> None:
        children: dict[int, Mutant] = {}
        started = time.monotonic()
        for number, mutant in enumerate(self.mutants):
            if number % 500 == 0:
                print(
                    f"{time.monotonic() - started:.0f} s {dict(Counter(self.results.values()))}", flush=True
                )
            if time.monotonic() - started > self.until:
                break
            tests = self.tests_for(mutant)
            if not tests:
                self.conclude(mutant, UNREACHED)
                continue
            while len(children) >= self.workers:
                self.reap(children)
            child = os.fork()
            if not child:
                try:
                    self.test_one(mutant, tests)
                finally:
                    os._exit(1)
            children[child] = mutant
        while children:
            self.reap(children)

    def reap(self, children: dict[int, Mutant]) -> None:
        pid, status = os.wait()
        code = os.waitstatus_to_exitcode(status)
        self.conclude(children.pop(pid), {0: SURVIVED, 1: KILLED}.get(code, TIMEOUT))

    def conclude(self, mutant: Mutant, result: str) -> None:
        self.results[mutant] = result
        if result in (SURVIVED, UNREACHED):
            print(f"{result}: {mutant}", flush=True)

    def test_one(self, mutant: Mutant, tests: list[int]) -> None:
        """In the child: exit 0 if the mutant survives these tests, 1 at the first that fails."""
        limit = int(time.process_time() + 5 + 10 * sum(self.durations[index] for index in tests))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            put_in_place(mutant, self.sources[mutant.path], self.living[str(ROOT / mutant.path)])
        except (LookupError, SyntaxError):
            os._exit(0)  # nothing was changed: that is no kill
        self.in_child = True
        for index in tests:
            runtestprotocol(self.items[index], nextitem=None, log=False)
        os._exit(0)


def put_in_place(mutant: Mutant, source: Source, living: list[FunctionType]) -> None:
    """Give the living functions of the mutant's name the changed code, or the changed defaults."""
    module = importlib.import_module(
        mutant.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    )
    changed = compile(mutant.applied_to(source.text), str(ROOT / mutant.path), "exec")
    codes: dict[str, CodeType] = {}
    waiting = [changed]
    while waiting:
        for constant in waiting.pop().co_consts:
            if isinstance(constant, CodeType):
                codes[constant.co_qualname] = constant
                waiting.append(constant)
    found = [function for function in living if function.__qualname__ == mutant.function]
    if not found:
        raise LookupError(mutant.function)
    for function in found:
        function.__code__ = codes[mutant.function]
    for function in living:
        if function.__qualname__.startswith(f"{mutant.function}.<locals>."):  # made while the code was loaded
            with suppress(LookupError, ValueError):  # the change took it away, or a name that it holds
                function.__code__ = codes[function.__qualname__]
    if source.defaults_of(mutant):
        space: dict[str, object] = {"__name__": module.__name__}
        exec(changed, space)
        owner, _, name = mutant.function.rpartition(".")
        made = vars(space[owner])[name] if owner else space[name]
        assert isinstance(made, FunctionType)
        for function in found:
            function.__defaults__, function.__kwdefaults__ = made.__defaults__, made.__kwdefaults__


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", type=Path, default=[Path("smallest_proto")])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=20.0, help="of tests, at most, for one mutant")
    parser.add_argument(
        "--until", type=float, default=float("inf"), help="stop after so many seconds: a sample"
    )
    parser.add_argument("--profile", default="mutants", help="of Hypothesis; see conftest.py")
    parser.add_argument("--again", type=Path, help="a report: test only what was not killed there")
    parser.add_argument("--report", type=Path, default=Path(".mutants.json"))
    chosen = parser.parse_args()
    files = sorted(f for path in chosen.paths for f in (path.rglob("*.py") if path.is_dir() else [path]))
    mutants = [mutant for file in files for mutant in mutants_of(file)]
    random.Random(0).shuffle(mutants)
    earlier: dict[Identity, str] = {}
    if chosen.again:
        earlier = {tuple(identity): result for *identity, result in json.loads(chosen.again.read_text())}
    known = {m: earlier[m.identity] for m in mutants if m.identity in earlier}
    left = [m for m in mutants if known.get(m) not in (KILLED, TIMEOUT)]
    workshop = Workshop(left, chosen.workers, chosen.seconds, chosen.until)
    quiet = ["-q", "-s", "-p", "no:cacheprovider", f"--hypothesis-profile={chosen.profile}"]
    if pytest.main([*quiet, *(f"--ignore={path}" for path in SKIPPED), *TESTS], plugins=[workshop]):
        sys.exit("without any change the tests must pass")
    results = known | workshop.results
    chosen.report.write_text(json.dumps([[*mutant.identity, result] for mutant, result in results.items()]))
    print_scores(results)


def print_scores(results: dict[Mutant, str]) -> None:
    packages: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for mutant, result in results.items():
        for package in (str(Path(mutant.path).parent), "total"):
            packages[package][result] += 1
    for package, counts in sorted(packages.items()):
        score = (counts[KILLED] + counts[TIMEOUT]) / counts.total()
        print(f"{package:26} {counts.total():5} mutants {dict(counts)} score {score:.1%}")


if __name__ == "__main__":
    main()
