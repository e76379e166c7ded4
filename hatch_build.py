"""Build hook: an editable install exposes `smallest_proto`, not the repository's root around it.

The root on `sys.path` would make `tests`, `fuzz` and `transports` importable, so this one package is mapped
by an import hook of `editables`. The other two come from `dev-mode-dirs`. Ordinary wheels need none of this.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from editables import EditableProject
from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class EditableCore(BuildHookInterface):  # type: ignore[type-arg]  # hatchling does not export the parameter
    """Adds the import hook for `smallest_proto` to the editable wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the hook's files for hatchling to include."""
        if version != "editable":
            return
        project = EditableProject(self.metadata.name, self.root)
        project.map("smallest_proto", "smallest_proto")
        self.files = TemporaryDirectory()
        for name, content in project.files():
            path = Path(self.files.name, name)
            path.write_text(content, encoding="utf-8")
            build_data["force_include_editable"][str(path)] = name
        build_data["dependencies"] += project.dependencies()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the files once the wheel holds them."""
        if version == "editable":
            self.files.cleanup()
