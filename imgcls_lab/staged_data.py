"""Where a run reads its data set when its node has a copy on a local disk. Standard library only.

`executor/staging.py` makes the copy and names it in the environment of the engine. Predictions and manifest name the
data set by the root of the run's config, which is the same on every node.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT, COPY = "IMGCLS_STAGED_ROOT", "IMGCLS_STAGED_COPY"  # of a process: the data set's root, and where its copy lies


def absolute(root: str) -> Path:
    return Path(os.path.expanduser(root)).absolute()


def location(root: str) -> Path:
    """The folder that holds the files of a data set."""
    path = absolute(root)
    return Path(os.environ[COPY]) if os.environ.get(ROOT) == str(path) else path


def named(folder: str | os.PathLike[str]) -> str:
    """The root of the data set whose files lie in a folder."""
    path = os.fspath(folder)
    return os.environ[ROOT] if os.environ.get(COPY) == path else path
