"""Build hook: maps the core for an editable install, and compiles it for a wheel that asks for it.

An editable install exposes `smallest_proto`, not the repository's root around it, which would make `tests`,
`fuzz` and `transports` importable. So this one package is mapped by an import hook of `editables`; the other
two come from `dev-mode-dirs`.

With `SMALLEST_PROTO_COMPILE=1`, mypyc compiles the modules of `compiled` in pyproject.toml. They stay beside
their sources, which mean the same; a wheel without them runs everywhere.
"""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import Any

from editables import EditableProject
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COMPILE = """
import sys
from mypyc.build import mypycify
from setuptools import setup

modules = mypycify(["--config-file", *sys.argv[1:]], opt_level="3", debug_level="0")
setup(name="core", packages=[], py_modules=[], ext_modules=modules, script_args=["-q", "build_ext", "--inplace"])
"""
"""Run in a folder with nothing but the packages, beside whose modules it puts the compiled ones."""


class BuildCore(BuildHookInterface):  # type: ignore[type-arg]  # hatchling does not export the parameter
    """Adds to the editable wheel an import hook for `smallest_proto`, to another one its compiled modules."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files for hatchling to include."""
        self.files = TemporaryDirectory()
        if version == "editable":
            self._map(build_data)
        elif _asked_to_compile():
            self._compile(build_data)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the files once the wheel holds them."""
        self.files.cleanup()

    def dependencies(self) -> list[str]:
        """What an isolated build installs: the compiler, and what the core imports, for its types."""
        return [*self.config["compiler"], *self.metadata.core.dependencies] if _asked_to_compile() else []

    def _map(self, build_data: dict[str, Any]) -> None:
        project = EditableProject(self.metadata.name, self.root)
        project.map("smallest_proto", "smallest_proto")
        for name, content in project.files():
            path = Path(self.files.name, name)
            path.write_text(content, encoding="utf-8")
            build_data["force_include_editable"][str(path)] = name
        build_data["dependencies"] += project.dependencies()

    def _compile(self, build_data: dict[str, Any]) -> None:
        root, folder = Path(self.root), Path(self.files.name)
        for package in (root / "smallest_proto", root / "transports" / "smallest_transports"):
            copytree(package, folder / package.name, ignore=ignore_patterns("__pycache__"))
        settings = str(root / "pyproject.toml")
        modules = [f"{name}.py" for name in self.config["compiled"]]
        command = [sys.executable, "-c", COMPILE, settings, *modules]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"not compiled:\n{done.stdout}{done.stderr}")
        for path in folder.rglob("*"):
            if path.suffix in (".so", ".pyd") and "build" not in path.relative_to(folder).parts:
                build_data["force_include"][str(path)] = path.relative_to(folder).as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _asked_to_compile() -> bool:
    return os.environ.get("SMALLEST_PROTO_COMPILE", "") not in ("", "0")
