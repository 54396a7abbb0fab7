"""Print the packages that pyproject.toml asks for, extras and build included, one a line, for `pip install`."""

from __future__ import annotations

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
extras = [requirement for extra in project["project"]["optional-dependencies"].values() for requirement in extra]
wanted = [
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *(requirement for requirement in extras if not requirement.startswith(project["project"]["name"])),
    "editables",  # an editable install without build isolation needs it
]
print("\n".join(requirement.replace(" ", "") for requirement in wanted))
