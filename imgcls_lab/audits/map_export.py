"""The map of an audit as a table, and as a Parquet file that Embedding Atlas opens.

Called by `Audit.write_map` and by `imgcls-lab audit --map`. A row is an image: where it lies on the map, its class, its
split and the problems that it has.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

from imgcls_lab.errors import InputError
from imgcls_lab.schemas.audits import MapView


def frame(view: MapView) -> pd.DataFrame:
    """Columns image (its id), x, y, label, split, and problems: their kinds, separated by commas."""
    import pandas as pd

    problems: list[list[str]] = [[] for _ in view.image]
    for kind in sorted(view.marked):
        for place in view.marked[kind]:
            problems[place].append(kind)
    return pd.DataFrame(
        {
            "image": view.image,
            "x": view.x,
            "y": view.y,
            "label": [view.classes[number] for number in view.label],
            "split": [view.splits[number] for number in view.split],
            "problems": [", ".join(kinds) for kinds in problems],
        }
    )


def write_parquet(view: MapView, path: Path) -> None:
    """Write the map. Raises InputError where no package for Parquet is installed, or the file cannot be written."""
    if importlib.util.find_spec("pyarrow") is None and importlib.util.find_spec("fastparquet") is None:
        raise InputError("A Parquet file needs the package pyarrow. Install it, and ask for the map again.")
    try:
        frame(view).to_parquet(path, index=False)
    except OSError as error:
        raise InputError(f"The map cannot be written to “{path}”: {error.strerror or error}.") from None
