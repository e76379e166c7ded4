"""The core does no I/O: not by what it loads, and not by what it names."""

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

LOADS_NONE_OF = {"socket", "ssl", "select", "asyncio", "threading", "subprocess", "trio", "anyio"}
NAMES_NONE_OF = LOADS_NONE_OF | {
    "concurrent",
    "http",
    "logging",
    "multiprocessing",
    "selectors",
    "signal",
    "socketserver",
    "time",
}
THIRD_PARTY = {"h11", "msgspec", "wsproto"}


def location(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


CORE = location("smallest_proto")
SOURCES = sorted(CORE.rglob("*.py"))
EVERY_MODULE = [
    ".".join(source.relative_to(CORE.parent).with_suffix("").parts).removesuffix(".__init__")
    for source in SOURCES
]


def loaded_by(modules: list[str]) -> set[str]:
    """Top-level modules that a bare interpreter (no site, no environment) has loaded after these imports."""
    path = sorted({str(location(package).parent) for package in (CORE.name, *THIRD_PARTY)})
    code = f"import sys; sys.path += {path!r}; import {', '.join(modules)}; print(*sys.modules, sep='\\n')"
    child = [sys.executable, "-I", "-S", "-B", "-c", code]
    result = subprocess.run(child, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return {name.partition(".")[0] for name in result.stdout.split()}


def imported_names(tree: ast.AST) -> set[str]:
    """Top-level names of every import statement, wherever it stands, and of dynamic imports by literal."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="__import__" | "import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                names.add(module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize(
    "modules", [["smallest_proto"], EVERY_MODULE], ids=["the package", "every module of it"]
)
def test_importing_the_core_loads_no_io(modules: list[str]) -> None:
    loaded = loaded_by(modules)
    assert "smallest_proto" in loaded
    assert not loaded & LOADS_NONE_OF


def test_the_check_sees_what_is_loaded() -> None:
    assert {"socket", "select"} <= loaded_by(["socket"])


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_sources_import_no_io_and_only_the_three_dependencies(source: Path) -> None:
    names = imported_names(ast.parse(source.read_bytes()))
    assert not names & NAMES_NONE_OF
    assert names <= sys.stdlib_module_names | THIRD_PARTY | {"smallest_proto"}


@pytest.mark.parametrize(
    "code",
    [
        "import socket",
        "import socket.x as y",
        "from socket import socket",
        "def f():\n    import socket",
        "__import__('socket')",
        "importlib.import_module('socket')",
    ],
)
def test_the_scan_sees_every_form_of_import(code: str) -> None:
    assert "socket" in imported_names(ast.parse(code))
