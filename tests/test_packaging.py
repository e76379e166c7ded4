"""What a user gets: three import names from a wheel and from an editable install, and nothing else."""

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {  # folder in the wheel -> folder in the repository
    "smallest_proto": ROOT / "smallest_proto",
    "smallest_transports": ROOT / "transports" / "smallest_transports",
    "livekit/plugins/smallest": ROOT / "livekit_binding" / "livekit" / "plugins" / "smallest",
}
IMPORTS = "import smallest_proto, smallest_transports, livekit.plugins.smallest as binding"


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=100)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def sources() -> set[str]:
    """Every file that the wheel should hold, under the name it should have there."""
    return {
        f"{name}/{file.relative_to(folder).as_posix()}"
        for name, folder in PACKAGES.items()
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel made from that sdist. Needs no network."""
    out = tmp_path_factory.mktemp("built")
    run("-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    return out


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def installed() -> None:
    """Skip unless this interpreter has the project installed, as `make test` sees to."""
    try:
        distribution("smallest-proto")
    except PackageNotFoundError:
        pytest.skip("smallest-proto is not installed in this environment")


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = {name for name in wheel.namelist() if not name.startswith("smallest_proto-0.1.0.dist-info/")}
    assert names == sources()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names


def test_a_plain_install_needs_three_dependencies(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_bytes(wheel.read("smallest_proto-0.1.0.dist-info/METADATA"))
    requires = metadata.get_all("Requires-Dist", [])
    plain = {re.split("[<>=~]", requirement)[0] for requirement in requires if "extra ==" not in requirement}
    assert plain == {"h11", "msgspec", "wsproto"}
    extras = {"aiohttp", "all", "anyio", "cli", "fast", "livekit", "local", "proxy", "trio"}
    assert set(metadata.get_all("Provides-Extra", [])) == extras


def test_the_wheel_imports_by_itself(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {IMPORTS}"
    files = "print(smallest_proto.__file__, smallest_transports.__file__, binding.__file__, sep='\\n')"
    out = run("-I", "-c", f"{code}; {files}", cwd=tmp_path)
    assert [Path(line).parent for line in out.splitlines()] == [tmp_path / name for name in PACKAGES]


def test_the_sdist_holds_the_sources_and_no_rubbish(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {Path(*Path(name).parts[1:]).as_posix() for name in sdist.getnames()}
    for folder in PACKAGES.values():
        assert (folder / "__init__.py").relative_to(ROOT).as_posix() in names
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/test_packaging.py"} <= names
    assert not {name for name in names if "__pycache__" in name or name.startswith((".venv", ".git/"))}


@pytest.mark.usefixtures("installed")
def test_the_install_exposes_the_three_names_from_anywhere(tmp_path: Path) -> None:
    run("-I", "-c", IMPORTS, cwd=tmp_path)


@pytest.mark.usefixtures("installed")
def test_the_install_exposes_nothing_else_of_the_repository(tmp_path: Path) -> None:
    entries = [entry for entry in ROOT.iterdir() if entry.is_dir() or entry.suffix == ".py"]
    others = sorted({entry.stem for entry in entries if entry.stem.isidentifier()} - {"smallest_proto"})
    assert {"tests", "fuzz", "transports"} <= set(others)
    code = (
        "import sys; from importlib.util import find_spec\n"
        "for name in sys.argv[1:]:\n"
        "    if spec := find_spec(name):\n"
        "        print(*(spec.submodule_search_locations or [spec.origin]), sep='\\n')"
    )
    found = {Path(line) for line in run("-I", "-c", code, *others, cwd=tmp_path).splitlines()}
    assert not found & set(entries)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "order",
    [
        "import livekit.agents, livekit.plugins.other, livekit.plugins.smallest",
        "import livekit.plugins.smallest, livekit.plugins.other, livekit.agents",
    ],
)
@pytest.mark.parametrize("position", ["0", "len(sys.path)"], ids=["found first", "found last"])
def test_the_livekit_namespace_is_shared(tmp_path: Path, order: str, position: str) -> None:
    other = tmp_path / "livekit" / "plugins" / "other"
    other.mkdir(parents=True)
    (other / "__init__.py").touch()
    code = f"import sys; sys.path.insert({position}, {str(tmp_path)!r}); {order}"
    run("-I", "-c", code, cwd=tmp_path)


def test_no_coroutine_is_compiled() -> None:
    """Where one that mypyc has compiled handles an exception, whoever awaits it goes on handling that exception."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compiled"]
    for name in names:
        package, _, rest = name.partition("/")
        tree = ast.parse((PACKAGES[package] / f"{rest}.py").read_text(encoding="utf-8"))
        assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)], name
