"""A sweep as a notebook: tables and plots of its results. Called by `Sweep.report`.

The notebook is executed when it is written, so that it opens with its outputs. Its cells need no store and only pandas
to run again: the notebook holds the results and the source of the plots.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from imgcls_lab import run_layout
from imgcls_lab.batch import sweep_plots
from imgcls_lab.batch.notebook_trust import NotebookSigner
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import SweepView

if TYPE_CHECKING:
    import pandas as pd

CELL_TIMEOUT = 120  # seconds a cell may take


def write_report(view: SweepView, results: pd.DataFrame, path: Path) -> Path:
    """Write and execute it. Raises InputError unless the name ends with .ipynb and its folder exists."""
    if path.suffix != ".ipynb" or not path.parent.is_dir():
        raise InputError(f"“{path}” is no name for a notebook: give NAME.ipynb in a folder that exists.")
    from nbclient import NotebookClient

    notebook = _notebook(view, results)
    NotebookClient(notebook, timeout=CELL_TIMEOUT, kernel_name="python3").execute()
    text = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    NotebookSigner().sign(text)  # what its cells drew is this user's own
    run_layout.write_atomic(path, text)
    return path


def _notebook(view: SweepView, results: pd.DataFrame) -> Any:
    data = results.reset_index().to_json(orient="records")
    names, better = list(view.space), view.higher_is_better
    best = f"results.sort_values({view.metric!r}, ascending={not better}).head(10)"
    cells = [
        _text(
            f"# {view.name}\n\n{counted(len(view.trials), 'trial')} "
            f"by {view.strategy}, judged by {view.metric} on the validation "
            f"images. Sweep `{view.run_id}`. Everything below is computed from the next two cells: how the plots are "
            "drawn, and the results."
        ),
        _code(inspect.getsource(sweep_plots), hidden=True),
        _code(
            "import json\n\nimport pandas as pd\n\n"
            f"results = pd.DataFrame(json.loads({json.dumps(data)})).set_index('trial')\n"
            f"importance = pd.Series({view.importance!r}, name='importance', dtype=float)\n"
            "results"
        ),
        _text("## The best trials"),
        _code(best),
        _text("## In the order of the trials"),
        _code(f"history(results, {view.metric!r}, {better})"),
        _text("## Parameter by parameter"),
        _code(f"slices(results, {view.metric!r}, {names!r}, {better})"),
        _code(f"pd.concat({{name: results.groupby(name)[{view.metric!r}].describe() for name in {names!r}}})"),
    ]
    if view.importance:
        cells += [
            _text("## How much each parameter matters\n\nFractions of the variance of the results, by fANOVA."),
            _code("importance.sort_values(ascending=False).to_frame()"),
        ]
    notebook = nbformat.v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return notebook


def _text(source: str) -> Any:
    return nbformat.v4.new_markdown_cell(source)  # type: ignore[no-untyped-call]


def _code(source: str, hidden: bool = False) -> Any:
    """A cell of code; hidden: folded away until a reader opens it."""
    metadata = {"jupyter": {"source_hidden": True}} if hidden else {}
    return nbformat.v4.new_code_cell(source, metadata=metadata)  # type: ignore[no-untyped-call]
