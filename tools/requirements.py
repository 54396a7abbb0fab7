"""Print the packages that pyproject.toml asks for, tests and build included, one a line, for `pip install`."""

from __future__ import annotations

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
wanted = [
    *project["build-system"]["requires"],
    *project["project"]["dependencies"],
    *project["project"]["optional-dependencies"]["test"],
    "editables",  # an editable install without build isolation needs it
]
print("\n".join(requirement.replace(" ", "") for requirement in wanted))
